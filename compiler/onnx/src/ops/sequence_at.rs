//! SequenceAt: the tensor at a position of a sequence; negative positions count from the end.
//!
//! <https://onnx.ai/onnx/operators/onnx__SequenceAt.html>
//!
//! | opset | change |
//! |---|---|
//! | 11 | first |
//!
//! Dtypes: all. A sequence of known length and a constant position dissolve at import; otherwise the host does it, and the
//! result's extents become sizes. Refused: a run-time sequence whose elements have no known rank.

use graph::attrs::Attrs;
use graph::builder::BuildError;
use graph::host::HostOp;
use runtime_min::datum;

use crate::operator::{Ctx, Operator, exactly};
use crate::value::ImportValue;
use crate::{hosted, late};

#[path = "runtime/sequence_at.rs"]
mod runtime;

pub const OPERATOR: Operator = Operator {
    name: "SequenceAt",
    domain: "",
    versions: &[11],
    inputs: exactly(2),
    outputs: exactly(1),
    attrs: &[],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let (sequence, position) = (ctx.value(0)?.clone(), ctx.input(1)?);
    if let ImportValue::Seq(items) = &sequence
        && let Some(at) = ctx.b.const_tensor(position).and_then(|t| t.to_i64s().first().copied())
    {
        let place = ctx.b.axis(at, items.len())?;
        return Ok(vec![items[place].clone()]);
    }
    let operands = [late::sequence(ctx.b, &sequence)?, position];
    Ok(vec![late::one(ctx.b.host(&HOST, Attrs::new(), &operands)?)?.into()])
}

/// Sequence and position become an element.
pub const HOST: HostOp = HostOp {
    name: "sequence_at",
    infer: |_, types, symbols| {
        let (ty, binds) = late::taken(late::element(types, 0)?, symbols)?;
        Ok((vec![ty], binds))
    },
    eval: |attrs, inputs| hosted::eval(runtime::run, attrs, inputs),
    runtime: include_str!("runtime/sequence_at.rs"),
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::*;
    use graph::datum::Datum;
    use graph::dtype::DType;
    use graph::symbol::Symbols;
    use graph::ty::Type;

    #[test]
    fn negative_positions_count_from_the_end() {
        let items = Datum::Seq(vec![i64s(&[1], &[5]).into(), i64s(&[2], &[6, 7]).into()]);
        let found = (HOST.eval)(&Attrs::new(), &[items, i64s(&[], &[-1]).into()]).unwrap();
        assert_eq!(found, vec![i64s(&[2], &[6, 7]).into()]);
    }

    #[test]
    fn elements_of_unknown_rank_are_refused() {
        let sequence = Type::Seq(Box::new(Type::Ragged { dtype: DType::F32, rank: None }));
        let types = [sequence, Type::tensor(DType::I64, [])];
        let error = (HOST.infer)(&Attrs::new(), &types, &mut Symbols::default()).unwrap_err();
        assert!(error.to_string().contains("declare the shapes"));
    }
}
