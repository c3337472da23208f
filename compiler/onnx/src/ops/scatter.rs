//! Scatter: the former name of ScatterElements, without reductions.
//!
//! <https://onnx.ai/onnx/operators/onnx__Scatter.html>
//!
//! | opset | change |
//! |---|---|
//! | 9 | first |
//! | 11 | negative axis; deprecated for ScatterElements |
//!
//! Dtypes: all.

use crate::operator::{AttrKind, Operator, attr, exactly};

use super::scatter_elements;

pub const OPERATOR: Operator = Operator {
    name: "Scatter",
    domain: "",
    versions: &[9, 11],
    inputs: exactly(3),
    outputs: exactly(1),
    attrs: &[attr("axis", AttrKind::Int)],
    build: scatter_elements::OPERATOR.build,
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::*;

    #[test]
    fn the_later_update_wins() {
        let inputs = [value(i64s(&[2], &[7, 8])), value(i64s(&[2], &[1, 1])), value(i64s(&[2], &[1, 2]))];
        check(&OPERATOR, &[], &inputs, &[i64s(&[2], &[7, 2])]);
    }

    #[test]
    fn other_ranks_are_refused() {
        let inputs = [value(i64s(&[1, 1], &[7])), value(i64s(&[1], &[0])), value(i64s(&[1], &[1]))];
        assert!(refusal(&OPERATOR, &[], &inputs).to_string().contains("rank 1"));
    }
}
