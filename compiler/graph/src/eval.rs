//! The evaluator: the meaning of a model, as values. It is the oracle that everything else is compared with, and the
//! engine that folds constants.
//!
//! Same bits on every host: maths is the `libm` crate's, sums run in a fixed order, nothing depends on threads. Whatever is
//! given, the answer is a value or an [`EvalError`], never a panic.
//!
//! ```text
//! let outputs = eval::model(&model, &[Datum::Tensor(x)])?;
//! ```

mod affine;
mod bind;
mod block;
mod cast;
mod column;
mod combine;
mod compute;
mod constant;
mod contract;
mod control;
mod error;
mod float;
mod integer;
mod load;
mod order;
mod prefix;
mod program;
mod scatter;
mod sink;
mod source;
#[cfg(test)]
mod tests;

pub use error::{EvalError, Place, Problem};

use std::collections::BTreeMap;

use crate::datum::Datum;
use crate::dim::{Dim, SymId};
use crate::graph::{Graph, Guard, Model, NodeId, ValueId};
use crate::node::{Node, Op};
use crate::symbol::Symbols;

/// Values of symbols while a model runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bindings {
    values: BTreeMap<SymId, i64>,
}

impl Bindings {
    /// The value of a symbol.
    pub fn get(&self, id: SymId) -> Option<i64> {
        self.values.get(&id).copied()
    }

    /// Sets the value of a symbol.
    pub fn set(&mut self, id: SymId, value: i64) {
        self.values.insert(id, value);
    }

    /// Forgets the value of a symbol.
    pub fn unset(&mut self, id: SymId) {
        self.values.remove(&id);
    }

    /// The value of a size, if all its symbols are known.
    pub fn dim(&self, dim: &Dim) -> Option<i64> {
        match dim.as_const() {
            Some(value) => Some(value),
            None => dim.eval(&|id| self.get(id)),
        }
    }

    /// The value of an extent: known, not negative.
    fn extent(&self, dim: &Dim) -> Result<usize, Problem> {
        let value = self.dim(dim).ok_or_else(|| Problem::UnknownSize { dim: format!("{dim:?}") })?;
        usize::try_from(value).map_err(|_| Problem::NegativeExtent { found: value })
    }

    /// The values of the extents of a shape.
    fn shape(&self, dims: &[Dim]) -> Result<Vec<usize>, Problem> {
        dims.iter().map(|d| self.extent(d)).collect()
    }
}

/// Called with every value of the model's graph and of bodies, as soon as it is known.
pub type Observer<'a> = dyn FnMut(&Graph, ValueId, &Datum) + 'a;

/// What a running graph needs besides its operands.
struct Context<'a> {
    /// `None` outside of a model: ranges of symbols are not checked.
    symbols: Option<&'a Symbols>,
    guards: &'a [Guard],
    observer: Option<&'a mut Observer<'a>>,
}

impl Context<'_> {
    fn bare() -> Context<'static> {
        Context { symbols: None, guards: &[], observer: None }
    }
}

/// Runs a model: binds its input sizes from the shapes given, checks the guards, and yields the outputs.
pub fn model(model: &Model, inputs: &[Datum]) -> Result<Vec<Datum>, EvalError> {
    let ctx = Context { symbols: Some(&model.symbols), guards: &model.guards, observer: None };
    run_model(model, inputs, ctx)
}

/// Runs a model and shows every value on the way.
pub fn model_with<'a>(
    model: &'a Model,
    inputs: &[Datum],
    observer: &'a mut Observer<'a>,
) -> Result<Vec<Datum>, EvalError> {
    let ctx = Context { symbols: Some(&model.symbols), guards: &model.guards, observer: Some(observer) };
    run_model(model, inputs, ctx)
}

/// Runs a graph (of a model or a body) on its inputs' values. Its free symbols must be bound; guards are not checked.
pub fn graph(graph: &Graph, inputs: &[Datum], bindings: &mut Bindings) -> Result<Vec<Datum>, EvalError> {
    run_graph(graph, inputs, bindings, &mut Context::bare())
}

/// Runs one node on its operands' values; symbols that it brings into being are set in the bindings.
pub fn node(graph: &Graph, node: &Node, operands: &[Datum], bindings: &mut Bindings) -> Result<Vec<Datum>, EvalError> {
    run_node(graph, node, operands, bindings, &mut Context::bare())
}

fn run_model(model: &Model, inputs: &[Datum], mut ctx: Context<'_>) -> Result<Vec<Datum>, EvalError> {
    let mut bindings = Bindings::default();
    let bound = bind::inputs(model, inputs, &mut bindings);
    bound
        .and_then(|()| bind::check_guards(&ctx, &bindings, None))
        .and_then(|()| run_graph(&model.graph, inputs, &mut bindings, &mut ctx))
        .map_err(|error| error.named(&model.origins))
}

fn run_graph(
    graph: &Graph,
    inputs: &[Datum],
    bindings: &mut Bindings,
    ctx: &mut Context<'_>,
) -> Result<Vec<Datum>, EvalError> {
    if graph.inputs.len() != inputs.len() {
        return Err(Problem::InputCount { expected: graph.inputs.len(), found: inputs.len() }.into());
    }
    let last = last_uses(graph);
    let mut values: Vec<Option<Datum>> = vec![None; graph.values.len()];
    for (id, datum) in graph.inputs.iter().zip(inputs) {
        store(graph, &mut values, *id, datum.clone(), ctx);
    }
    for (id, node) in graph.iter() {
        let place = |error: EvalError| error.at(id, node);
        let mut operands = Vec::with_capacity(node.operands.len());
        for operand in &node.operands {
            operands.push(fetch(&values, *operand).map_err(place)?);
        }
        for operand in &node.operands {
            if last.get(operand.0 as usize) == Some(&Some(id)) {
                values[operand.0 as usize] = None;
            }
        }
        let results = run_node(graph, node, &operands, bindings, ctx).map_err(place)?;
        for (result, datum) in node.results.iter().zip(results) {
            store(graph, &mut values, *result, datum, ctx);
        }
    }
    graph.outputs.iter().map(|id| fetch(&values, *id)).collect()
}

/// For every value, the last node that reads it; `None` for values that are outputs or never read.
fn last_uses(graph: &Graph) -> Vec<Option<NodeId>> {
    let mut last = vec![None; graph.values.len()];
    for (id, node) in graph.iter() {
        for operand in &node.operands {
            if let Some(slot) = last.get_mut(operand.0 as usize) {
                *slot = Some(id);
            }
        }
    }
    for output in &graph.outputs {
        if let Some(slot) = last.get_mut(output.0 as usize) {
            *slot = None;
        }
    }
    last
}

fn store(graph: &Graph, values: &mut [Option<Datum>], id: ValueId, datum: Datum, ctx: &mut Context<'_>) {
    if let Some(observer) = &mut ctx.observer {
        observer(graph, id, &datum);
    }
    if let Some(slot) = values.get_mut(id.0 as usize) {
        *slot = Some(datum);
    }
}

fn fetch(values: &[Option<Datum>], id: ValueId) -> Result<Datum, EvalError> {
    let value = values.get(id.0 as usize).and_then(Clone::clone);
    value.ok_or_else(|| Problem::Malformed { what: "a value is read before it is defined" }.into())
}

fn run_node(
    graph: &Graph,
    node: &Node,
    operands: &[Datum],
    bindings: &mut Bindings,
    ctx: &mut Context<'_>,
) -> Result<Vec<Datum>, EvalError> {
    let results = match &node.op {
        Op::Const(value) => constant::run(graph, node, value, bindings)?,
        Op::Compute(compute) => compute::run(compute, operands, bindings, contract::run)?,
        Op::Scatter(scatter) => scatter::run(scatter, operands, bindings)?,
        Op::Sort(sort) => order::sort(sort, operands, bindings)?,
        Op::Compact(compact) => order::compact(compact, operands, bindings)?,
        Op::Prefix(prefix) => prefix::run(prefix, operands)?,
        Op::Scan(scan) => control::scan(scan, operands, bindings, ctx)?,
        Op::If(branch) => control::branch(branch, operands, bindings, ctx)?,
        Op::Loop(body) => control::repeat(graph, node, body, operands, bindings, ctx)?,
        Op::Bind => {
            bind::bind(node, operands, bindings, ctx)?;
            Vec::new()
        }
        Op::Host(host) => (host.op.eval)(&host.attrs, operands).map_err(Problem::Host)?,
        Op::Region(region) => run_graph(&region.body, operands, bindings, ctx)?,
    };
    if matches!(node.op, Op::If(_) | Op::Loop(_) | Op::Host(_)) {
        bind::results(graph, node, &results, bindings, ctx)?;
    }
    Ok(results)
}
