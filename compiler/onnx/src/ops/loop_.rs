//! Loop: runs a subgraph a number of times, or while a condition holds; carries states from one iteration to the next and
//! stacks other outputs.
//!
//! <https://onnx.ai/onnx/operators/onnx__Loop.html>
//!
//! | opset | change |
//! |---|---|
//! | 1 | first |
//! | 11 | states of changing shape |
//! | 13 | sequences carried |
//! | 16 | optionals carried |
//! | 19, 21, 23, 24, 25 | dtypes |
//!
//! Dtypes: all. Where only the trip count ends the loop it becomes a `Scan`, else a `Loop`; a few iterations over sequences
//! are written out. Extents of states that change become sizes of their own at every iteration. Refused: states that change
//! dtype or rank; a loop that nothing ends.

use graph::builder::BuildError;
use graph::dtype::DType;
use graph::scalar::Scalar;
use graph::tensor::Tensor;

use crate::looping::{self, Iteration, Outcome};
use crate::operator::{AttrKind, Body, Ctx, Operator, at_least, required};
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "Loop",
    domain: "",
    versions: &[1, 11, 13, 16, 19, 21, 23, 24, 25],
    inputs: at_least(2),
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
    let limit = match ctx.optional(0)? {
        Some(id) => Some(looping::scalar(ctx.b, id, DType::I64)?),
        None => None,
    };
    let condition = match ctx.optional(1)? {
        Some(id) => Some(looping::scalar(ctx.b, id, DType::Bool)?),
        None => None,
    };
    let initial = (2..ctx.inputs.len()).map(|k| ctx.value(k).cloned()).collect::<Result<Vec<_>, _>>()?;
    let signature = ctx.importer.signature(body);
    let hints = (0..initial.len())
        .map(|k| {
            let inside = signature.inputs.get(2 + k).and_then(|(_, ty)| ty.clone());
            inside.or_else(|| ctx.declared.get(k).cloned().flatten())
        })
        .collect();
    let carried = initial.len();
    let plan = looping::Loop { bodies: &[body], values: &[], limit, condition, initial, hints };
    let finished = looping::build(ctx, plan, &mut |ctx, iteration| iterate(ctx, body, carried, iteration))?;
    Ok(finished.states.into_iter().chain(finished.stacked.into_iter().map(ImportValue::from)).collect())
}

/// One iteration. Inside, the condition that let it start is true.
fn iterate(ctx: &mut Ctx<'_>, body: Body, carried: usize, iteration: Iteration) -> Result<Outcome, BuildError> {
    let yes = ctx.b.constant(Tensor::scalar(Scalar::bool(true)))?;
    let mut inputs = vec![iteration.number.into(), yes.into()];
    inputs.extend(iteration.states);
    let mut outputs = ctx.importer.import_body(ctx.b, body, inputs, iteration.captured)?;
    if outputs.len() < 1 + carried {
        return Err(BuildError::Results { expected: 1 + carried, found: outputs.len() });
    }
    let stacked = outputs.split_off(1 + carried).iter().map(tensor).collect::<Result<_, _>>()?;
    let states = outputs.split_off(1);
    let condition = outputs.first().map_or(Ok(yes), tensor)?;
    Ok(Outcome { condition, states, stacked })
}

fn tensor(value: &ImportValue) -> Result<graph::graph::ValueId, BuildError> {
    value.as_value().ok_or_else(|| BuildError::NotATensor { found: "a sequence or optional".into() })
}
