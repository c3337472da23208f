//! BitwiseOr: or of every bit under NumPy broadcasting.
//!
//! <https://onnx.ai/onnx/operators/onnx__BitwiseOr.html>
//!
//! | opset | change |
//! |---|---|
//! | 18 | first |
//!
//! Dtypes: signed integers, unsigned integers.

use graph::builder::BuildError;
use graph::expr::BinOp;

use crate::operator::{Ctx, Operator, exactly};
use crate::pointwise;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "BitwiseOr",
    domain: "",
    versions: &[18],
    inputs: exactly(2),
    outputs: exactly(1),
    attrs: &[],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    pointwise::binary(ctx, BinOp::Or, pointwise::INTEGERS)
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{check, f32s, refusal, tensor, value};
    use graph::dtype::DType;

    #[test]
    fn broadcast_over_rows() {
        let a = tensor(DType::U8, &[2, 1], &[12.0, 255.0]);
        let b = tensor(DType::U8, &[2], &[10.0, 3.0]);
        let y = tensor(DType::U8, &[2, 2], &[14.0, 15.0, 255.0, 255.0]);
        check(&OPERATOR, &[], &[value(a), value(b)], &[y]);
    }

    #[test]
    fn dtype_is_refused() {
        let error = refusal(&OPERATOR, &[], &[value(f32s(&[1], &[1.0])), value(f32s(&[1], &[1.0]))]);
        assert_eq!(
            error.to_string(),
            "dtype f32 is not supported for input 0 of BitwiseOr; supported: signed integers, unsigned integers"
        );
    }
}
