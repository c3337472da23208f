//! DynamicQuantizeLinear: quantization to u8 with the scale and zero point that fit the input's range, widened to hold 0.
//!
//! <https://onnx.ai/onnx/operators/onnx__DynamicQuantizeLinear.html>
//!
//! | opset | change |
//! |---|---|
//! | 11 | first |
//!
//! Dtypes: float32 to uint8.

use graph::builder::BuildError;
use graph::dim::Dim;
use graph::dtype::DType;
use graph::expr::{Expr, Rounding, UnOp};
use graph::node::Combiner;
use graph::region::quantize::Quantize;

use crate::operator::{Ctx, Operator, exactly};
use crate::pointwise;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "DynamicQuantizeLinear",
    domain: "",
    versions: &[11],
    inputs: exactly(1),
    outputs: exactly(3),
    attrs: &[],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let x = ctx.input(0)?;
    pointwise::require_class(ctx, 0, pointwise::FLOATS)?;
    let dtype = ctx.dtype(0)?;
    let count = Dim::product(&ctx.shape(0)?);
    let flat = ctx.b.reshape(x, vec![count.clone()])?;
    let limits = ctx.b.compute_many(&[flat], Vec::new(), |p| {
        let i = p.reduce(&count);
        let element = p.load(0, &[i]);
        let (top, bottom) = (p.acc(Combiner::Max, element), p.acc(Combiner::Min, element));
        let zero = p.zero(dtype);
        let (top, bottom) = (p.max(top, zero), p.min(bottom, zero));
        p.out(top);
        p.out(bottom);
    })?;
    let [top, bottom] = limits.as_slice() else {
        return Err(BuildError::Results { expected: 2, found: limits.len() });
    };
    let scale = ctx.b.map(&[*top, *bottom], |p, v| {
        let (span, one, steps) = (p.sub(v[0], v[1]), p.number(dtype, 1.0), p.number(dtype, 255.0));
        let flat = p.eq(v[0], v[1]);
        let span = p.select(flat, one, span);
        p.div(span, steps)
    })?;
    let zero_point = ctx.b.map(&[*bottom, scale], |p, v| {
        let (zero, distance) = (p.zero(dtype), p.div(v[0], v[1]));
        let start = p.sub(zero, distance);
        let value = p.unary(UnOp::Round, start);
        p.add_expr(Expr::Cast { to: DType::U8, saturate: true, rounding: Rounding::Nearest, value })
    })?;
    let quantize = Quantize { to: DType::U8, precision: dtype, axis: 0, block: 0, saturate: true };
    let y = ctx.b.quantize(quantize, x, scale, Some(zero_point))?;
    Ok(vec![y.into(), scale.into(), zero_point.into()])
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{check, f32s, i64s, refusal, tensor, value};
    use graph::dtype::DType;

    #[test]
    fn a_range_that_does_not_hold_zero() {
        let (scale, zero) = (f32s(&[], &[4.0 / 255.0]), tensor(DType::U8, &[], &[0.0]));
        let y = tensor(DType::U8, &[2], &[191.0, 255.0]);
        check(&OPERATOR, &[], &[value(f32s(&[2], &[3.0, 4.0]))], &[y, scale, zero]);
    }

    #[test]
    fn integers_are_refused() {
        let error = refusal(&OPERATOR, &[], &[value(i64s(&[1], &[1]))]);
        assert_eq!(
            error.to_string(),
            "dtype i64 is not supported for input 0 of DynamicQuantizeLinear; supported: floats"
        );
    }
}
