//! Softmax along an axis: `exp(x - max) / sum exp(x - max)`, or with `log` its logarithm.
//!
//! Floats narrower than 32 bits are computed in f32 and rounded at the end. A row of nothing but -infinity gives NaN.

use crate::attrs::{Attr, Attrs};
use crate::builder::{BuildError, Builder};
use crate::expr::UnOp;
use crate::graph::ValueId;
use crate::node::Combiner;
use crate::region::contract::accumulator;
use crate::region::{RegionKind, attribute, operands};

pub const KIND: RegionKind = RegionKind { name: "softmax", body };

/// Attributes of a softmax.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Softmax {
    pub axis: usize,
    /// Whether the result is the logarithm.
    pub log: bool,
}

impl Softmax {
    /// As attributes of a region.
    pub fn to_attrs(&self) -> Attrs {
        Attrs::new().with("axis", Attr::Int(self.axis as i64)).with("log", Attr::Bool(self.log))
    }

    /// From attributes of a region.
    pub fn from_attrs(attrs: &Attrs) -> Result<Softmax, BuildError> {
        let axis = attrs.int("axis").and_then(|a| usize::try_from(a).ok());
        Ok(Softmax {
            axis: attribute("axis", axis, "a position")?,
            log: attribute("log", attrs.bool("log"), "a truth value")?,
        })
    }
}

impl Builder {
    /// Softmax of a float tensor.
    pub fn softmax(&mut self, softmax: Softmax, x: ValueId) -> Result<ValueId, BuildError> {
        self.region_one(&KIND, softmax.to_attrs(), &[x])
    }
}

fn body(b: &mut Builder, attrs: &Attrs, values: &[ValueId]) -> Result<Vec<ValueId>, BuildError> {
    let Softmax { axis, log } = Softmax::from_attrs(attrs)?;
    let [x] = operands(KIND.name, values)?;
    let dtype = b.dtype(x)?;
    let x = b.cast(x, accumulator(dtype))?;
    let top = b.reduce(x, &[axis], true, Combiner::Max)?;
    let y = if log {
        let below = b.map(&[x, top], |p, v| p.sub(v[0], v[1]))?;
        let total = b.reduce_with(
            below,
            &[axis],
            true,
            Combiner::Sum,
            |p, e| p.unary(UnOp::Exp, e),
            |p, sum| p.unary(UnOp::Log, sum),
        )?;
        b.map(&[below, total], |p, v| p.sub(v[0], v[1]))?
    } else {
        let power = b.map(&[x, top], |p, v| {
            let below = p.sub(v[0], v[1]);
            p.unary(UnOp::Exp, below)
        })?;
        let total = b.reduce(power, &[axis], true, Combiner::Sum)?;
        b.map(&[power, total], |p, v| p.div(v[0], v[1]))?
    };
    Ok(vec![b.cast(y, dtype)?])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dim::Dim;
    use crate::dtype::DType;
    use crate::ty::Type;

    fn check(dtype: DType, axis: usize, expected: Result<(), &str>) {
        let mut b = Builder::new("test");
        let x = b.input("x", Type::tensor(dtype, [2, 0, 5].map(Dim::constant)));
        let softmax = Softmax { axis, log: true };
        assert_eq!(Softmax::from_attrs(&softmax.to_attrs()).unwrap(), softmax);
        match (b.softmax(softmax, x), expected) {
            (Ok(y), Ok(())) => assert_eq!(b.ty(y).unwrap(), b.ty(x).unwrap()),
            (Err(e), Err(text)) => assert!(e.to_string().contains(text), "{e}"),
            (found, _) => assert!(found.is_err(), "expected {expected:?}, found {found:?}"),
        }
    }

    #[test]
    fn shape_and_dtype_stay() {
        check(DType::BF16, 1, Ok(()));
    }

    #[test]
    fn misuse_is_refused() {
        check(DType::F32, 3, Err("axis 3"));
        check(DType::I32, 0, Err("exp is not defined on i32"));
    }
}
