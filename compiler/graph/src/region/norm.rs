//! Normalisation over axes: `(x - mean) / sqrt(mean of (x - mean)^2 + eps)`; without `center` the mean counts as zero (RMS).
//!
//! Results: the normalised tensor in the operand's dtype; with `center` the mean; one over the root. The statistics have
//! dtype `stats` and keep the reduced dims with extent 1. Scale and bias are pointwise work behind the region, so that a
//! kernel takes them as an epilogue whatever they broadcast over.

use crate::attrs::{Attr, Attrs};
use crate::builder::{BuildError, Builder};
use crate::dim::Dim;
use crate::dtype::DType;
use crate::expr::UnOp;
use crate::graph::ValueId;
use crate::node::Combiner;
use crate::region::{RegionKind, attribute, operands};
use crate::scalar::Scalar;

pub const KIND: RegionKind = RegionKind { name: "norm", body };

/// Attributes of a normalisation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Norm {
    pub axes: Vec<usize>,
    pub center: bool,
    /// Added to the variance.
    pub eps: Scalar,
    /// Dtype that everything is computed in.
    pub stats: DType,
}

/// Results of a normalisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Normed {
    pub value: ValueId,
    pub mean: Option<ValueId>,
    pub inverse: ValueId,
}

impl Norm {
    /// As attributes of a region.
    pub fn to_attrs(&self) -> Attrs {
        Attrs::new()
            .with("axes", Attr::Ints(self.axes.iter().map(|a| *a as i64).collect()))
            .with("center", Attr::Bool(self.center))
            .with("eps", Attr::Scalar(self.eps))
            .with("stats", Attr::DType(self.stats))
    }

    /// From attributes of a region.
    pub fn from_attrs(attrs: &Attrs) -> Result<Norm, BuildError> {
        let axes = attribute("axes", attrs.ints("axes"), "integers")?;
        let eps = match attrs.0.get("eps") {
            Some(Attr::Scalar(s)) => Some(*s),
            _ => None,
        };
        Ok(Norm {
            axes: axes.iter().filter_map(|a| usize::try_from(*a).ok()).collect(),
            center: attribute("center", attrs.bool("center"), "a truth value")?,
            eps: attribute("eps", eps, "a float")?,
            stats: attribute("stats", attrs.dtype("stats"), "a dtype")?,
        })
    }
}

impl Builder {
    /// Normalises a float tensor.
    pub fn norm(&mut self, norm: &Norm, x: ValueId) -> Result<Normed, BuildError> {
        let results = self.region(&KIND, norm.to_attrs(), &[x])?;
        match results.as_slice() {
            [value, mean, inverse] => Ok(Normed { value: *value, mean: Some(*mean), inverse: *inverse }),
            [value, inverse] => Ok(Normed { value: *value, mean: None, inverse: *inverse }),
            _ => Err(BuildError::Results { expected: 3, found: results.len() }),
        }
    }
}

fn body(b: &mut Builder, attrs: &Attrs, values: &[ValueId]) -> Result<Vec<ValueId>, BuildError> {
    let norm = Norm::from_attrs(attrs)?;
    let [x] = operands(KIND.name, values)?;
    let (dtype, from) = (b.dtype(x)?, b.shape(x)?);
    let count = Dim::product(norm.axes.iter().filter_map(|a| from.get(*a)));
    let x = b.cast(x, norm.stats)?;
    let mut results = Vec::new();
    let mut centered = x;
    if norm.center {
        let mean = b.reduce_with(
            x,
            &norm.axes,
            true,
            Combiner::Sum,
            |_, e| e,
            |p, sum| {
                let count = p.dim(&count);
                let count = p.cast(count, norm.stats);
                p.div(sum, count)
            },
        )?;
        centered = b.map(&[x, mean], |p, v| p.sub(v[0], v[1]))?;
        results.push(mean);
    }
    let inverse = b.reduce_with(
        centered,
        &norm.axes,
        true,
        Combiner::Sum,
        |p, e| p.mul(e, e),
        |p, sum| {
            let count = p.dim(&count);
            let count = p.cast(count, norm.stats);
            let variance = p.div(sum, count);
            let eps = p.number(norm.stats, norm.eps.as_f64());
            let variance = p.add(variance, eps);
            let root = p.unary(UnOp::Sqrt, variance);
            p.unary(UnOp::Recip, root)
        },
    )?;
    let value = b.map(&[centered, inverse], |p, v| {
        let y = p.mul(v[0], v[1]);
        p.cast(y, dtype)
    })?;
    results.insert(0, value);
    results.push(inverse);
    Ok(results)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ty::Type;

    fn check(center: bool, axes: &[usize], expected: Result<usize, &str>) {
        let mut b = Builder::new("test");
        let x = b.input("x", Type::tensor(DType::F16, [2, 3, 5].map(Dim::constant)));
        let norm = Norm { axes: axes.to_vec(), center, eps: Scalar::f32(1e-5), stats: DType::F32 };
        assert_eq!(Norm::from_attrs(&norm.to_attrs()).unwrap(), norm);
        match (b.norm(&norm, x), expected) {
            (Ok(y), Ok(results)) => {
                assert_eq!(2 + usize::from(y.mean.is_some()), results);
                assert_eq!(b.ty(y.value).unwrap(), b.ty(x).unwrap());
                assert_eq!(b.shape(y.inverse).unwrap(), [2, 1, 1].map(Dim::constant));
                assert_eq!(b.dtype(y.inverse).unwrap(), DType::F32);
            }
            (Err(e), Err(text)) => assert!(e.to_string().contains(text), "{e}"),
            (found, _) => assert!(found.is_err(), "expected {expected:?}, found {found:?}"),
        }
    }

    #[test]
    fn statistics_keep_reduced_dims() {
        check(true, &[1, 2], Ok(3));
        check(false, &[1, 2], Ok(2));
    }

    #[test]
    fn an_axis_that_is_not_there_is_refused() {
        check(true, &[3], Err("axis 3"));
    }
}
