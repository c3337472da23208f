//! Acos: arc cosine; NaN outside -1..1.
//!
//! <https://onnx.ai/onnx/operators/onnx__Acos.html>
//!
//! | opset | change |
//! |---|---|
//! | 7 | first |
//! | 22 | bfloat16 |
//!
//! Dtypes: all floats.

use graph::builder::BuildError;
use graph::expr::UnOp;

use crate::operator::{Ctx, Operator, exactly};
use crate::pointwise;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "Acos",
    domain: "",
    versions: &[7, 22],
    inputs: exactly(1),
    outputs: exactly(1),
    attrs: &[],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    pointwise::unary(ctx, UnOp::Acos, pointwise::FLOATS)
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{check, f32s, i64s, refusal, value};

    #[test]
    fn special_values() {
        check(
            &OPERATOR,
            &[],
            &[value(f32s(&[4], &[1.0, 0.0, -0.5, 2.0]))],
            &[f32s(&[4], &[0.0, 1.570796, 2.094395, f32::NAN])],
        );
    }

    #[test]
    fn integers_are_refused() {
        let error = refusal(&OPERATOR, &[], &[value(i64s(&[1], &[1]))]);
        assert_eq!(error.to_string(), "dtype i64 is not supported for input 0 of Acos; supported: floats");
    }
}
