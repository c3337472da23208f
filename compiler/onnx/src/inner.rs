//! Operators made of other operators: a node inside a node.

use std::collections::BTreeMap;

use graph::builder::BuildError;
use graph::graph::ValueId;

use crate::operator::{AttrValue, Ctx, Operator};
use crate::value::ImportValue;

/// Adds another operator in place of the node under import, on these inputs and with these attributes. `opset` says whose rules hold.
pub fn build(
    ctx: &mut Ctx<'_>,
    op: &Operator,
    opset: i64,
    inputs: &[ValueId],
    attrs: &BTreeMap<String, AttrValue>,
) -> Result<Vec<ImportValue>, BuildError> {
    let inputs: Vec<Option<ImportValue>> = inputs.iter().map(|v| Some((*v).into())).collect();
    let wanted = vec![true; op.outputs.min];
    let declared = vec![None; op.outputs.min];
    let mut inner = Ctx {
        b: &mut *ctx.b,
        importer: &mut *ctx.importer,
        opset,
        op_type: ctx.op_type,
        inputs: &inputs,
        attrs,
        wanted: &wanted,
        declared: &declared,
    };
    (op.build)(&mut inner)
}

/// The first output of another operator, a tensor.
pub fn one(
    ctx: &mut Ctx<'_>,
    op: &Operator,
    opset: i64,
    inputs: &[ValueId],
    attrs: &BTreeMap<String, AttrValue>,
) -> Result<ValueId, BuildError> {
    match build(ctx, op, opset, inputs, attrs)?.first() {
        Some(ImportValue::Value(id)) => Ok(*id),
        _ => Err(BuildError::Results { expected: 1, found: 0 }),
    }
}
