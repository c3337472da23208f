//! GlobalMaxPool: the maximum of each channel over all spatial dims, which stay with extent 1.
//!
//! <https://onnx.ai/onnx/operators/onnx__GlobalMaxPool.html>
//!
//! | opset | change |
//! |---|---|
//! | 1 | first |
//! | 22 | bfloat16 |
//!
//! Dtypes: all floats. Refused: no spatial dim.

use graph::builder::BuildError;
use graph::node::Combiner;

use crate::operator::{Ctx, Operator, exactly};
use crate::sliding;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "GlobalMaxPool",
    domain: "",
    versions: &[1, 22],
    inputs: exactly(1),
    outputs: exactly(1),
    attrs: &[],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let x = ctx.input(0)?;
    let shape = ctx.b.shape(x)?;
    sliding::spatial(&shape, "GlobalMaxPool input X")?;
    let axes: Vec<usize> = (2..shape.len()).collect();
    Ok(vec![ctx.b.reduce(x, &axes, true, Combiner::Max)?.into()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::{check, f32s, refusal, value};

    #[test]
    fn below_zero() {
        let x = f32s(&[1, 2, 2], &[-1.0, -2.0, -4.0, -3.0]);
        check(&OPERATOR, &[], &[value(x)], &[f32s(&[1, 2, 1], &[-1.0, -3.0])]);
    }

    #[test]
    fn a_matrix_is_refused() {
        let error = refusal(&OPERATOR, &[], &[value(f32s(&[1, 1], &[0.0]))]);
        assert!(error.to_string().contains("rank 2 of GlobalMaxPool input X"), "{error}");
    }
}
