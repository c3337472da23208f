//! Asinh: inverse hyperbolic sine.
//!
//! <https://onnx.ai/onnx/operators/onnx__Asinh.html>
//!
//! | opset | change |
//! |---|---|
//! | 9 | first |
//! | 22 | bfloat16 |
//!
//! Dtypes: all floats.

use graph::builder::BuildError;
use graph::expr::UnOp;

use crate::operator::{Ctx, Operator, exactly};
use crate::pointwise;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "Asinh",
    domain: "",
    versions: &[9, 22],
    inputs: exactly(1),
    outputs: exactly(1),
    attrs: &[],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    pointwise::unary(ctx, UnOp::Asinh, pointwise::FLOATS)
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{check, f32s, i64s, refusal, value};

    #[test]
    fn special_values() {
        check(&OPERATOR, &[], &[value(f32s(&[3], &[-3.0, 0.0, 1000.0]))], &[f32s(&[3], &[-1.818446, 0.0, 7.600903])]);
    }

    #[test]
    fn integers_are_refused() {
        let error = refusal(&OPERATOR, &[], &[value(i64s(&[1], &[1]))]);
        assert_eq!(error.to_string(), "dtype i64 is not supported for input 0 of Asinh; supported: floats");
    }
}
