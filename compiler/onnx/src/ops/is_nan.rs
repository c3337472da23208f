//! IsNaN: whether an element is NaN.
//!
//! <https://onnx.ai/onnx/operators/onnx__IsNaN.html>
//!
//! | opset | change |
//! |---|---|
//! | 9 | first |
//! | 13 | bfloat16 |
//! | 20 | 8-bit floats |
//!
//! Dtypes: all floats, 8-bit floats.

use graph::builder::BuildError;
use graph::expr::UnOp;

use crate::operator::{Ctx, Operator, exactly};
use crate::pointwise;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "IsNaN",
    domain: "",
    versions: &[9, 13, 20],
    inputs: exactly(1),
    outputs: exactly(1),
    attrs: &[],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    pointwise::unary(ctx, UnOp::IsNan, pointwise::FLOATS)
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{bools, check, f32s, i64s, refusal, value};

    #[test]
    fn infinity_is_a_number() {
        let x = f32s(&[3], &[f32::NAN, f32::INFINITY, 0.0]);
        check(&OPERATOR, &[], &[value(x)], &[bools(&[3], &[true, false, false])]);
    }

    #[test]
    fn integers_are_refused() {
        let error = refusal(&OPERATOR, &[], &[value(i64s(&[1], &[1]))]);
        assert_eq!(error.to_string(), "dtype i64 is not supported for input 0 of IsNaN; supported: floats");
    }
}
