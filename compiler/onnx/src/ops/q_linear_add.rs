//! QLinearAdd and QLinearMul of ONNX Runtime: sums and products of quantized tensors that broadcast, quantized again.
//!
//! <https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#commicrosoftqlinearadd>
//!
//! Inputs: A, its scale and zero point, B, its scale and zero point, scale and zero point of the result.
//!
//! Dtypes: 8-bit integers; computed in f32.

use graph::expr::BinOp;

use crate::operator::{Ctx, Operator, between, exactly};
use crate::pointwise::Outputs;
use crate::quantized_products::{dequantised, requantised};

pub const OPERATOR: Operator = Operator {
    name: "QLinearAdd",
    domain: "com.microsoft",
    versions: &[1],
    inputs: between(7, 8),
    outputs: exactly(1),
    attrs: &[],
    build: |ctx| build(ctx, BinOp::Add),
};

pub const MUL_OPERATOR: Operator = Operator { name: "QLinearMul", build: |ctx| build(ctx, BinOp::Mul), ..OPERATOR };

fn build(ctx: &mut Ctx<'_>, op: BinOp) -> Outputs {
    let (a, b) = (dequantised(ctx, 0)?, dequantised(ctx, 3)?);
    let y = ctx.b.binary(op, a, b)?;
    let (scale, zero) = (ctx.input(6)?, ctx.optional(7)?);
    let dtype = ctx.dtype(0)?;
    Ok(vec![requantised(ctx.b, y, &[], scale, (zero, dtype))?.into()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::{Arg, check, f32s, refusal, tensor, value};
    use graph::dtype::DType;

    fn inputs() -> Vec<Arg> {
        let u8s = |shape: &[usize], v: &[f64]| value(tensor(DType::U8, shape, v));
        let one = |v: f32| value(f32s(&[], &[v]));
        let a = [u8s(&[2], &[130.0, 0.0]), one(2.0), u8s(&[], &[128.0])];
        let b = [u8s(&[1], &[7.0]), one(0.5), u8s(&[], &[1.0])];
        a.into_iter().chain(b).chain([one(0.25), u8s(&[], &[100.0])]).collect()
    }

    #[test]
    fn sums_and_products_saturate() {
        check(&OPERATOR, &[], &inputs(), &[tensor(DType::U8, &[2], &[128.0, 0.0])]);
        check(&MUL_OPERATOR, &[], &inputs(), &[tensor(DType::U8, &[2], &[148.0, 0.0])]);
    }

    #[test]
    fn a_missing_scale_is_refused() {
        let error = refusal(&OPERATOR, &[], &inputs()[..3]);
        assert!(error.to_string().contains("input 3: expected a value"), "{error}");
    }
}
