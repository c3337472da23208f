//! What the operators on quantized tensors share: taking zero points off, and rounding scaled results back.

use graph::builder::{BuildError, Builder};
use graph::dim::Dim;
use graph::dtype::DType;
use graph::expr::{Expr, Rounding, UnOp};
use graph::graph::ValueId;

use crate::operator::Ctx;

/// The dtype that products of quantized elements are summed in: i32, or f32 for 8-bit floats.
pub fn accumulator(dtype: DType) -> DType {
    if dtype.is_float() { DType::F32 } else { DType::I32 }
}

/// A parameter that is one number, or one number a position along `axis` of a tensor of `rank` dims, shaped to broadcast.
pub fn along(b: &mut Builder, parameter: ValueId, rank: usize, axis: usize) -> Result<ValueId, BuildError> {
    let shape = b.shape(parameter)?;
    match shape.as_slice() {
        [] => Ok(parameter),
        [one] if one.is(1) => b.reshape(parameter, Vec::new()),
        [extent] => {
            let mut spread = vec![Dim::constant(1); rank.saturating_sub(axis)];
            if let Some(first) = spread.first_mut() {
                *first = extent.clone();
            }
            b.reshape(parameter, spread)
        }
        _ => Ok(parameter),
    }
}

/// `x - zero`, widened; the zero point may be one a position along `axis`.
pub fn centred(b: &mut Builder, x: ValueId, zero: Option<ValueId>, axis: usize) -> Result<ValueId, BuildError> {
    let wide = accumulator(b.dtype(x)?);
    let Some(zero) = zero else { return b.cast(x, wide) };
    let zero = along(b, zero, b.rank(x)?, axis)?;
    b.map(&[x, zero], |p, v| {
        let (x, zero) = (p.cast(v[0], wide), p.cast(v[1], wide));
        p.sub(x, zero)
    })
}

/// Input `first` of a node as f32, by the scale and zero point in the two inputs behind it.
pub fn dequantised(ctx: &mut Ctx<'_>, first: usize) -> Result<ValueId, BuildError> {
    let (x, scale, zero) = (ctx.input(first)?, ctx.input(first + 1)?, ctx.optional(first + 2)?);
    let centred = centred(ctx.b, x, zero, 0)?;
    let scale = along(ctx.b, scale, 0, 0)?;
    ctx.b.map(&[centred, scale], |p, v| {
        let (x, scale) = (p.cast(v[0], DType::F32), p.cast(v[1], DType::F32));
        p.mul(x, scale)
    })
}

/// `saturate(round(value * scale / y_scale) + y_zero)` in the dtype of the zero point. Scales broadcast to the value.
pub fn requantised(
    b: &mut Builder,
    value: ValueId,
    scales: &[ValueId],
    y_scale: ValueId,
    (y_zero, dtype): (Option<ValueId>, DType),
) -> Result<ValueId, BuildError> {
    let y_scale = along(b, y_scale, 0, 0)?;
    let y_zero = match y_zero {
        Some(zero) => Some(along(b, zero, 0, 0)?),
        None => None,
    };
    let count = scales.len();
    let operands: Vec<ValueId> = [value].iter().chain(scales).copied().chain([y_scale]).chain(y_zero).collect();
    b.map(&operands, |p, v| {
        let mut factor = p.number(DType::F32, 1.0);
        for (k, scale) in v[1..=count].iter().enumerate() {
            let scale = p.cast(*scale, DType::F32);
            factor = if k == 0 { scale } else { p.mul(factor, scale) };
        }
        let y_scale = p.cast(v[count + 1], DType::F32);
        let factor = p.div(factor, y_scale);
        let real = p.cast(v[0], DType::F32);
        let mut y = p.mul(real, factor);
        if !dtype.is_float() {
            y = p.unary(UnOp::Round, y);
        }
        if let Some(zero) = v.get(count + 2) {
            let zero = p.cast(*zero, DType::F32);
            y = p.add(y, zero);
        }
        p.add_expr(Expr::Cast { to: dtype, saturate: true, rounding: Rounding::Nearest, value: y })
    })
}
