//! GatherElements: `y[i] = x[i with indices[i] along axis]`, negative ones counted from the end; 0 where out of range.
//!
//! <https://onnx.ai/onnx/operators/onnx__GatherElements.html>
//!
//! | opset | change |
//! |---|---|
//! | 11 | first |
//! | 13 | bfloat16 |
//!
//! Dtypes: all but strings; indices int32, int64.

use graph::builder::BuildError;

use crate::operator::{AttrKind, Ctx, Operator, attr, exactly};
use crate::value::ImportValue;
use crate::{indexing, pointwise};

pub const OPERATOR: Operator = Operator {
    name: "GatherElements",
    domain: "",
    versions: &[11, 13],
    inputs: exactly(2),
    outputs: exactly(1),
    attrs: &[attr("axis", AttrKind::Int)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let (x, indices) = (ctx.input(0)?, ctx.input(1)?);
    pointwise::require_class(ctx, 1, pointwise::INTEGERS)?;
    let (from, shape) = (ctx.shape(0)?, ctx.shape(1)?);
    let axis = ctx.b.axis(ctx.int_or("axis", 0), from.len())?;
    if shape.len() != from.len() {
        return Err(BuildError::Rank {
            what: "the indices of GatherElements".to_string(),
            expected: from.len().to_string(),
            found: shape.len(),
        });
    }
    let extent = from[axis].clone();
    let y = ctx.b.compute(&[x, indices], shape, |p| {
        let mut index = p.indices();
        let position = p.load(1, &index);
        index[axis] = indexing::wrap(p, position, &extent);
        let value = indexing::load(p, &index, false);
        p.out(value);
    })?;
    Ok(vec![y.into()])
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{check, f32s, i64s, refusal, value};

    #[test]
    fn fewer_rows_than_the_input() {
        let x = f32s(&[2, 2], &[1.0, 2.0, 3.0, 4.0]);
        let indices = i64s(&[1, 2], &[-1, 0]);
        check(&OPERATOR, &[], &[value(x), value(indices)], &[f32s(&[1, 2], &[3.0, 2.0])]);
    }

    #[test]
    fn indices_of_another_rank_are_refused() {
        let error = refusal(&OPERATOR, &[], &[value(f32s(&[1], &[1.0])), value(i64s(&[], &[0]))]);
        assert_eq!(error.to_string(), "rank 0 of the indices of GatherElements, expected 1");
    }
}
