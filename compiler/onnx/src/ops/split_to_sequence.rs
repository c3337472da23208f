//! SplitToSequence: a tensor in parts along an axis, as a sequence.
//!
//! <https://onnx.ai/onnx/operators/onnx__SplitToSequence.html>
//!
//! | opset | change |
//! |---|---|
//! | 11 | first |
//! | 24 | bfloat16 |
//!
//! Dtypes: all. A known number of parts dissolves at import, even if their sizes are computed at run time; otherwise the host
//! splits.

use graph::attrs::{Attr, Attrs};
use graph::builder::BuildError;
use graph::dim::Dim;
use graph::graph::ValueId;
use graph::host::{HostError, HostOp};
use graph::tensor::Tensor;
use graph::ty::Type;
use runtime_min::datum;

use crate::operator::{AttrKind, Ctx, Operator, attr, between, exactly};
use crate::value::ImportValue;
use crate::{hosted, late};

#[path = "runtime/split_to_sequence.rs"]
mod runtime;

pub const OPERATOR: Operator = Operator {
    name: "SplitToSequence",
    domain: "",
    versions: &[11, 24],
    inputs: between(1, 2),
    outputs: exactly(1),
    attrs: &[attr("axis", AttrKind::Int), attr("keepdims", AttrKind::Int)],
    build,
};

/// Most parts that a split dissolves into.
const PARTS: usize = 4096;

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let (x, split) = (ctx.input(0)?, ctx.optional(1)?);
    let shape = ctx.b.shape(x)?;
    let axis = ctx.b.axis(ctx.int_or("axis", 0), shape.len())?;
    let squeeze = split.is_none() && ctx.int_or("keepdims", 1) == 0;
    let Some(sizes) = sizes(ctx, split, &shape[axis])? else {
        let split = match split {
            Some(id) => id,
            None => ctx.b.constant(Tensor::scalar(graph::scalar::Scalar::i64(1)))?,
        };
        let attrs = Attrs::new().with("axis", Attr::Int(axis as i64)).with("squeeze", Attr::Bool(squeeze));
        return Ok(vec![late::one(ctx.b.host(&HOST, attrs, &[x, split])?)?.into()]);
    };
    let mut start = Dim::constant(0);
    let mut parts = Vec::with_capacity(sizes.len());
    for size in sizes {
        let mut part = ctx.b.slice(x, axis, &start, 1, size.clone())?;
        if squeeze {
            part = ctx.b.squeeze(part, &[axis])?;
        }
        parts.push(part.into());
        start = &start + &size;
    }
    ctx.b.assume_equal(&start, &shape[axis], "the parts of SplitToSequence make up the axis")?;
    Ok(vec![ImportValue::Seq(parts)])
}

/// Sizes of the parts, if their number is known.
fn sizes(ctx: &mut Ctx<'_>, split: Option<ValueId>, extent: &Dim) -> Result<Option<Vec<Dim>>, BuildError> {
    let part = match split {
        None => 1,
        Some(id) => match ctx.b.shape(id)?.as_slice() {
            [] => match ctx.b.const_tensor(id).and_then(|t| t.to_i64s().first().copied()) {
                Some(part) => part,
                None => return Ok(None),
            },
            [count] if count.as_size().is_some_and(|c| c <= PARTS) => return ctx.b.dims_of(id, 0, None).map(Some),
            _ => return Ok(None),
        },
    };
    let part = usize::try_from(part).ok().filter(|p| *p > 0).ok_or_else(|| BuildError::Operand {
        what: "split".into(),
        expected: "a positive size".into(),
        found: part.to_string(),
    })?;
    let Some(extent) = extent.as_size().filter(|e| e.div_ceil(part) <= PARTS) else { return Ok(None) };
    Ok(Some((0..extent.div_ceil(part)).map(|k| Dim::from(part.min(extent - k * part))).collect()))
}

/// Tensor and split become a sequence; `axis` is not negative, `squeeze` drops it.
pub const HOST: HostOp = HostOp {
    name: "split_to_sequence",
    infer: |attrs, types, _| {
        let known = types.first().and_then(Type::ragged).and_then(|(dtype, rank)| Some((dtype, rank?)));
        let (dtype, rank) = known.ok_or_else(|| HostError::Operand {
            position: 0,
            expected: "a tensor",
            found: format!("{:?}", types.first()),
        })?;
        let rank = rank.saturating_sub(usize::from(attrs.bool("squeeze") == Some(true)));
        Ok((vec![Type::Seq(Box::new(Type::Ragged { dtype, rank: Some(rank) }))], Vec::new()))
    },
    eval: |attrs, inputs| hosted::eval(runtime::run, attrs, inputs),
    runtime: include_str!("runtime/split_to_sequence.rs"),
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::*;
    use graph::datum::Datum;

    #[test]
    fn the_last_part_may_be_smaller() {
        let case = Case::new(&OPERATOR).attr("axis", int(-1)).value(i64s(&[2, 3], &[1, 2, 3, 4, 5, 6]));
        case.constant(i64s(&[], &[2])).outputs(1).build().unwrap();
        let attrs = Attrs::new().with("axis", Attr::Int(1));
        let inputs = [i64s(&[2, 3], &[1, 2, 3, 4, 5, 6]).into(), i64s(&[], &[2]).into()];
        let expected = Datum::Seq(vec![i64s(&[2, 2], &[1, 2, 4, 5]).into(), i64s(&[2, 1], &[3, 6]).into()]);
        assert_eq!((HOST.eval)(&attrs, &inputs).unwrap(), vec![expected]);
    }

    #[test]
    fn parts_that_do_not_add_up_are_refused() {
        let error = refusal(&OPERATOR, &[], &[value(i64s(&[3], &[1, 2, 3])), constant(i64s(&[2], &[1, 1]))]);
        assert!(error.to_string().contains("make up the axis"));
    }
}
