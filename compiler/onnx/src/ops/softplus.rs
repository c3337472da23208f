//! Softplus: `ln(1 + e^x)`, in the form `max(x, 0) + ln(1 + e^-|x|)` that does not overflow.
//!
//! <https://onnx.ai/onnx/operators/onnx__Softplus.html>
//!
//! | opset | change |
//! |---|---|
//! | 1 | first |
//! | 22 | bfloat16 |
//!
//! Dtypes: all floats.

use graph::builder::BuildError;

use crate::operator::{Ctx, Operator, exactly};
use crate::pointwise;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "Softplus",
    domain: "",
    versions: &[1, 22],
    inputs: exactly(1),
    outputs: exactly(1),
    attrs: &[],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    pointwise::formula(ctx, pointwise::softplus)
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{check, f32s, i64s, refusal, value};

    #[test]
    fn both_sides_of_zero() {
        let x = f32s(&[5], &[-3.0, -0.25, 0.0, 0.5, 8.0]);
        check(&OPERATOR, &[], &[value(x)], &[f32s(&[5], &[0.04858735, 0.5759394, 0.6931472, 0.974077, 8.000335])]);
    }

    #[test]
    fn integers_are_refused() {
        let error = refusal(&OPERATOR, &[], &[value(i64s(&[1], &[1]))]);
        assert_eq!(error.to_string(), "dtype i64 is not supported for input 0 of Softplus; supported: floats");
    }
}
