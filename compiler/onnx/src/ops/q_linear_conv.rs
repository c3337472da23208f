//! QLinearConv: convolution of quantized tensors, rounded back to a quantized one.
//!
//! <https://onnx.ai/onnx/operators/onnx__QLinearConv.html>
//!
//! `y = saturate(round((sum + B) * x_scale * w_scale / y_scale) + y_zero_point)`, the sum in i32 over elements less their zero
//! points.
//!
//! | opset | change |
//! |---|---|
//! | 10 | first |
//!
//! Dtypes: i8 and u8, in any mixture; y has the dtype of its zero point. Scale and zero point of w: one, or one a channel.

use graph::builder::BuildError;
use graph::dtype::DType;

use super::conv::{attributes, biased};
use crate::operator::{AttrKind, Ctx, Operator, attr, between, exactly};
use crate::quantized_products::{along, centred, requantised};
use crate::sliding;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "QLinearConv",
    domain: "",
    versions: &[10],
    inputs: between(8, 9),
    outputs: exactly(1),
    attrs: &[
        sliding::ATTRS[0],
        sliding::ATTRS[1],
        sliding::ATTRS[2],
        sliding::ATTRS[3],
        sliding::ATTRS[4],
        attr("group", AttrKind::Int),
    ],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let (x, w, bias) = (ctx.input(0)?, ctx.input(3)?, ctx.optional(8)?);
    let (x_zero, w_zero, y_zero) = (ctx.optional(2)?, ctx.optional(5)?, ctx.optional(7)?);
    let (x_scale, w_scale, y_scale) = (ctx.input(1)?, ctx.input(4)?, ctx.input(6)?);
    let dtype = ctx.b.dtype(y_zero.unwrap_or(x))?;
    let conv = attributes(ctx, x, w, DType::I32)?;
    let x = centred(ctx.b, x, x_zero, 1)?;
    let w = centred(ctx.b, w, w_zero, 0)?;
    let sum = ctx.b.conv(&conv, x, w)?;
    let sum = biased(ctx.b, sum, bias, DType::I32)?;
    let rank = ctx.b.rank(sum)?;
    let scales = [along(ctx.b, x_scale, rank, 1)?, along(ctx.b, w_scale, rank, 1)?];
    Ok(vec![requantised(ctx.b, sum, &scales, y_scale, (y_zero, dtype))?.into()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::{check, f32s, refusal, tensor, value};

    #[test]
    fn scales_a_channel_and_saturation() {
        let u8s = |shape: &[usize], v: &[f64]| value(tensor(DType::U8, shape, v));
        let inputs = [
            u8s(&[1, 1, 1], &[11.0]),
            value(f32s(&[], &[0.5])),
            u8s(&[], &[1.0]),
            u8s(&[2, 1, 1], &[3.0, 200.0]),
            value(f32s(&[2], &[1.0, 2.0])),
            u8s(&[], &[0.0]),
            value(f32s(&[], &[2.0])),
            u8s(&[], &[5.0]),
            value(tensor(DType::I32, &[2], &[2.0, 0.0])),
        ];
        // (30 + 2) * 0.25 + 5 = 13; 2000 * 0.5 + 5 saturates.
        check(&OPERATOR, &[], &inputs, &[tensor(DType::U8, &[1, 2, 1], &[13.0, 255.0])]);
    }

    #[test]
    fn a_missing_scale_is_refused() {
        let error = refusal(&OPERATOR, &[], &[value(f32s(&[1, 1, 1], &[0.0]))]);
        assert!(error.to_string().contains("input 3: expected a value"), "{error}");
    }
}
