//! SequenceErase: a sequence without the tensor at a position, or without the last.
//!
//! <https://onnx.ai/onnx/operators/onnx__SequenceErase.html>
//!
//! | opset | change |
//! |---|---|
//! | 11 | first |
//!
//! Dtypes: all. A sequence of known length and a constant position dissolve at import; otherwise the host does it.

use graph::attrs::Attrs;
use graph::builder::BuildError;
use graph::host::HostOp;
use graph::ty::Type;
use runtime_min::datum;

use crate::operator::{Ctx, Operator, between, exactly};
use crate::value::ImportValue;
use crate::{hosted, late};

#[path = "runtime/sequence_erase.rs"]
mod runtime;

pub const OPERATOR: Operator = Operator {
    name: "SequenceErase",
    domain: "",
    versions: &[11],
    inputs: between(1, 2),
    outputs: exactly(1),
    attrs: &[],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let sequence = ctx.value(0)?.clone();
    let position = ctx.optional(1)?;
    if let ImportValue::Seq(items) = &sequence {
        let at = match position {
            None => Some(-1),
            Some(p) => ctx.b.const_tensor(p).and_then(|t| t.to_i64s().first().copied()),
        };
        if let Some(at) = at {
            let place = ctx.b.axis(at, items.len())?;
            let mut items = items.clone();
            items.remove(place);
            return Ok(vec![ImportValue::Seq(items)]);
        }
    }
    let mut operands = vec![late::sequence(ctx.b, &sequence)?];
    operands.extend(position);
    Ok(vec![late::one(ctx.b.host(&HOST, Attrs::new(), &operands)?)?.into()])
}

/// Sequence and position (may be missing) become the shorter sequence.
pub const HOST: HostOp = HostOp {
    name: "sequence_erase",
    infer: |_, types, _| Ok((vec![Type::Seq(Box::new(late::element(types, 0)?.clone()))], Vec::new())),
    eval: |attrs, inputs| hosted::eval(runtime::run, attrs, inputs),
    runtime: include_str!("runtime/sequence_erase.rs"),
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::*;
    use graph::datum::Datum;

    fn host(items: &[i64]) -> Result<Vec<Datum>, graph::host::HostError> {
        let items = items.iter().map(|v| i64s(&[1], &[*v]).into()).collect();
        (HOST.eval)(&Attrs::new(), &[Datum::Seq(items)])
    }

    #[test]
    fn the_last_goes_first() {
        assert_eq!(host(&[5, 6]).unwrap(), vec![Datum::Seq(vec![i64s(&[1], &[5]).into()])]);
    }

    #[test]
    fn an_empty_sequence_is_refused() {
        assert!(host(&[]).unwrap_err().to_string().contains("outside a sequence of 0"));
    }
}
