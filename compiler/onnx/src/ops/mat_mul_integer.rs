//! MatMulInteger: the product of 8-bit matrices less their zero points, in i32.
//!
//! <https://onnx.ai/onnx/operators/onnx__MatMulInteger.html>
//!
//! | opset | change |
//! |---|---|
//! | 10 | first |
//!
//! Dtypes: i8 and u8, in any mixture. Zero points: one, one a row of A, one a column of B.

use graph::builder::BuildError;
use graph::dtype::DType;

use super::mat_mul::mat_mul;
use crate::operator::{Ctx, Operator, between, exactly};
use crate::quantized_products::centred;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "MatMulInteger",
    domain: "",
    versions: &[10],
    inputs: between(2, 4),
    outputs: exactly(1),
    attrs: &[],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let (a, b) = (ctx.input(0)?, ctx.input(1)?);
    for value in [a, b] {
        let found = ctx.b.dtype(value)?;
        if !matches!(found, DType::I8 | DType::U8) {
            let what = "MatMulInteger".to_string();
            return Err(BuildError::DType { what, expected: "i8, u8".to_string(), found });
        }
    }
    let (a_zero, b_zero) = (ctx.optional(2)?, ctx.optional(3)?);
    let (a_rank, b_rank) = (ctx.b.rank(a)?, ctx.b.rank(b)?);
    let a = centred(ctx.b, a, a_zero, a_rank.saturating_sub(2))?;
    let b = centred(ctx.b, b, b_zero, b_rank.saturating_sub(1))?;
    Ok(vec![mat_mul(ctx.b, a, b, DType::I32)?.into()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::{check, f32s, refusal, tensor, value};

    #[test]
    fn zero_points_a_row_and_a_column() {
        let a = tensor(DType::U8, &[2, 1], &[200.0, 3.0]);
        let b = tensor(DType::I8, &[1, 2], &[-100.0, 5.0]);
        let (za, zb) = (tensor(DType::U8, &[2], &[0.0, 1.0]), tensor(DType::I8, &[2], &[27.0, 0.0]));
        let y = tensor(DType::I32, &[2, 2], &[-25400.0, 1000.0, -254.0, 10.0]);
        check(&OPERATOR, &[], &[value(a), value(b), value(za), value(zb)], &[y]);
    }

    #[test]
    fn floats_are_refused() {
        let error = refusal(&OPERATOR, &[], &[value(f32s(&[1], &[0.0])), value(f32s(&[1], &[0.0]))]);
        assert!(error.to_string().contains("supported: i8, u8"), "{error}");
    }
}
