//! Neg: `-x`.
//!
//! <https://onnx.ai/onnx/operators/onnx__Neg.html>
//!
//! | opset | change |
//! |---|---|
//! | 1 | first |
//! | 6 | signed integers; `consumed_inputs` gone |
//! | 13 | bfloat16 |
//!
//! Dtypes: all floats, signed integers.

use graph::builder::BuildError;
use graph::expr::UnOp;

use crate::operator::{AttrKind, Ctx, Operator, attr, exactly};
use crate::pointwise;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "Neg",
    domain: "",
    versions: &[1, 6, 13],
    inputs: exactly(1),
    outputs: exactly(1),
    attrs: &[attr("consumed_inputs", AttrKind::Ints)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    pointwise::unary(ctx, UnOp::Neg, pointwise::NUMBERS)
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{bools, check, f32s, refusal, value};

    #[test]
    fn special_values() {
        check(
            &OPERATOR,
            &[],
            &[value(f32s(&[3], &[-2.0, 0.5, f32::INFINITY]))],
            &[f32s(&[3], &[2.0, -0.5, f32::NEG_INFINITY])],
        );
    }

    #[test]
    fn bool_is_refused() {
        let error = refusal(&OPERATOR, &[], &[value(bools(&[1], &[true]))]);
        assert_eq!(
            error.to_string(),
            "dtype bool is not supported for input 0 of Neg; supported: floats, signed integers, unsigned integers"
        );
    }
}
