//! Quantization: `y = saturate(round(x / scale) + zero_point)`, rounded half to even; a float target has no rounding to
//! integers.
//!
//! Operands: `x`, `scale`, and where the target is an integer or `f4e2m1` maybe `zero_point`. The granularity shows in the
//! scale's shape: rank 0 is one scale for all, rank 1 one for every index along `axis`, `x`'s rank one for every `block`
//! indices along `axis`. The zero point has the scale's shape and the target's dtype.

use crate::attrs::{Attr, Attrs};
use crate::builder::{BuildError, Builder, Point};
use crate::dim::Dim;
use crate::dtype::DType;
use crate::expr::{Expr, ExprId, Rounding, UnOp};
use crate::graph::ValueId;
use crate::region::{RegionKind, attribute};

pub const KIND: RegionKind = RegionKind { name: "quantize", body };

/// Attributes of a quantization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quantize {
    /// Target.
    pub to: DType,
    /// Dtype of the division.
    pub precision: DType,
    /// Dim that scales differ along, unless there is one for all.
    pub axis: usize,
    /// Indices along `axis` that share a scale; 0: as many scales as indices.
    pub block: usize,
    /// Whether an 8-bit float target saturates; all others do.
    pub saturate: bool,
}

impl Quantize {
    /// As attributes of a region.
    pub fn to_attrs(&self) -> Attrs {
        Attrs::new()
            .with("to", Attr::DType(self.to))
            .with("precision", Attr::DType(self.precision))
            .with("axis", Attr::Int(self.axis as i64))
            .with("block", Attr::Int(self.block as i64))
            .with("saturate", Attr::Bool(self.saturate))
    }

    /// From attributes of a region.
    pub fn from_attrs(attrs: &Attrs) -> Result<Quantize, BuildError> {
        let position = |name| attrs.int(name).and_then(|v| usize::try_from(v).ok());
        Ok(Quantize {
            to: attribute("to", attrs.dtype("to"), "a dtype")?,
            precision: attribute("precision", attrs.dtype("precision"), "a dtype")?,
            axis: attribute("axis", position("axis"), "a position")?,
            block: attribute("block", position("block"), "a size")?,
            saturate: attribute("saturate", attrs.bool("saturate"), "a truth value")?,
        })
    }
}

impl Builder {
    /// Quantizes a tensor.
    pub fn quantize(
        &mut self,
        quantize: Quantize,
        x: ValueId,
        scale: ValueId,
        zero_point: Option<ValueId>,
    ) -> Result<ValueId, BuildError> {
        check_granularity(self, quantize.axis, quantize.block, x, scale, zero_point)?;
        let operands: Vec<ValueId> = [x, scale].into_iter().chain(zero_point).collect();
        self.region_one(&KIND, quantize.to_attrs(), &operands)
    }
}

fn body(b: &mut Builder, attrs: &Attrs, values: &[ValueId]) -> Result<Vec<ValueId>, BuildError> {
    let Quantize { to, precision, axis, block, saturate } = Quantize::from_attrs(attrs)?;
    let shape = match values.first() {
        Some(x) => b.shape(*x)?,
        None => return Err(BuildError::Results { expected: 2, found: 0 }),
    };
    let wide = if precision == DType::F64 { DType::F64 } else { DType::F32 };
    let y = b.compute(values, shape, |p| {
        let index = p.indices();
        let x = p.load(0, &index);
        let x = p.cast(x, precision);
        let scale = load_shared(p, 1, axis, block);
        let scale = p.cast(scale, precision);
        let ratio = p.div(x, scale);
        let ratio = p.cast(ratio, wide);
        let mut value = if to.is_float() { ratio } else { p.unary(UnOp::Round, ratio) };
        if values.len() > 2 {
            let zero_point = load_shared(p, 2, axis, block);
            let zero_point = p.cast(zero_point, wide);
            value = p.add(value, zero_point);
        }
        let saturate = saturate || !to.is_float();
        let out = p.add_expr(Expr::Cast { to, saturate, rounding: Rounding::Nearest, value });
        p.out(out);
    })?;
    Ok(vec![y])
}

/// Element of a scale or zero point that belongs to the present element of the tensor.
pub(crate) fn load_shared(p: &mut Point<'_>, operand: usize, axis: usize, block: usize) -> ExprId {
    let rank = p.shape(operand).len();
    let mut index = match rank {
        0 => Vec::new(),
        1 => vec![p.index(axis)],
        _ => p.indices(),
    };
    if block > 0
        && let Some(slot) = index.get_mut(if rank == 1 { 0 } else { axis })
    {
        let block = p.int(block as i64);
        *slot = p.div(*slot, block);
    }
    p.load(operand, &index)
}

/// Refuses scales and zero points whose shape is none of the granularities.
pub(crate) fn check_granularity(
    b: &mut Builder,
    axis: usize,
    block: usize,
    x: ValueId,
    scale: ValueId,
    zero_point: Option<ValueId>,
) -> Result<(), BuildError> {
    let (shape, scales) = (b.shape(x)?, b.shape(scale)?);
    let blocks = |b: &Builder, extent: &Dim| match block {
        0 => extent.clone(),
        _ => b.model().symbols.ceil_div(extent, &Dim::from(block)),
    };
    let expected: Vec<Dim> = match scales.len() {
        0 => Vec::new(),
        1 => match shape.get(axis) {
            Some(extent) => vec![blocks(b, extent)],
            None => return Err(BuildError::Axis { found: axis as i64, rank: shape.len() }),
        },
        n if n == shape.len() => {
            shape.iter().enumerate().map(|(d, e)| if d == axis { blocks(b, e) } else { e.clone() }).collect()
        }
        found => {
            let what = "the scale of a quantization".to_string();
            return Err(BuildError::Rank { what, expected: format!("0, 1 or {}", shape.len()), found });
        }
    };
    for (found, expected) in scales.iter().zip(&expected) {
        b.assume_equal(found, expected, "one scale for every block")?;
    }
    let Some(zero_point) = zero_point else { return Ok(()) };
    let zeros = b.shape(zero_point)?;
    if zeros.len() != scales.len() {
        return Err(BuildError::Shapes {
            what: "scale and zero point".to_string(),
            left: format!("{scales:?}"),
            right: format!("{zeros:?}"),
        });
    }
    for (found, expected) in zeros.iter().zip(&scales) {
        b.assume_equal(found, expected, "a zero point for every scale")?;
    }
    Ok(())
}
