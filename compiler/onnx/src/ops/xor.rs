//! Xor: logical exclusive or under NumPy broadcasting.
//!
//! <https://onnx.ai/onnx/operators/onnx__Xor.html>
//!
//! | opset | change |
//! |---|---|
//! | 1 | first |
//! | 7 | NumPy broadcasting; `axis`, `broadcast` gone |
//!
//! Dtypes: bool.

use graph::builder::BuildError;
use graph::expr::BinOp;

use crate::operator::{AttrKind, Ctx, Operator, attr, exactly};
use crate::pointwise;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "Xor",
    domain: "",
    versions: &[1, 7],
    inputs: exactly(2),
    outputs: exactly(1),
    attrs: &[attr("axis", AttrKind::Int), attr("broadcast", AttrKind::Int)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    pointwise::binary(ctx, BinOp::Xor, pointwise::BOOLS)
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{Case, bools, i64s, int, refusal, value};

    #[test]
    fn axis_of_old_opsets() {
        Case::new(&OPERATOR)
            .opset(1)
            .attr("broadcast", int(1))
            .attr("axis", int(0))
            .value(bools(&[2, 2], &[true, false, true, false]))
            .value(bools(&[2], &[true, false]))
            .expect(&[bools(&[2, 2], &[false, true, true, false])]);
    }

    #[test]
    fn dtype_is_refused() {
        let error = refusal(&OPERATOR, &[], &[value(i64s(&[1], &[1])), value(i64s(&[1], &[1]))]);
        assert_eq!(error.to_string(), "dtype i64 is not supported for input 0 of Xor; supported: bool");
    }
}
