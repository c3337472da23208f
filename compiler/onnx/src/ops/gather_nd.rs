//! GatherND: slices of the input at the index tuples in the last dim of `indices`; 0 where out of range.
//!
//! <https://onnx.ai/onnx/operators/onnx__GatherND.html>
//!
//! | opset | change |
//! |---|---|
//! | 11 | first |
//! | 12 | attribute `batch_dims` |
//! | 13 | bfloat16 |
//!
//! Dtypes: all but strings; indices int64.
//!
//! Refused: index tuples of unknown length, as they decide the rank.

use graph::builder::BuildError;

use crate::operator::{AttrKind, Ctx, Operator, attr, exactly};
use crate::value::ImportValue;
use crate::{indexing, pointwise};

pub const OPERATOR: Operator = Operator {
    name: "GatherND",
    domain: "",
    versions: &[11, 12, 13],
    inputs: exactly(2),
    outputs: exactly(1),
    attrs: &[attr("batch_dims", AttrKind::Int)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let (x, indices) = (ctx.input(0)?, ctx.input(1)?);
    pointwise::require_class(ctx, 1, pointwise::INTEGERS)?;
    let (from, at) = (ctx.shape(0)?, ctx.shape(1)?);
    let batch = usize::try_from(ctx.int_or("batch_dims", 0)).unwrap_or(usize::MAX);
    let Some((tuple, outer)) = at.split_last() else {
        return Err(BuildError::Rank {
            what: "the indices of GatherND".into(),
            expected: "1 or more".into(),
            found: 0,
        });
    };
    let tuple = tuple.as_size().ok_or_else(|| BuildError::Unsupported {
        what: "index tuples of unknown length".to_string(),
        closest: "a last dim of the indices that is constant".to_string(),
    })?;
    if batch > outer.len() || batch.saturating_add(tuple) > from.len() {
        return Err(BuildError::Attr {
            name: "batch_dims".to_string(),
            expected: format!("at most {} with index tuples of {tuple}", from.len().saturating_sub(tuple)),
            found: batch.to_string(),
        });
    }
    for (a, b) in from.iter().zip(outer).take(batch) {
        ctx.b.assume_equal(a, b, "batch dims of GatherND")?;
    }
    let mut shape = outer.to_vec();
    shape.extend_from_slice(&from[batch + tuple..]);
    let count = outer.len();
    let y = ctx.b.compute(&[x, indices], shape, |p| {
        let all = p.indices();
        let mut index = all[..batch].to_vec();
        for k in 0..tuple {
            let mut at = all[..count].to_vec();
            at.push(p.int(k as i64));
            let position = p.load(1, &at);
            index.push(indexing::wrap(p, position, &from[batch + k]));
        }
        index.extend_from_slice(&all[count..]);
        let value = indexing::load(p, &index, false);
        p.out(value);
    })?;
    Ok(vec![y.into()])
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{check, i64s, int, refusal, value};

    #[test]
    fn batch_dims_and_negative_positions() {
        let x = i64s(&[2, 2, 2], &[0, 1, 2, 3, 4, 5, 6, 7]);
        let indices = i64s(&[2, 1], &[1, -2]);
        check(&OPERATOR, &[("batch_dims", int(1))], &[value(x), value(indices)], &[i64s(&[2, 2], &[2, 3, 4, 5])]);
    }

    #[test]
    fn tuples_longer_than_the_rank_are_refused() {
        let error = refusal(&OPERATOR, &[], &[value(i64s(&[1], &[1])), value(i64s(&[2], &[0, 0]))]);
        assert_eq!(error.to_string(), "attribute batch_dims: expected at most 0 with index tuples of 2, found 0");
    }
}
