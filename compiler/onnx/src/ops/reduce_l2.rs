//! ReduceL2: the square root of the sum of squares along `axes`; of integers, cut off.
//!
//! <https://onnx.ai/onnx/operators/onnx__ReduceL2.html>
//!
//! | opset | change |
//! |---|---|
//! | 1 | first |
//! | 11 | wording of the specification |
//! | 13 | bfloat16 |
//! | 18 | `axes` is an input; attribute `noop_with_empty_axes` |
//!
//! Dtypes: all floats, int32, int64, uint32, uint64.
//!
//! Refused: `axes` of unknown length, as they decide the rank.

use graph::builder::BuildError;
use graph::expr::UnOp;

use crate::operator::{AttrKind, Ctx, Operator, attr, between, exactly};
use crate::reduction;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "ReduceL2",
    domain: "",
    versions: &[1, 11, 13, 18],
    inputs: between(1, 2),
    outputs: exactly(1),
    attrs: &[
        attr("axes", AttrKind::Ints),
        attr("keepdims", AttrKind::Int),
        attr("noop_with_empty_axes", AttrKind::Int),
    ],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    reduction::sum(ctx, true, |p, e| p.mul(e, e), |p, total, _| p.unary(UnOp::Sqrt, total))
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{Case, bools, check, f32s, i64s, int, ints, refusal, value};

    #[test]
    fn axes_at_run_time_and_as_an_attribute() {
        let x = || value(f32s(&[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.5]));
        let (rows, columns) = (f32s(&[2], &[3.741657, 9.124144]), f32s(&[1, 3], &[4.123106, 5.385165, 7.158911]));
        check(&OPERATOR, &[("keepdims", int(0))], &[x(), value(i64s(&[1], &[-1]))], &[rows.clone()]);
        check(&OPERATOR, &[], &[x(), value(i64s(&[1], &[0]))], &[columns]);
        let old = Case::of(&OPERATOR, &[("keepdims", int(0)), ("axes", ints(&[1]))], &[x()]);
        old.opset(11).expect(&[rows]);
    }

    #[test]
    fn of_nothing() {
        check(&OPERATOR, &[], &[value(f32s(&[2, 0], &[])), value(i64s(&[1], &[1]))], &[f32s(&[2, 1], &[0.0; 2])]);
    }

    #[test]
    fn bool_is_refused() {
        let error = refusal(&OPERATOR, &[], &[value(bools(&[1], &[true]))]);
        assert_eq!(
            error.to_string(),
            "dtype bool is not supported for input 0 of ReduceL2; supported: floats, signed integers, unsigned integers"
        );
    }
}
