//! Seeded inputs of a model.

use graph::datum::Datum;
use graph::dtype::{Class, DType};
use graph::scalar::Scalar;
use graph::tensor::Tensor;
use graph::ty::Type;
use plan::plan::Plan;

/// Inputs at the smallest sizes that the model accepts; nothing if an input is no tensor. Floats are close to a normal
/// distribution, integers are 0 and 1, so that they are indices of most tables.
pub fn sample_inputs<C>(plan: &Plan<C>, seed: u64) -> Option<Vec<Datum>> {
    let sizes = emit::smallest::smallest_sizes(plan);
    let mut random = Random::new(seed);
    plan.inputs
        .iter()
        .map(|border| {
            let Type::Tensor(ty) = &border.ty else { return None };
            let extent = |d: &graph::dim::Dim| d.eval(&|id| sizes.get(&id).copied());
            let shape: Option<Vec<usize>> =
                ty.shape.iter().map(|d| extent(d).and_then(|v| usize::try_from(v).ok())).collect();
            tensor(ty.dtype, shape?, &mut random).map(Datum::Tensor)
        })
        .collect()
}

fn tensor(dtype: DType, shape: Vec<usize>, random: &mut Random) -> Option<Tensor> {
    let count = graph::tensor::element_count(&shape)?;
    if dtype == DType::Str {
        let words = (0..count).map(|k| format!("w{}", k % 3)).collect();
        return Tensor::from_strings(shape, words).ok();
    }
    let elements: Vec<Scalar> = (0..count)
        .map(|_| match dtype.class() {
            Class::Float => Scalar::from_f64(dtype, random.normal()),
            Class::Signed | Class::Unsigned | Class::Str => Scalar::from_i64(dtype, random.bit()),
            Class::Bool => Scalar::bool(random.bit() == 1),
        })
        .collect();
    Tensor::from_scalars(dtype, shape, &elements).ok()
}

/// Elements of [`fill`] that differ; odd, so that repetition does not fall in with extents.
const STRETCH: usize = 1_000_003;

/// Bytes of so many random elements: a stretch of them over and over, as long as makes neighbours differ.
pub fn fill(dtype: DType, count: usize, seed: u64) -> Vec<u8> {
    let stretch = tensor(dtype, vec![count.min(STRETCH)], &mut Random::new(seed));
    let stretch = stretch.map(|t| t.bytes().to_vec()).unwrap_or_default();
    repeated(&stretch, dtype.bytes_for(count).unwrap_or(0))
}

/// The same values in f64.
pub fn fill_wide(dtype: DType, count: usize, seed: u64) -> Vec<u8> {
    let stretch = tensor(dtype, vec![count.min(STRETCH)], &mut Random::new(seed));
    let stretch = stretch.map(|t| t.to_f64s()).unwrap_or_default();
    let stretch: Vec<u8> = stretch.iter().flat_map(|v| v.to_le_bytes()).collect();
    repeated(&stretch, DType::F64.bytes_for(count).unwrap_or(0))
}

fn repeated(stretch: &[u8], bytes: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes);
    while out.len() < bytes && !stretch.is_empty() {
        out.extend_from_slice(stretch.get(..(bytes - out.len()).min(stretch.len())).unwrap_or(&[]));
    }
    out
}

/// A small generator: splitmix64.
struct Random {
    state: u64,
}

impl Random {
    fn new(seed: u64) -> Random {
        Random { state: seed ^ 0x9E37_79B9_7F4A_7C15 }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn bit(&mut self) -> i64 {
        (self.next() >> 63) as i64
    }

    /// The sum of four uniform values, scaled to variance 1.
    fn normal(&mut self) -> f64 {
        let mut uniform = || (self.next() >> 11) as f64 / (1u64 << 53) as f64 - 0.5;
        let sum = uniform() + uniform() + uniform() + uniform();
        sum * 3f64.sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_values_are_those_of_the_narrow_type() {
        let count = STRETCH + 5;
        let narrow = Tensor::from_bytes(DType::F16, vec![count], fill(DType::F16, count, 3).into()).unwrap();
        let wide = Tensor::from_bytes(DType::F64, vec![count], fill_wide(DType::F16, count, 3).into()).unwrap();
        assert_eq!(narrow.to_f64s(), wide.to_f64s());
        assert_eq!(narrow.get(0), narrow.get(STRETCH));
    }
}
