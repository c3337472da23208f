//! Equal: `a == b` under NumPy broadcasting; false with NaN.
//!
//! <https://onnx.ai/onnx/operators/onnx__Equal.html>
//!
//! | opset | change |
//! |---|---|
//! | 1 | first |
//! | 7 | NumPy broadcasting; `axis`, `broadcast` gone |
//! | 11 | half, single and double floats, unsigned integers, int16, int8 |
//! | 13 | bfloat16 |
//! | 19 | strings |
//!
//! Dtypes: all floats, signed integers, unsigned integers, bool, strings.

use graph::builder::BuildError;
use graph::expr::CmpOp;

use crate::operator::{AttrKind, Ctx, Operator, attr, exactly};
use crate::pointwise;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "Equal",
    domain: "",
    versions: &[1, 7, 11, 13, 19],
    inputs: exactly(2),
    outputs: exactly(1),
    attrs: &[attr("axis", AttrKind::Int), attr("broadcast", AttrKind::Int)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    pointwise::compare(ctx, CmpOp::Eq, pointwise::NOT_STRINGS)
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{bools, check, f32s, i64s, refusal, value};

    #[test]
    fn nan_and_broadcasting() {
        let (a, b) = (f32s(&[3], &[1.0, 2.0, f32::NAN]), f32s(&[], &[2.0]));
        check(&OPERATOR, &[], &[value(a), value(b)], &[bools(&[3], &[false, true, false])]);
    }

    #[test]
    fn mixed_dtypes_are_refused() {
        let error = refusal(&OPERATOR, &[], &[value(f32s(&[1], &[1.0])), value(i64s(&[1], &[1]))]);
        assert_eq!(error.to_string(), "eq takes values of one dtype, found f32 and i64");
    }
}
