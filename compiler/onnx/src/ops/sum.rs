//! Sum: the sum of all inputs under NumPy broadcasting, from the first to the last.
//!
//! <https://onnx.ai/onnx/operators/onnx__Sum.html>
//!
//! | opset | change |
//! |---|---|
//! | 1 | first |
//! | 6 | `consumed_inputs` gone |
//! | 8 | NumPy broadcasting |
//! | 13 | bfloat16 |
//!
//! Dtypes: all floats.

use graph::builder::BuildError;
use graph::expr::BinOp;

use crate::operator::{AttrKind, Ctx, Operator, at_least, attr, exactly};
use crate::pointwise;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "Sum",
    domain: "",
    versions: &[1, 6, 8, 13],
    inputs: at_least(1),
    outputs: exactly(1),
    attrs: &[attr("consumed_inputs", AttrKind::Ints)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    pointwise::variadic(ctx, BinOp::Add)
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{bools, check, f32s, refusal, value};

    #[test]
    fn three_inputs_broadcast() {
        let (a, b, c) = (f32s(&[2, 1], &[1.0, 5.0]), f32s(&[2], &[3.0, 4.0]), f32s(&[], &[2.0]));
        check(&OPERATOR, &[], &[value(a), value(b), value(c)], &[f32s(&[2, 2], &[6.0, 7.0, 10.0, 11.0])]);
    }

    #[test]
    fn bool_is_refused() {
        let error = refusal(&OPERATOR, &[], &[value(bools(&[1], &[true]))]);
        assert_eq!(
            error.to_string(),
            "dtype bool is not supported for input 0 of Sum; supported: floats, signed integers, unsigned integers"
        );
    }
}
