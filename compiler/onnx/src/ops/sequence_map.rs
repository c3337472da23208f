//! SequenceMap: applies a subgraph to the elements of sequences, position by position.
//!
//! <https://onnx.ai/onnx/operators/onnx__SequenceMap.html>
//!
//! | opset | change |
//! |---|---|
//! | 17 | first |
//!
//! Dtypes: all. Over sequences of known length it is written out; else it is a loop over run-time sequences. Refused: input
//! sequences of unequal known lengths.

use graph::attrs::Attrs;
use graph::builder::BuildError;
use graph::graph::ValueId;
use graph::scalar::Scalar;
use graph::tensor::Tensor;
use graph::ty::Type;

use super::{sequence_at, sequence_insert, sequence_length};
use crate::late;
use crate::looping::{self, Iteration, Outcome};
use crate::operator::{AttrKind, Body, Ctx, Operator, at_least, required};
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "SequenceMap",
    domain: "",
    versions: &[17],
    inputs: at_least(1),
    outputs: at_least(1),
    attrs: &[required("body", AttrKind::Graph)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let body = ctx.body("body").ok_or_else(|| BuildError::Attr {
        name: "body".into(),
        expected: "a graph".into(),
        found: "nothing".into(),
    })?;
    let inputs = (0..ctx.inputs.len()).map(|k| ctx.value(k).cloned()).collect::<Result<Vec<_>, _>>()?;
    let mut lengths = Vec::new();
    let mut late = false;
    for input in &inputs {
        match input {
            ImportValue::Seq(items) => lengths.push(items.len()),
            ImportValue::Value(id) => late |= matches!(ctx.b.ty(*id)?, Type::Seq(_)),
            ImportValue::Opt(_) => {}
        }
    }
    if let Some(other) = lengths.iter().find(|l| **l != lengths[0]) {
        return Err(BuildError::Shapes {
            what: "lengths of the sequences of SequenceMap".into(),
            left: lengths[0].to_string(),
            right: other.to_string(),
        });
    }
    match lengths.first() {
        Some(length) if !late => written_out(ctx, body, &inputs, *length),
        _ => looped(ctx, body, &inputs),
    }
}

fn written_out(
    ctx: &mut Ctx<'_>,
    body: Body,
    inputs: &[ImportValue],
    length: usize,
) -> Result<Vec<ImportValue>, BuildError> {
    let mut out: Vec<Vec<ImportValue>> = vec![Vec::new(); ctx.importer.signature(body).outputs.len()];
    for position in 0..length {
        let elements = inputs
            .iter()
            .map(|input| match input {
                ImportValue::Seq(items) => items.get(position).cloned().unwrap_or_else(|| input.clone()),
                ImportValue::Value(_) | ImportValue::Opt(_) => input.clone(),
            })
            .collect();
        let captured = ctx.importer.captures(body);
        let results = ctx.importer.import_body(ctx.b, body, elements, captured)?;
        for (items, result) in out.iter_mut().zip(results) {
            items.push(result);
        }
    }
    Ok(out.into_iter().map(ImportValue::Seq).collect())
}

fn looped(ctx: &mut Ctx<'_>, body: Body, inputs: &[ImportValue]) -> Result<Vec<ImportValue>, BuildError> {
    let values = inputs.iter().map(|i| late::materialise(ctx.b, i, None)).collect::<Result<Vec<_>, _>>()?;
    let first = *values.first().ok_or(BuildError::Results { expected: 1, found: 0 })?;
    let limit = late::one(ctx.b.host(&sequence_length::HOST, Attrs::new(), &[first])?)?;
    let count = ctx.importer.signature(body).outputs.len();
    let hints = (0..count).map(|k| ctx.declared.get(k).cloned().flatten()).collect();
    let initial = vec![ImportValue::Seq(Vec::new()); count];
    let plan = looping::Loop { bodies: &[body], values: &values, limit: Some(limit), condition: None, initial, hints };
    let finished = looping::build(ctx, plan, &mut |ctx, iteration| element(ctx, body, iteration))?;
    Ok(finished.states)
}

/// Applies the body to one position and appends its outputs.
fn element(ctx: &mut Ctx<'_>, body: Body, iteration: Iteration) -> Result<Outcome, BuildError> {
    let mut elements = Vec::with_capacity(iteration.values.len());
    for value in &iteration.values {
        let element = if matches!(ctx.b.ty(*value)?, Type::Seq(_)) {
            late::one(ctx.b.host(&sequence_at::HOST, Attrs::new(), &[*value, iteration.number])?)?
        } else {
            *value
        };
        elements.push(element.into());
    }
    let results = ctx.importer.import_body(ctx.b, body, elements, iteration.captured)?;
    let mut states = Vec::with_capacity(results.len());
    for (state, result) in iteration.states.into_iter().zip(results) {
        states.push(match (state, result) {
            (ImportValue::Seq(mut items), result) => {
                items.push(result);
                ImportValue::Seq(items)
            }
            (state, result) => appended(ctx, &state, &result)?.into(),
        });
    }
    let condition = ctx.b.constant(Tensor::scalar(Scalar::bool(true)))?;
    Ok(Outcome { condition, states, stacked: Vec::new() })
}

fn appended(ctx: &mut Ctx<'_>, sequence: &ImportValue, item: &ImportValue) -> Result<ValueId, BuildError> {
    let operands = [late::materialise(ctx.b, sequence, None)?, late::materialise(ctx.b, item, None)?];
    late::one(ctx.b.host(&sequence_insert::HOST, Attrs::new(), &operands)?)
}
