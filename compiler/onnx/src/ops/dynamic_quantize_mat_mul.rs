//! DynamicQuantizeMatMul and MatMulIntegerToFloat of ONNX Runtime: integer products scaled to floats.
//!
//! <https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#commicrosoftdynamicquantizematmul>
//!
//! | operator | inputs |
//! |---|---|
//! | DynamicQuantizeMatMul | A (f32, quantized as DynamicQuantizeLinear does), B, scales and zero points of B, bias |
//! | MatMulIntegerToFloat | A, B, scales of A and B, zero points of A and B, bias |
//!
//! Scales and zero points of B are one, or one a column. Dtypes: 8-bit integers, summed in i32.

use graph::builder::BuildError;
use graph::dtype::DType;
use graph::graph::ValueId;

use super::dynamic_quantize_linear;
use super::mat_mul::mat_mul;
use crate::inner;
use crate::operator::{Ctx, Operator, between, exactly};
use crate::pointwise::Outputs;
use crate::quantized_products::{along, centred};
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "DynamicQuantizeMatMul",
    domain: "com.microsoft",
    versions: &[1],
    inputs: between(3, 5),
    outputs: exactly(1),
    attrs: &[],
    build: dynamic,
};

pub const TO_FLOAT_OPERATOR: Operator =
    Operator { name: "MatMulIntegerToFloat", inputs: between(4, 7), build: to_float, ..OPERATOR };

/// A tensor with its scale and zero point.
type Quantized = (ValueId, ValueId, Option<ValueId>);

fn dynamic(ctx: &mut Ctx<'_>) -> Outputs {
    let x = ctx.input(0)?;
    let quantized = inner::build(ctx, &dynamic_quantize_linear::OPERATOR, 11, &[x], ctx.attrs)?;
    let [ImportValue::Value(a), ImportValue::Value(scale), ImportValue::Value(zero)] = quantized[..] else {
        return Err(BuildError::Results { expected: 3, found: quantized.len() });
    };
    let b = (ctx.input(1)?, ctx.input(2)?, ctx.optional(3)?);
    product(ctx, (a, scale, Some(zero)), b, 4)
}

fn to_float(ctx: &mut Ctx<'_>) -> Outputs {
    let a = (ctx.input(0)?, ctx.input(2)?, ctx.optional(4)?);
    let b = (ctx.input(1)?, ctx.input(3)?, ctx.optional(5)?);
    product(ctx, a, b, 6)
}

fn product(
    ctx: &mut Ctx<'_>,
    (a, a_scale, a_zero): Quantized,
    (b, b_scale, b_zero): Quantized,
    bias: usize,
) -> Outputs {
    for value in [a, b] {
        let found = ctx.b.dtype(value)?;
        if !matches!(found, DType::I8 | DType::U8) {
            let what = ctx.op_type.to_string();
            return Err(BuildError::DType { what, expected: "i8, u8".to_string(), found });
        }
    }
    let (a_rank, b_rank) = (ctx.b.rank(a)?, ctx.b.rank(b)?);
    let a = centred(ctx.b, a, a_zero, a_rank.saturating_sub(2))?;
    let b = centred(ctx.b, b, b_zero, b_rank.saturating_sub(1))?;
    let sum = mat_mul(ctx.b, a, b, DType::I32)?;
    let rank = ctx.b.rank(sum)?;
    let a_scale = along(ctx.b, a_scale, rank, rank.saturating_sub(2))?;
    let b_scale = along(ctx.b, b_scale, rank, rank.saturating_sub(1))?;
    let operands: Vec<ValueId> = [sum, a_scale, b_scale].into_iter().chain(ctx.optional(bias)?).collect();
    let y = ctx.b.map(&operands, |p, v| {
        let wide = DType::F32;
        let (sum, a, b) = (p.cast(v[0], wide), p.cast(v[1], wide), p.cast(v[2], wide));
        let scale = p.mul(a, b);
        let y = p.mul(sum, scale);
        match v.get(3) {
            Some(bias) => {
                let bias = p.cast(*bias, wide);
                p.add(y, bias)
            }
            None => y,
        }
    })?;
    Ok(vec![y.into()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::{check, f32s, missing, refusal, tensor, value};

    #[test]
    fn a_float_matrix_times_an_integer_one() {
        let b = tensor(DType::I8, &[2, 2], &[1.0, 2.0, 3.0, 4.0]);
        let (scale, bias) = (f32s(&[2], &[1.0, 0.5]), f32s(&[2], &[0.0, 100.0]));
        let a = value(f32s(&[1, 2], &[255.0, 51.0]));
        let inputs = [a, value(b), value(scale), missing(), value(bias)];
        check(&OPERATOR, &[], &inputs, &[f32s(&[1, 2], &[408.0, 457.0])]);
    }

    #[test]
    fn both_given_as_integers() {
        let (a, b) = (tensor(DType::U8, &[1, 1], &[12.0]), tensor(DType::U8, &[1, 1], &[3.0]));
        let one = |v: f32| value(f32s(&[], &[v]));
        let zero = value(tensor(DType::U8, &[], &[2.0]));
        check(&TO_FLOAT_OPERATOR, &[], &[value(a), value(b), one(0.5), one(2.0), zero], &[f32s(&[1, 1], &[30.0])]);
    }

    #[test]
    fn floats_are_refused() {
        let x = || value(f32s(&[1, 1], &[1.0]));
        let error = refusal(&TO_FLOAT_OPERATOR, &[], &[x(), x(), x(), x()]);
        assert!(error.to_string().contains("supported: i8, u8"), "{error}");
    }
}
