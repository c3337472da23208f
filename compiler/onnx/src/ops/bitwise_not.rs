//! BitwiseNot: every bit flipped.
//!
//! <https://onnx.ai/onnx/operators/onnx__BitwiseNot.html>
//!
//! | opset | change |
//! |---|---|
//! | 18 | first |
//!
//! Dtypes: signed integers, unsigned integers.

use graph::builder::BuildError;
use graph::expr::UnOp;

use crate::operator::{Ctx, Operator, exactly};
use crate::pointwise;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "BitwiseNot",
    domain: "",
    versions: &[18],
    inputs: exactly(1),
    outputs: exactly(1),
    attrs: &[],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    pointwise::unary(ctx, UnOp::Not, pointwise::INTEGERS)
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{check, f32s, refusal, tensor, value};
    use graph::dtype::DType;

    #[test]
    fn width_of_the_dtype() {
        let x = tensor(DType::U4, &[3], &[0.0, 5.0, 15.0]);
        check(&OPERATOR, &[], &[value(x)], &[tensor(DType::U4, &[3], &[15.0, 10.0, 0.0])]);
    }

    #[test]
    fn floats_are_refused() {
        let error = refusal(&OPERATOR, &[], &[value(f32s(&[1], &[1.0]))]);
        assert_eq!(
            error.to_string(),
            "dtype f32 is not supported for input 0 of BitwiseNot; supported: signed integers, unsigned integers"
        );
    }
}
