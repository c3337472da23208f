//! SequenceConstruct: the inputs as a sequence. It dissolves at import; where a run-time sequence is needed, the host operator
//! of this file makes one.
//!
//! <https://onnx.ai/onnx/operators/onnx__SequenceConstruct.html>
//!
//! | opset | change |
//! |---|---|
//! | 11 | first |
//!
//! Dtypes: all. Refused: elements of unequal dtypes.

use graph::builder::BuildError;
use graph::host::HostOp;
use graph::ty::Type;
use runtime_min::datum;

use crate::operator::{Ctx, Operator, at_least, exactly};
use crate::value::ImportValue;
use crate::{hosted, late};

#[path = "runtime/sequence_construct.rs"]
mod runtime;

pub const OPERATOR: Operator = Operator {
    name: "SequenceConstruct",
    domain: "",
    versions: &[11],
    inputs: at_least(1),
    outputs: exactly(1),
    attrs: &[],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let items = ctx.all_inputs()?.into_iter().map(ImportValue::Value).collect();
    let sequence = ImportValue::Seq(items);
    late::type_of(ctx.b, &sequence)?;
    Ok(vec![sequence])
}

/// Operands become a sequence. Without operands, `dtype` and `rank` (-1: unknown) say what it could hold.
pub const HOST: HostOp = HostOp {
    name: "sequence_construct",
    infer: |attrs, types, _| {
        let element = match types.split_first() {
            None => late::described(attrs),
            Some((first, rest)) => {
                rest.iter().try_fold(first.clone(), |so_far, ty| so_far.join(ty)).ok_or_else(|| {
                    graph::host::HostError::Operand {
                        position: 0,
                        expected: "tensors of one dtype",
                        found: format!("{types:?}"),
                    }
                })?
            }
        };
        Ok((vec![Type::Seq(Box::new(element))], Vec::new()))
    },
    eval: |attrs, inputs| hosted::eval(runtime::run, attrs, inputs),
    runtime: include_str!("runtime/sequence_construct.rs"),
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::*;

    #[test]
    fn it_dissolves() {
        let case = Case::new(&OPERATOR).value(i64s(&[2], &[1, 2])).value(i64s(&[], &[3]));
        let built = case.build().unwrap();
        assert!(matches!(&built.outputs[..], [ImportValue::Seq(items)] if items.len() == 2));
        assert!(built.model.graph.nodes.is_empty());
    }

    #[test]
    fn mixed_dtypes_are_refused() {
        let error = refusal(&OPERATOR, &[], &[value(i64s(&[1], &[1])), value(f32s(&[1], &[1.0]))]);
        assert!(error.to_string().contains("one kind and dtype"));
    }
}
