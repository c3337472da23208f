//! Sign: -1, 0 or 1; NaN stays.
//!
//! <https://onnx.ai/onnx/operators/onnx__Sign.html>
//!
//! | opset | change |
//! |---|---|
//! | 9 | first |
//! | 13 | bfloat16 |
//!
//! Dtypes: all floats, signed integers, unsigned integers.

use graph::builder::BuildError;
use graph::expr::UnOp;

use crate::operator::{Ctx, Operator, exactly};
use crate::pointwise;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "Sign",
    domain: "",
    versions: &[9, 13],
    inputs: exactly(1),
    outputs: exactly(1),
    attrs: &[],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    pointwise::unary(ctx, UnOp::Sign, pointwise::NUMBERS)
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{bools, check, f32s, refusal, value};

    #[test]
    fn special_values() {
        check(&OPERATOR, &[], &[value(f32s(&[3], &[-7.0, 0.0, 0.1]))], &[f32s(&[3], &[-1.0, 0.0, 1.0])]);
    }

    #[test]
    fn bool_is_refused() {
        let error = refusal(&OPERATOR, &[], &[value(bools(&[1], &[true]))]);
        assert_eq!(
            error.to_string(),
            "dtype bool is not supported for input 0 of Sign; supported: floats, signed integers, unsigned integers"
        );
    }
}
