//! SequenceInsert: a sequence with one more tensor before a position, or at the end.
//!
//! <https://onnx.ai/onnx/operators/onnx__SequenceInsert.html>
//!
//! | opset | change |
//! |---|---|
//! | 11 | first |
//!
//! Dtypes: all. A sequence of known length and a constant position dissolve at import; otherwise the host does it.

use graph::attrs::Attrs;
use graph::builder::BuildError;
use graph::host::{HostError, HostOp};
use graph::ty::Type;
use runtime_min::datum;

use crate::operator::{Ctx, Operator, between, exactly};
use crate::value::ImportValue;
use crate::{hosted, late};

#[path = "runtime/sequence_insert.rs"]
mod runtime;

pub const OPERATOR: Operator = Operator {
    name: "SequenceInsert",
    domain: "",
    versions: &[11],
    inputs: between(2, 3),
    outputs: exactly(1),
    attrs: &[],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let (sequence, tensor) = (ctx.value(0)?.clone(), ctx.input(1)?);
    let position = ctx.optional(2)?;
    if let ImportValue::Seq(items) = &sequence {
        let at = match position {
            None => Some(items.len() as i64),
            Some(p) => ctx.b.const_tensor(p).and_then(|t| t.to_i64s().first().copied()),
        };
        if let Some(at) = at {
            let place = ctx.b.axis(at, items.len() + 1 - usize::from(at < 0))?;
            let mut items = items.clone();
            items.insert(place, tensor.into());
            let longer = ImportValue::Seq(items);
            late::type_of(ctx.b, &longer)?;
            return Ok(vec![longer]);
        }
    }
    let wanted = Type::Seq(Box::new(ctx.b.ty(tensor)?.clone()));
    let mut operands = vec![late::materialise(ctx.b, &sequence, Some(&wanted))?, tensor];
    operands.extend(position);
    Ok(vec![late::one(ctx.b.host(&HOST, Attrs::new(), &operands)?)?.into()])
}

/// Sequence, tensor, position (may be missing) become the longer sequence.
pub const HOST: HostOp = HostOp {
    name: "sequence_insert",
    infer: |_, types, _| {
        let element = late::element(types, 0)?;
        let joint = types.get(1).and_then(|tensor| element.join(tensor)).ok_or_else(|| HostError::Operand {
            position: 1,
            expected: "a tensor of the sequence's dtype",
            found: format!("{types:?}"),
        })?;
        Ok((vec![Type::Seq(Box::new(joint))], Vec::new()))
    },
    eval: |attrs, inputs| hosted::eval(runtime::run, attrs, inputs),
    runtime: include_str!("runtime/sequence_insert.rs"),
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::*;
    use graph::datum::Datum;
    use graph::tensor::Tensor;

    fn host(position: Option<i64>) -> Result<Vec<Datum>, HostError> {
        let mut inputs = vec![Datum::Seq(vec![i64s(&[1], &[5]).into()]), i64s(&[1], &[6]).into()];
        inputs.extend(position.map(|p| Tensor::from_i64s(&[p]).into()));
        (HOST.eval)(&Attrs::new(), &inputs)
    }

    #[test]
    fn the_host_counts_from_the_end() {
        let expected = Datum::Seq(vec![i64s(&[1], &[6]).into(), i64s(&[1], &[5]).into()]);
        assert_eq!(host(Some(-1)).unwrap(), vec![expected]);
    }

    #[test]
    fn a_place_beyond_the_end_is_refused() {
        assert!(host(Some(2)).unwrap_err().to_string().contains("outside a sequence of 1"));
    }
}
