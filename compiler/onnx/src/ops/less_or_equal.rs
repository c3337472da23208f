//! LessOrEqual: `a <= b` under NumPy broadcasting; false with NaN.
//!
//! <https://onnx.ai/onnx/operators/onnx__LessOrEqual.html>
//!
//! | opset | change |
//! |---|---|
//! | 12 | first |
//! | 16 | bfloat16 |
//!
//! Dtypes: all floats, signed integers, unsigned integers.

use graph::builder::BuildError;
use graph::expr::CmpOp;

use crate::operator::{Ctx, Operator, exactly};
use crate::pointwise;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "LessOrEqual",
    domain: "",
    versions: &[12, 16],
    inputs: exactly(2),
    outputs: exactly(1),
    attrs: &[],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    pointwise::compare(ctx, CmpOp::Le, pointwise::NUMBERS)
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{bools, check, f32s, refusal, value};

    #[test]
    fn nan_and_broadcasting() {
        let (a, b) = (f32s(&[3], &[1.0, 2.0, f32::NAN]), f32s(&[], &[2.0]));
        check(&OPERATOR, &[], &[value(a), value(b)], &[bools(&[3], &[true, true, false])]);
    }

    #[test]
    fn bool_is_refused() {
        let error = refusal(&OPERATOR, &[], &[value(bools(&[1], &[true])), value(bools(&[1], &[true]))]);
        assert_eq!(
            error.to_string(),
            "dtype bool is not supported for input 0 of LessOrEqual; supported: floats, signed integers, unsigned integers"
        );
    }
}
