//! Round: the nearest integer, ties to the even one.
//!
//! <https://onnx.ai/onnx/operators/onnx__Round.html>
//!
//! | opset | change |
//! |---|---|
//! | 11 | first |
//! | 22 | bfloat16 |
//!
//! Dtypes: all floats.

use graph::builder::BuildError;
use graph::expr::UnOp;

use crate::operator::{Ctx, Operator, exactly};
use crate::pointwise;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "Round",
    domain: "",
    versions: &[11, 22],
    inputs: exactly(1),
    outputs: exactly(1),
    attrs: &[],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    pointwise::unary(ctx, UnOp::Round, pointwise::FLOATS)
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{check, f32s, i64s, refusal, value};

    #[test]
    fn special_values() {
        check(&OPERATOR, &[], &[value(f32s(&[4], &[0.5, 1.5, -2.5, 2.6]))], &[f32s(&[4], &[0.0, 2.0, -2.0, 3.0])]);
    }

    #[test]
    fn integers_are_refused() {
        let error = refusal(&OPERATOR, &[], &[value(i64s(&[1], &[1]))]);
        assert_eq!(error.to_string(), "dtype i64 is not supported for input 0 of Round; supported: floats");
    }
}
