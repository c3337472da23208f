//! ArgMin: the position of the smallest element along `axis`, the first or last of equals.
//!
//! <https://onnx.ai/onnx/operators/onnx__ArgMin.html>
//!
//! | opset | change |
//! |---|---|
//! | 1 | first |
//! | 11 | wording of the specification |
//! | 12 | attribute `select_last_index` |
//! | 13 | bfloat16 |
//!
//! Dtypes: all floats, signed integers, unsigned integers.

use graph::builder::BuildError;
use graph::node::Combiner;

use crate::operator::{AttrKind, Ctx, Operator, attr, exactly};
use crate::reduction;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "ArgMin",
    domain: "",
    versions: &[1, 11, 12, 13],
    inputs: exactly(1),
    outputs: exactly(1),
    attrs: &[attr("axis", AttrKind::Int), attr("keepdims", AttrKind::Int), attr("select_last_index", AttrKind::Int)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    reduction::arg(ctx, |last| Combiner::ArgMin { last })
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{check, f32s, i64s, int, refusal, value};

    #[test]
    fn ties_go_to_the_first_or_the_last() {
        let x = || value(i64s(&[2, 3], &[1, 9, 1, 9, 1, 1]));
        let (first, last) = ([0, 1], [2, 2]);
        check(&OPERATOR, &[("axis", int(-1)), ("keepdims", int(0))], &[x()], &[i64s(&[2], &first)]);
        let attrs = [("axis", int(1)), ("select_last_index", int(1))];
        check(&OPERATOR, &attrs, &[x()], &[i64s(&[2, 1], &last)]);
    }

    #[test]
    fn an_empty_axis_is_refused() {
        let error = refusal(&OPERATOR, &[], &[value(f32s(&[0], &[]))]);
        assert!(error.to_string().starts_with("the axis that is searched has elements cannot hold"), "{error}");
    }
}
