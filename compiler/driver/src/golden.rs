//! Values for the generated crate's own test: seeded inputs at small sizes, and what the evaluator makes of them.

use std::collections::BTreeMap;

use emit::Golden;
use graph::datum::Datum;
use graph::dim::{Dim, SymId};
use graph::dtype::DType;
use graph::graph::Model;
use graph::tensor::Tensor;

use passes::Precision;

use crate::compare::tolerance;
use crate::compiler::Compiled;
use crate::error::Error;
use crate::inspect::work;

/// Most arithmetic that the evaluator is asked for at emission.
const BUDGET: u64 = 50_000_000;

/// Most elements of all inputs: they become files of the crate.
const ELEMENTS: u64 = 1_000_000;

/// Inputs and outputs, where the evaluator is quick enough and all of them are tensors of bytes.
pub fn values(compiled: &Compiled) -> Result<Option<Golden>, Error> {
    let (model, sizes) = (&compiled.imported.model, compiled.plans.smallest_sizes());
    let is_large = elements(model, &sizes) > ELEMENTS || work(model, &sizes) > BUDGET;
    if is_large || !model.states.is_empty() {
        return Ok(None);
    }
    let Some(inputs) = compiled.plans.sample_inputs(0) else { return Ok(None) };
    let Ok(outputs) = graph::eval::model(model, &inputs) else {
        // Sample values that the model refuses: an index out of range, say.
        return Ok(None);
    };
    let (Some(inputs), Some(outputs)) = (tensors(&inputs), tensors(&outputs)) else { return Ok(None) };
    let precision = compiled.precision;
    if precision != Precision::F32 && !outputs.iter().all(|t| t.dtype().is_float()) {
        // An integer that comes of rounded floats may be another one.
        return Ok(None);
    }
    let tolerance = outputs.iter().map(|t| tolerance(t.dtype(), precision)).fold(0.0, f64::max);
    Ok(Some(Golden { inputs, outputs, tolerance }))
}

/// Elements of all inputs that are tensors; the most where a size is not known.
fn elements(model: &Model, sizes: &BTreeMap<SymId, i64>) -> u64 {
    let size = |dim: Dim| dim.eval(&|id| sizes.get(&id).copied()).and_then(|v| u64::try_from(v).ok());
    let inputs = model.graph.inputs.iter().filter_map(|v| model.graph.tensor(*v));
    inputs.map(|t| size(t.count()).unwrap_or(u64::MAX)).fold(0, u64::saturating_add)
}

fn tensors(values: &[Datum]) -> Option<Vec<Tensor>> {
    values.iter().map(|d| d.as_tensor().filter(|t| t.dtype() != DType::Str).cloned()).collect()
}
