//! ArrayFeatureExtractor (ai.onnx.ml): the elements of the last axis at the positions given.
//!
//! <https://onnx.ai/onnx/operators/onnx_aionnxml_ArrayFeatureExtractor.html>
//!
//! | opset | change |
//! |---|---|
//! | 1 | first |
//!
//! Dtypes: all. A rank-1 input counts as one row.

use graph::builder::BuildError;
use graph::dim::Dim;

use crate::operator::{Ctx, Operator, exactly};
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "ArrayFeatureExtractor",
    domain: "ai.onnx.ml",
    versions: &[1],
    inputs: exactly(2),
    outputs: exactly(1),
    attrs: &[],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let (mut x, indices) = (ctx.input(0)?, ctx.input(1)?);
    let shape = ctx.b.shape(x)?;
    let last = match shape.len() {
        0 => return Err(BuildError::Rank { what: "X".into(), expected: "at least 1".into(), found: 0 }),
        1 => {
            x = ctx.b.reshape(x, vec![Dim::constant(1), shape[0].clone()])?;
            1
        }
        rank => rank - 1,
    };
    let count = ctx.b.tensor(indices)?.count();
    let flat = ctx.b.reshape(indices, vec![count])?;
    Ok(vec![ctx.b.gather(x, flat, last)?.into()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::*;

    #[test]
    fn a_vector_counts_as_one_row() {
        let inputs = [value(f32s(&[3], &[1.0, 2.0, 3.0])), value(i64s(&[1, 2], &[2, 0]))];
        check(&OPERATOR, &[], &inputs, &[f32s(&[1, 2], &[3.0, 1.0])]);
    }

    #[test]
    fn a_scalar_is_refused() {
        let inputs = [value(f32s(&[], &[1.0])), value(i64s(&[1], &[0]))];
        assert!(refusal(&OPERATOR, &[], &inputs).to_string().contains("at least 1"));
    }
}
