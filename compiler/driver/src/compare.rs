//! How far outputs are from what is expected.

use graph::datum::Datum;
use graph::dtype::DType;
use graph::tensor::Tensor;
use passes::Precision;

/// Distance of one output.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Distance {
    /// Greatest absolute difference.
    pub max_abs: f64,
    /// Root of the sum of squared differences over that of the expected values; of integers the share of those that differ.
    pub relative_l2: f64,
    /// Greatest difference in units of the last place.
    pub max_ulp: f64,
}

/// Distance of two values; a text where they are not comparable or differ where nothing may.
pub fn distance(found: &Datum, expected: &Datum) -> Result<Distance, String> {
    match (found, expected) {
        (Datum::Tensor(f), Datum::Tensor(e)) => tensors(f, e),
        (Datum::Seq(f), Datum::Seq(e)) if f.len() == e.len() => {
            f.iter().zip(e).try_fold(Distance::default(), |worst, (f, e)| Ok(worst.max(distance(f, e)?)))
        }
        (Datum::Opt(None), Datum::Opt(None)) => Ok(Distance::default()),
        (Datum::Opt(Some(f)), Datum::Opt(Some(e))) => distance(f, e),
        (Datum::Map { keys: fk, values: f }, Datum::Map { keys: ek, values: e }) if f.len() == e.len() => {
            let keys = tensors(fk, ek)?;
            f.iter().zip(e).try_fold(keys, |worst, (f, e)| Ok(worst.max(distance(f, e)?)))
        }
        (f, e) => Err(format!("found {}, expected {}", f.describe(), e.describe())),
    }
}

impl Distance {
    fn max(self, other: Distance) -> Distance {
        Distance {
            max_abs: self.max_abs.max(other.max_abs),
            relative_l2: self.relative_l2.max(other.relative_l2),
            max_ulp: self.max_ulp.max(other.max_ulp),
        }
    }
}

fn tensors(found: &Tensor, expected: &Tensor) -> Result<Distance, String> {
    if found.dtype() != expected.dtype() || found.shape() != expected.shape() {
        let (f, e) = (Datum::Tensor(found.clone()), Datum::Tensor(expected.clone()));
        return Err(format!("found {}, expected {}", f.describe(), e.describe()));
    }
    if found.dtype() == DType::Str {
        let equal = found.strings() == expected.strings();
        return if equal { Ok(Distance::default()) } else { Err("texts differ".to_string()) };
    }
    if !found.dtype().is_float() {
        return Ok(integers(found, expected));
    }
    let mut out = Distance::default();
    let (mut error, mut size) = (0f64, 0f64);
    for (f, e) in found.scalars().zip(expected.scalars()) {
        let (x, y) = (f.as_f64(), e.as_f64());
        if y.is_finite() {
            size += y * y;
        }
        if x == y || (x.is_nan() && y.is_nan()) {
            continue;
        }
        let difference = if x.is_finite() && y.is_finite() { (x - y).abs() } else { f64::INFINITY };
        error += difference * difference;
        out.max_abs = out.max_abs.max(difference);
        out.max_ulp = out.max_ulp.max(difference / unit(found.dtype(), y));
    }
    out.relative_l2 = if error == 0.0 { 0.0 } else { error.sqrt() / size.sqrt().max(f64::MIN_POSITIVE) };
    Ok(out)
}

/// The distance of integers: how many of them differ, and the most by which they do.
fn integers(found: &Tensor, expected: &Tensor) -> Distance {
    let apart = found.scalars().zip(expected.scalars()).map(|(f, e)| f.as_i64().abs_diff(e.as_i64()));
    let (mut most, mut differ) = (0u64, 0usize);
    for by in apart.filter(|by| *by > 0) {
        most = most.max(by);
        differ += 1;
    }
    let share = differ as f64 / found.len().max(1) as f64;
    Distance { max_abs: most as f64, relative_l2: share, max_ulp: most as f64 }
}

/// The relative L2 error that an output of a dtype may have in a model compiled to a precision: that of the wider rounding. Integers are
/// equal in f32; where they come of rounded floats (the class of a pixel, the order of boxes), so many of them may be others.
pub fn tolerance(dtype: DType, precision: Precision) -> f64 {
    let own = match dtype {
        DType::F64 | DType::F32 => 1e-5,
        DType::F16 => 2e-3,
        DType::BF16 => 1e-2,
        _ if dtype.is_float() => 1e-1,
        _ => 0.0,
    };
    let inside = match precision {
        Precision::F32 if !dtype.is_float() => 0.0,
        Precision::F32 => 1e-5,
        Precision::Tf32 => 2e-3,
        Precision::F16 => 1e-2,
        Precision::Bf16 => 5e-2,
    };
    f64::max(own, inside)
}

/// [`tolerance`] of the tensors in a value.
pub fn tolerance_of(value: &Datum, precision: Precision) -> f64 {
    match value {
        Datum::Tensor(t) => tolerance(t.dtype(), precision),
        Datum::Seq(items) => items.first().map_or(1e-5, |item| tolerance_of(item, precision)),
        Datum::Opt(Some(inner)) => tolerance_of(inner, precision),
        Datum::Map { values, .. } => values.first().map_or(1e-5, |value| tolerance_of(value, precision)),
        Datum::Opt(None) => 1e-5,
    }
}

/// The unit in the last place at a value.
fn unit(dtype: DType, value: f64) -> f64 {
    let (digits, lowest) = match dtype {
        DType::F64 => (52, -1022),
        DType::F32 => (23, -126),
        DType::F16 => (10, -14),
        DType::BF16 => (7, -126),
        _ => (2, -14),
    };
    let exponent = value.abs().log2().floor().max(f64::from(lowest));
    (exponent - f64::from(digits)).exp2()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(found: &[f32], expected: &[f32], distance: Distance) {
        let (f, e) = (Tensor::from_f32s(found).into(), Tensor::from_f32s(expected).into());
        assert_eq!(super::distance(&f, &e), Ok(distance));
    }

    #[test]
    fn distances_in_three_measures() {
        check(&[1.0, 2.0], &[1.0, 2.0], Distance::default());
        let next = 1.0 + f32::EPSILON;
        let step = f64::from(f32::EPSILON);
        check(&[next, 0.0], &[1.0, 0.0], Distance { max_abs: step, relative_l2: step, max_ulp: 1.0 });
        let far = f64::INFINITY;
        check(&[f32::NAN], &[1.0], Distance { max_abs: far, relative_l2: far, max_ulp: far });
        check(&[f32::NAN, f32::INFINITY], &[f32::NAN, f32::INFINITY], Distance::default());
    }

    #[test]
    fn integers_are_equal_or_counted() {
        let (f, e): (Datum, Datum) = (Tensor::from_i64s(&[1, 5, 7, 9]).into(), Tensor::from_i64s(&[1, 2, 7, 9]).into());
        assert_eq!(distance(&f, &e), Ok(Distance { max_abs: 3.0, relative_l2: 0.25, max_ulp: 3.0 }));
        assert_eq!(tolerance_of(&e, Precision::F32), 0.0);
        assert_eq!(tolerance_of(&e, Precision::F16), 1e-2);
        assert!(distance(&f, &Datum::Seq(Vec::new())).is_err());
    }
}
