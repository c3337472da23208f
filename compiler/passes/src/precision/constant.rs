//! Constants in 16 bits.

use bytes::Bytes;
use graph::builder::{BuildError, Builder};
use graph::dim::Dim;
use graph::dtype::DType;
use graph::graph::ValueId;
use graph::node::{Blob, Const};
use graph::scalar::Scalar;
use graph::tensor::Tensor;
use half::{bf16, f16};

/// The least number that f16 holds with all its digits.
const LEAST: f64 = 6.103_515_625e-5;

/// Numbers that become infinite begin here.
const BEYOND: f64 = 65_520.0;

/// Whether a number becomes infinite.
pub(super) fn is_beyond(to: DType, value: f64) -> bool {
    to == DType::F16 && value.is_finite() && value.abs() >= BEYOND
}

/// Whether a constant of f32 keeps its meaning: nothing becomes infinite, and not all of it loses digits.
pub(super) fn fits(value: &Const, to: DType) -> bool {
    match value {
        Const::Splat(element) => {
            let size = element.as_f64().abs();
            element.dtype == DType::F32 && (!size.is_finite() || has_range(size, to))
        }
        Const::Inline(tensor) | Const::Blob(Blob { tensor, .. }) => tensor_fits(tensor, to),
        Const::Iota => false,
    }
}

fn tensor_fits(tensor: &Tensor, to: DType) -> bool {
    if tensor.dtype() != DType::F32 {
        return false;
    }
    let sizes = elements(tensor).map(f32::abs).filter(|size| size.is_finite());
    let largest = f64::from(sizes.fold(0f32, f32::max));
    has_range(largest, to)
}

/// Whether the largest of some numbers keeps its digits.
fn has_range(largest: f64, to: DType) -> bool {
    to != DType::F16 || largest == 0.0 || (LEAST..BEYOND).contains(&largest)
}

/// The power of two that brings the largest number of a constant of f32 between 1 and 2, where the constant does not [fit](fits)
/// as it is.
pub(super) fn exponent(value: &Const, to: DType) -> Option<i32> {
    let largest = match value {
        Const::Splat(element) if element.dtype == DType::F32 => element.as_f64().abs() as f32,
        Const::Inline(tensor) | Const::Blob(Blob { tensor, .. }) if tensor.dtype() == DType::F32 => {
            let finite = elements(tensor).all(f32::is_finite);
            elements(tensor).map(f32::abs).fold(if finite { 0.0 } else { f32::INFINITY }, f32::max)
        }
        Const::Splat(_) | Const::Inline(_) | Const::Blob(_) | Const::Iota => return None,
    };
    let beyond = !has_range(f64::from(largest), to);
    (beyond && largest.is_normal()).then(|| -(largest.log2().floor() as i32))
}

/// `2^exponent`; 0 or infinite beyond what f32 has.
pub(super) fn power(exponent: i32) -> f32 {
    2f32.powi(exponent)
}

/// Whether an element of a constant of f32 becomes infinite.
pub(super) fn has_beyond(value: &Const, to: DType) -> bool {
    match value {
        Const::Splat(element) => element.dtype == DType::F32 && is_beyond(to, element.as_f64()),
        Const::Inline(tensor) | Const::Blob(Blob { tensor, .. }) => {
            tensor.dtype() == DType::F32 && to == DType::F16 && elements(tensor).any(|x| is_beyond(to, x.into()))
        }
        Const::Iota => false,
    }
}

fn elements(tensor: &Tensor) -> impl Iterator<Item = f32> + '_ {
    tensor.bytes().chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap_or_default()))
}

/// The constant in the narrow type, times the power of two of its [`exponent`] if it has one; `None` where it is not one of f32.
pub(super) fn narrowed(
    b: &mut Builder,
    value: &Const,
    shape: &[Dim],
    to: DType,
) -> Result<Option<ValueId>, BuildError> {
    let tensor = match value {
        Const::Splat(element) if element.dtype == DType::F32 => {
            let value = element.as_f64() * exponent(value, to).map_or(1.0, |e| power(e).into());
            return b.splat(Scalar::from_f64(to, value), shape.to_vec()).map(Some);
        }
        Const::Inline(tensor) | Const::Blob(Blob { tensor, .. }) if tensor.dtype() == DType::F32 => tensor,
        Const::Splat(_) | Const::Inline(_) | Const::Blob(_) | Const::Iota => return Ok(None),
    };
    let factor = exponent(value, to).map_or(1.0, power);
    let bits = |x: f32| if to == DType::F16 { f16::from_f32(x).to_bits() } else { bf16::from_f32(x).to_bits() };
    let data: Vec<u8> = elements(tensor).flat_map(|x| bits(x * factor).to_le_bytes()).collect();
    match Tensor::from_bytes(to, tensor.shape().to_vec(), Bytes::from(data)) {
        Ok(tensor) => b.constant(tensor).map(Some),
        Err(_) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(values: &[f32], to: DType, expected: bool) {
        assert_eq!(fits(&Const::Inline(Tensor::from_f32s(values)), to), expected, "{values:?}");
    }

    #[test]
    fn ranges_of_constants() {
        check(&[1.0, -65_504.0], DType::F16, true);
        check(&[1.0, -65_520.0], DType::F16, false);
        check(&[1.0, -65_520.0], DType::BF16, true);
        check(&[f32::NEG_INFINITY, 1.0], DType::F16, true);
        check(&[1e-6, -2e-6], DType::F16, false);
        check(&[1e-6, 1.0], DType::F16, true);
        check(&[0.0], DType::F16, true);
    }

    fn check_exponent(values: &[f32], to: DType, expected: Option<i32>) {
        assert_eq!(exponent(&Const::Inline(Tensor::from_f32s(values)), to), expected, "{values:?}");
    }

    #[test]
    fn powers_of_two_that_make_constants_fit() {
        check_exponent(&[3e-8, -1e-9], DType::F16, Some(25));
        check_exponent(&[1e6, 1e-3], DType::F16, Some(-19));
        check_exponent(&[-131_072.0], DType::F16, Some(-17));
        check_exponent(&[3e38, 1.0], DType::F16, Some(-127));
        check_exponent(&[1.0, 1e-9], DType::F16, None);
        check_exponent(&[1e6], DType::BF16, None);
        check_exponent(&[f32::INFINITY, 1e-9], DType::F16, None);
        check_exponent(&[0.0], DType::F16, None);
        check_exponent(&[1e-40], DType::F16, None);
    }
}
