//! ConcatFromSequence: the tensors of a sequence joined along an axis, or stacked along a new one.
//!
//! <https://onnx.ai/onnx/operators/onnx__ConcatFromSequence.html>
//!
//! | opset | change |
//! |---|---|
//! | 11 | first |
//!
//! Dtypes: all. Refused: an empty sequence; a run-time sequence whose elements have no known rank.

use graph::attrs::{Attr, Attrs};
use graph::builder::BuildError;
use graph::host::{HostError, HostOp};
use runtime_min::datum;

use crate::operator::{AttrKind, Ctx, Operator, attr, exactly, required};
use crate::value::ImportValue;
use crate::{hosted, late};

#[path = "runtime/concat_from_sequence.rs"]
mod runtime;

pub const OPERATOR: Operator = Operator {
    name: "ConcatFromSequence",
    domain: "",
    versions: &[11],
    inputs: exactly(1),
    outputs: exactly(1),
    attrs: &[required("axis", AttrKind::Int), attr("new_axis", AttrKind::Int)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let sequence = ctx.value(0)?.clone();
    let stack = ctx.int_or("new_axis", 0) != 0;
    let axis = ctx.int_or("axis", 0);
    if let ImportValue::Seq(items) = &sequence
        && let Some(parts) = items.iter().map(ImportValue::as_value).collect::<Option<Vec<_>>>()
    {
        let Some(first) = parts.first() else {
            return Err(BuildError::Operand {
                what: "input 0 of ConcatFromSequence".into(),
                expected: "at least one tensor".into(),
                found: "an empty sequence".into(),
            });
        };
        let axis = ctx.b.axis(axis, ctx.b.rank(*first)? + usize::from(stack))?;
        let parts = if stack {
            parts.iter().map(|p| ctx.b.unsqueeze(*p, &[axis])).collect::<Result<Vec<_>, _>>()?
        } else {
            parts
        };
        return Ok(vec![ctx.b.concat(&parts, axis)?.into()]);
    }
    let id = late::sequence(ctx.b, &sequence)?;
    let types = [ctx.b.ty(id)?.clone()];
    let rank = late::element(&types, 0)?.ragged().and_then(|(_, rank)| rank).unwrap_or(0);
    let axis = ctx.b.axis(axis, rank + usize::from(stack))?;
    let attrs = Attrs::new().with("axis", Attr::Int(axis as i64)).with("new_axis", Attr::Bool(stack));
    Ok(vec![late::one(ctx.b.host(&HOST, attrs, &[id])?)?.into()])
}

/// Sequence becomes one tensor; `axis` is not negative.
pub const HOST: HostOp = HostOp {
    name: "concat_from_sequence",
    infer: |attrs, types, symbols| {
        let element = late::element(types, 0)?;
        let known = element.ragged().and_then(|(dtype, rank)| Some((dtype, rank?)));
        let (dtype, rank) = known.ok_or_else(|| HostError::Operand {
            position: 0,
            expected: "elements of one known rank; declare the shapes of the sequence in the model",
            found: format!("{element:?}"),
        })?;
        let stacked = usize::from(attrs.bool("new_axis") == Some(true));
        let (ty, binds) = late::fresh_tensor(dtype, rank + stacked, symbols);
        Ok((vec![ty], binds))
    },
    eval: |attrs, inputs| hosted::eval(runtime::run, attrs, inputs),
    runtime: include_str!("runtime/concat_from_sequence.rs"),
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::*;
    use graph::datum::Datum;

    fn host(axis: i64, stack: bool, items: Vec<Datum>) -> Result<Vec<Datum>, HostError> {
        let attrs = Attrs::new().with("axis", Attr::Int(axis)).with("new_axis", Attr::Bool(stack));
        (HOST.eval)(&attrs, &[Datum::Seq(items)])
    }

    #[test]
    fn rows_interleave_along_a_late_axis() {
        let items = vec![i64s(&[2, 1], &[1, 2]).into(), i64s(&[2, 2], &[3, 4, 5, 6]).into()];
        assert_eq!(host(1, false, items).unwrap(), vec![i64s(&[2, 3], &[1, 3, 4, 2, 5, 6]).into()]);
        let items = vec![i64s(&[2], &[1, 2]).into(), i64s(&[2], &[3, 4]).into()];
        assert_eq!(host(1, true, items).unwrap(), vec![i64s(&[2, 2], &[1, 3, 2, 4]).into()]);
    }

    #[test]
    fn unequal_elements_are_refused() {
        let items = vec![i64s(&[1, 1], &[1]).into(), i64s(&[1, 2], &[3, 4]).into()];
        assert!(host(0, false, items).unwrap_err().to_string().contains("do not fit"));
    }
}
