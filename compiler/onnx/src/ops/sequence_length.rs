//! SequenceLength: the number of tensors in a sequence, an i64 scalar.
//!
//! <https://onnx.ai/onnx/operators/onnx__SequenceLength.html>
//!
//! | opset | change |
//! |---|---|
//! | 11 | first |
//!
//! Dtypes: all. Refused: a tensor.

use graph::attrs::Attrs;
use graph::builder::BuildError;
use graph::dim::Dim;
use graph::dtype::DType;
use graph::host::HostOp;
use graph::ty::Type;
use runtime_min::datum;

use crate::operator::{Ctx, Operator, exactly};
use crate::value::ImportValue;
use crate::{hosted, late};

#[path = "runtime/sequence_length.rs"]
mod runtime;

pub const OPERATOR: Operator = Operator {
    name: "SequenceLength",
    domain: "",
    versions: &[11],
    inputs: exactly(1),
    outputs: exactly(1),
    attrs: &[],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let sequence = ctx.value(0)?.clone();
    if let ImportValue::Seq(items) = &sequence {
        return Ok(vec![ctx.b.dim_scalar(&Dim::from(items.len()))?.into()]);
    }
    let id = late::sequence(ctx.b, &sequence)?;
    Ok(vec![late::one(ctx.b.host(&HOST, Attrs::new(), &[id])?)?.into()])
}

/// Sequence becomes its length.
pub const HOST: HostOp = HostOp {
    name: "sequence_length",
    infer: |_, types, _| late::element(types, 0).map(|_| (vec![Type::tensor(DType::I64, [])], Vec::new())),
    eval: |attrs, inputs| hosted::eval(runtime::run, attrs, inputs),
    runtime: include_str!("runtime/sequence_length.rs"),
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::*;
    use graph::datum::Datum;

    #[test]
    fn an_empty_sequence_has_length_0() {
        assert_eq!((HOST.eval)(&Attrs::new(), &[Datum::Seq(Vec::new())]).unwrap(), vec![i64s(&[], &[0]).into()]);
    }

    #[test]
    fn a_tensor_is_refused() {
        assert!(refusal(&OPERATOR, &[], &[value(i64s(&[1], &[5]))]).to_string().contains("a sequence"));
    }
}
