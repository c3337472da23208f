//! Mul: `a * b` under NumPy broadcasting; integers wrap.
//!
//! <https://onnx.ai/onnx/operators/onnx__Mul.html>
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
    name: "Mul",
    domain: "",
    versions: &[1, 6, 7, 13, 14],
    inputs: exactly(2),
    outputs: exactly(1),
    attrs: &[attr("axis", AttrKind::Int), attr("broadcast", AttrKind::Int), attr("consumed_inputs", AttrKind::Ints)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    pointwise::binary(ctx, BinOp::Mul, pointwise::NUMBERS)
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{Case, bools, f32s, int, refusal, value};

    #[test]
    fn axis_of_old_opsets() {
        Case::new(&OPERATOR)
            .opset(6)
            .attr("broadcast", int(1))
            .attr("axis", int(0))
            .value(f32s(&[2, 2], &[1.0, 2.0, 3.0, 4.0]))
            .value(f32s(&[2], &[5.0, 8.0]))
            .expect(&[f32s(&[2, 2], &[5.0, 10.0, 24.0, 32.0])]);
    }

    #[test]
    fn dtype_is_refused() {
        let error = refusal(&OPERATOR, &[], &[value(bools(&[1], &[true])), value(bools(&[1], &[true]))]);
        assert_eq!(
            error.to_string(),
            "dtype bool is not supported for input 0 of Mul; supported: floats, signed integers, unsigned integers"
        );
    }
}
