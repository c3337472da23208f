//! What a kernel means: runs it on dense tensors through the graph's evaluator.
//!
//! A stage becomes a `Compute` over the outer and inner dims; a kept output becomes a tensor that the later stages read.
//! Address maps play no part here: who calls this turns buffers into tensors and back.

use graph::datum::Datum;
use graph::dim::{Dim, SymId};
use graph::eval::{self, Bindings, EvalError};
use graph::expr::{Expr, ExprError, ExprId, Exprs, Leaves};
use graph::graph::{Graph, ValueId};
use graph::node::{Compact, Compute, Node, Op, Prefix, Scatter, Sort};
use graph::scalar::Scalar;
use graph::tensor::Tensor;
use graph::ty::Type;

use crate::kernel::{Body, Kernel, Nest, Stage, Target};

/// Why a kernel cannot be run.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum InterpretError {
    #[error("parameter {0} has no value")]
    Parameter(u32),
    #[error("the kernel is malformed: {0}")]
    Malformed(&'static str),
    #[error(transparent)]
    Eval(#[from] EvalError),
    #[error(transparent)]
    Expr(#[from] ExprError),
}

/// Runs a kernel for values of its parameters. Operands are the logical tensors; so are the results, and a result that a
/// stage stores only parts of starts with zeros.
pub fn run(kernel: &Kernel, sizes: &[i64], operands: &[Tensor]) -> Result<Vec<Tensor>, InterpretError> {
    let mut bindings = Bindings::default();
    for (k, value) in sizes.iter().enumerate() {
        bindings.set(SymId(k as u32), *value);
    }
    let mut graph = Graph::default();
    let mut inputs = Vec::new();
    for (port, tensor) in kernel.operands.iter().zip(operands) {
        inputs.push(graph.add_value(Type::tensor(port.dtype, port.shape.clone()), None));
        if tensor.dtype() != port.dtype {
            return Err(InterpretError::Malformed("an operand has another dtype"));
        }
    }
    let mut data: Vec<Datum> = operands.iter().cloned().map(Datum::Tensor).collect();
    let op = match &kernel.body {
        Body::Nest(nest) => return run_nest(kernel, nest, &mut graph, inputs, &mut data, &mut bindings),
        Body::Scatter(s) => Op::Scatter(Scatter {
            domain: s.domain.clone(),
            exprs: s.exprs.clone(),
            index: s.index.clone(),
            value: s.value,
            mode: s.mode,
        }),
        Body::Sort { axis, descending } => {
            let limit = kernel.results.first().and_then(|r| r.shape.get(*axis)).cloned();
            Op::Sort(Sort { axis: *axis, descending: *descending, limit })
        }
        Body::Compact => {
            let bound = kernel.results.first().and_then(|r| r.shape.first()).cloned();
            Op::Compact(Compact { bound: bound.ok_or(InterpretError::Malformed("compact without a result"))? })
        }
        Body::Prefix { axis, combiner, exclusive, reverse } => {
            Op::Prefix(Prefix { axis: *axis, combiner: *combiner, exclusive: *exclusive, reverse: *reverse })
        }
    };
    let results = kernel
        .results
        .iter()
        .map(|r| graph.add_value(Type::tensor(r.dtype, r.shape.clone()), None))
        .collect::<Vec<ValueId>>();
    let node = Node { op, operands: inputs, results, binds: Vec::new(), origins: Vec::new() };
    tensors(eval::node(&graph, &node, &data, &mut bindings)?)
}

fn tensors(data: Vec<Datum>) -> Result<Vec<Tensor>, InterpretError> {
    data.into_iter()
        .map(|d| match d {
            Datum::Tensor(t) => Ok(t),
            Datum::Seq(_) | Datum::Opt(_) | Datum::Map { .. } => {
                Err(InterpretError::Malformed("a result is no tensor"))
            }
        })
        .collect()
}

fn run_nest(
    kernel: &Kernel,
    nest: &Nest,
    graph: &mut Graph,
    mut inputs: Vec<ValueId>,
    data: &mut Vec<Datum>,
    bindings: &mut Bindings,
) -> Result<Vec<Tensor>, InterpretError> {
    let mut results: Vec<Option<Tensor>> = vec![None; kernel.results.len()];
    let mut dtypes: Vec<_> = kernel.operands.iter().map(|o| o.dtype).collect();
    for stage in &nest.stages {
        let compute = compute_of(nest, stage, kernel.operands.len(), &dtypes)?;
        let shape = compute.shape.clone();
        // The outputs, then the places of those that are stored away from their own index.
        let values: Vec<ValueId> = (stage.outs.iter().map(|o| o.value))
            .chain(stage.outs.iter().flat_map(|o| places(&o.target, &stage.exprs)).copied())
            .map(|e| graph.add_value(Type::tensor(stage.exprs.dtype(e), shape.clone()), None))
            .collect();
        let node = Node {
            op: Op::Compute(compute),
            operands: inputs.clone(),
            results: values.clone(),
            binds: Vec::new(),
            origins: Vec::new(),
        };
        let mut outs = tensors(eval::node(graph, &node, data, bindings)?)?;
        let mut elsewhere = outs.split_off(stage.outs.len().min(outs.len())).into_iter();
        for ((out, tensor), value) in stage.outs.iter().zip(outs).zip(values) {
            match &out.target {
                Target::Keep => {
                    dtypes.push(stage.exprs.dtype(out.value));
                    inputs.push(value);
                    data.push(Datum::Tensor(tensor));
                }
                Target::Store { result, .. } => {
                    let at: Vec<Tensor> = elsewhere.by_ref().take(places(&out.target, &stage.exprs).len()).collect();
                    let missing = InterpretError::Malformed("no such result");
                    let (slot, port) = results.get_mut(*result).zip(kernel.results.get(*result)).ok_or(missing)?;
                    *slot = Some(match at.is_empty() {
                        true => tensor,
                        false => placed(&tensor, &at, &extents(&port.shape, bindings)?)?,
                    });
                }
            }
        }
    }
    results.into_iter().collect::<Option<Vec<_>>>().ok_or(InterpretError::Malformed("a result is never stored"))
}

/// The index of a store that is not the stage's own.
fn places<'a>(target: &'a Target, exprs: &Exprs) -> &'a [ExprId] {
    match target {
        Target::Keep => &[],
        Target::Store { index, .. } => {
            let own = index.iter().enumerate().all(|(d, e)| exprs.get(*e) == Some(&Expr::Index(d as u32)));
            if own { &[] } else { index }
        }
    }
}

fn extents(shape: &[Dim], bindings: &Bindings) -> Result<Vec<usize>, InterpretError> {
    let extent = |d: &Dim| bindings.dim(d).and_then(|v| usize::try_from(v).ok());
    let all = shape.iter().map(extent).collect::<Option<Vec<usize>>>();
    all.ok_or(InterpretError::Malformed("a result's extent has no value"))
}

/// A tensor of a shape, each element of which comes from where its index says.
fn placed(tensor: &Tensor, at: &[Tensor], shape: &[usize]) -> Result<Tensor, InterpretError> {
    let outside = InterpretError::Malformed("a store outside of its result");
    let count = graph::tensor::element_count(shape).ok_or(outside.clone())?;
    let mut elements: Vec<Option<Scalar>> = vec![None; count];
    let at: Vec<Vec<i64>> = at.iter().map(Tensor::to_i64s).collect();
    for (k, element) in tensor.scalars().enumerate() {
        let mut flat = Some(0);
        for (extent, index) in shape.iter().zip(&at) {
            let index = index.get(k).and_then(|i| usize::try_from(*i).ok()).filter(|i| i < extent);
            flat = flat.zip(index).map(|(flat, index): (usize, usize)| flat * extent + index);
        }
        *flat.and_then(|f| elements.get_mut(f)).ok_or(outside.clone())? = Some(element);
    }
    let all = elements.into_iter().collect::<Option<Vec<Scalar>>>();
    let all = all.ok_or(InterpretError::Malformed("an element of a result is never stored"))?;
    Tensor::from_scalars(tensor.dtype(), shape.to_vec(), &all).map_err(|_| outside)
}

/// A stage as a Compute over the outer and inner dims; loads of kept outputs get the outer index in front.
fn compute_of(
    nest: &Nest,
    stage: &Stage,
    operands: usize,
    dtypes: &[graph::dtype::DType],
) -> Result<Compute, InterpretError> {
    let accs: Vec<_> = stage.accs.iter().map(|a| a.dtype).collect();
    let leaves = Leaves { operands: dtypes, accs: &accs };
    let mut exprs = Exprs::default();
    let outer: Vec<ExprId> =
        (0..nest.outer.len()).map(|d| exprs.add(Expr::Index(d as u32), leaves)).collect::<Result<_, _>>()?;
    let mut map: Vec<ExprId> = Vec::with_capacity(stage.exprs.len());
    for (_, expr) in stage.exprs.iter() {
        let mut copied = expr.map_children(&mut |e| map.get(e.0 as usize).copied().unwrap_or(e));
        if let Expr::Load { operand, index, .. } = &mut copied
            && *operand as usize >= operands
        {
            let mut whole = outer.clone();
            whole.append(index);
            *index = whole;
        }
        map.push(exprs.add(copied, leaves)?);
    }
    let mapped = |e: ExprId| map.get(e.0 as usize).copied().unwrap_or(e);
    let mut accs = stage.accs.clone();
    accs.iter_mut().for_each(|a| a.value = mapped(a.value));
    let mut reduce = stage.reduce.clone();
    reduce.iter_mut().for_each(|e| e.size = e.size.map(mapped));
    let shape: Vec<Dim> = nest.outer.iter().chain(&stage.inner).cloned().collect();
    let outs = stage.outs.iter().map(|o| mapped(o.value));
    let elsewhere = stage.outs.iter().flat_map(|o| places(&o.target, &stage.exprs)).map(|e| mapped(*e));
    let outs = outs.chain(elsewhere).collect();
    Ok(Compute { shape, reduce, exprs, accs, outs })
}
