//! Div: `a / b` under NumPy broadcasting; integers truncate, a zero divisor gives 0 there.
//!
//! <https://onnx.ai/onnx/operators/onnx__Div.html>
//!
//! | opset | change |
//! |---|---|
//! | 1 | first |
//! | 6 | int32, int64, uint32, uint64; `consumed_inputs` gone |
//! | 7 | NumPy broadcasting; `axis`, `broadcast` gone |
//! | 13 | bfloat16 |
//! | 14 | int16, int8, uint16, uint8 |
//!
//! Dtypes: all floats, signed integers, unsigned integers.

use graph::builder::BuildError;
use graph::expr::BinOp;

use crate::operator::{AttrKind, Ctx, Operator, attr, exactly};
use crate::pointwise;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "Div",
    domain: "",
    versions: &[1, 6, 7, 13, 14],
    inputs: exactly(2),
    outputs: exactly(1),
    attrs: &[attr("axis", AttrKind::Int), attr("broadcast", AttrKind::Int), attr("consumed_inputs", AttrKind::Ints)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    pointwise::binary(ctx, BinOp::Div, pointwise::NUMBERS)
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{Case, bools, check, f32s, i64s, int, refusal, value};

    #[test]
    fn axis_of_old_opsets() {
        Case::new(&OPERATOR)
            .opset(6)
            .attr("broadcast", int(1))
            .attr("axis", int(0))
            .value(f32s(&[2, 2], &[1.0, 2.0, 3.0, 4.0]))
            .value(f32s(&[2], &[5.0, 8.0]))
            .expect(&[f32s(&[2, 2], &[0.2, 0.4, 0.375, 0.5])]);
    }

    #[test]
    fn dtype_is_refused() {
        let error = refusal(&OPERATOR, &[], &[value(bools(&[1], &[true])), value(bools(&[1], &[true]))]);
        assert_eq!(
            error.to_string(),
            "dtype bool is not supported for input 0 of Div; supported: floats, signed integers, unsigned integers"
        );
    }

    #[test]
    fn integers_truncate() {
        let (a, b) = (i64s(&[4], &[-7, 7, -7, 7]), i64s(&[4], &[2, -2, -2, 0]));
        check(&OPERATOR, &[], &[value(a), value(b)], &[i64s(&[4], &[-3, -3, 3, 0])]);
    }
}
