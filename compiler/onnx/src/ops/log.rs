//! Log: natural logarithm; -infinity at 0, NaN below.
//!
//! <https://onnx.ai/onnx/operators/onnx__Log.html>
//!
//! | opset | change |
//! |---|---|
//! | 1 | first |
//! | 6 | `consumed_inputs` gone |
//! | 13 | bfloat16 |
//!
//! Dtypes: all floats.

use graph::builder::BuildError;
use graph::expr::UnOp;

use crate::operator::{AttrKind, Ctx, Operator, attr, exactly};
use crate::pointwise;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "Log",
    domain: "",
    versions: &[1, 6, 13],
    inputs: exactly(1),
    outputs: exactly(1),
    attrs: &[attr("consumed_inputs", AttrKind::Ints)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    pointwise::unary(ctx, UnOp::Log, pointwise::FLOATS)
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
            &[value(f32s(&[4], &[1.0, 10.0, 0.0, -1.0]))],
            &[f32s(&[4], &[0.0, 2.302585, f32::NEG_INFINITY, f32::NAN])],
        );
    }

    #[test]
    fn integers_are_refused() {
        let error = refusal(&OPERATOR, &[], &[value(i64s(&[1], &[1]))]);
        assert_eq!(error.to_string(), "dtype i64 is not supported for input 0 of Log; supported: floats");
    }
}
