//! QLinearMatMul: the product of quantized matrices, rounded back to a quantized one.
//!
//! <https://onnx.ai/onnx/operators/onnx__QLinearMatMul.html>
//!
//! `y = saturate(round(sum * a_scale * b_scale / y_scale) + y_zero_point)`, the sum over elements less their zero points.
//!
//! | opset | change |
//! |---|---|
//! | 10 | first |
//! | 21 | 8-bit floats; scales in f16 and bfloat16 |
//!
//! Dtypes: i8, u8 (sum in i32) and 8-bit floats (sum in f32); y has the dtype of its zero point. Scale and zero point: one,
//! one a row of a, one a column of b.

use graph::builder::BuildError;

use super::mat_mul::mat_mul;
use crate::operator::{Ctx, Operator, exactly};
use crate::quantized_products::{accumulator, along, centred, requantised};
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "QLinearMatMul",
    domain: "",
    versions: &[10, 21],
    inputs: exactly(8),
    outputs: exactly(1),
    attrs: &[],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let (a, b) = (ctx.input(0)?, ctx.input(3)?);
    let (a_scale, b_scale, y_scale) = (ctx.input(1)?, ctx.input(4)?, ctx.input(6)?);
    let (a_zero, b_zero, y_zero) = (ctx.optional(2)?, ctx.optional(5)?, ctx.optional(7)?);
    let dtype = ctx.b.dtype(y_zero.unwrap_or(a))?;
    let acc = accumulator(ctx.b.dtype(a)?);
    let (a_rank, b_rank) = (ctx.b.rank(a)?, ctx.b.rank(b)?);
    let a = centred(ctx.b, a, a_zero, a_rank.saturating_sub(2))?;
    let b = centred(ctx.b, b, b_zero, b_rank.saturating_sub(1))?;
    let sum = mat_mul(ctx.b, a, b, acc)?;
    let rank = ctx.b.rank(sum)?;
    let row = rank.saturating_sub(if b_rank > 1 { 2 } else { 1 });
    let scales = [along(ctx.b, a_scale, rank, row)?, along(ctx.b, b_scale, rank, rank.saturating_sub(1))?];
    Ok(vec![requantised(ctx.b, sum, &scales, y_scale, (y_zero, dtype))?.into()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::{check, f32s, refusal, tensor, value};
    use graph::dtype::DType;

    #[test]
    fn scales_a_row() {
        let i8s = |shape: &[usize], v: &[f64]| value(tensor(DType::I8, shape, v));
        let inputs = [
            i8s(&[2, 1], &[10.0, 20.0]),
            value(f32s(&[2], &[0.5, 1.0])),
            i8s(&[], &[0.0]),
            i8s(&[1, 1], &[3.0]),
            value(f32s(&[], &[1.0])),
            i8s(&[1], &[1.0]),
            value(f32s(&[], &[1.0])),
            i8s(&[], &[-1.0]),
        ];
        check(&OPERATOR, &[], &inputs, &[tensor(DType::I8, &[2, 1], &[9.0, 39.0])]);
    }

    #[test]
    fn a_missing_scale_is_refused() {
        let error = refusal(&OPERATOR, &[], &[value(f32s(&[1, 1, 1], &[0.0]))]);
        assert!(error.to_string().contains("input 3: expected a value"), "{error}");
    }
}
