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
        let values: Vec<ValueId> = stage
            .outs
            .iter()
            .map(|o| graph.add_value(Type::tensor(stage.exprs.dtype(o.value), shape.clone()), None))
            .collect();
        let node = Node {
            op: Op::Compute(compute),
            operands: inputs.clone(),
            results: values.clone(),
            binds: Vec::new(),
            origins: Vec::new(),
        };
        let outs = tensors(eval::node(graph, &node, data, bindings)?)?;
        for ((out, tensor), value) in stage.outs.iter().zip(outs).zip(values) {
            match &out.target {
                Target::Keep => {
                    dtypes.push(stage.exprs.dtype(out.value));
                    inputs.push(value);
                    data.push(Datum::Tensor(tensor));
                }
                Target::Store { result, index } => {
                    let identity =
                        index.iter().enumerate().all(|(d, e)| stage.exprs.get(*e) == Some(&Expr::Index(d as u32)));
                    if !identity {
                        return Err(InterpretError::Malformed("a store away from its own index"));
                    }
                    let slot = results.get_mut(*result).ok_or(InterpretError::Malformed("no such result"))?;
                    *slot = Some(tensor);
                }
            }
        }
    }
    results.into_iter().collect::<Option<Vec<_>>>().ok_or(InterpretError::Malformed("a result is never stored"))
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
    Ok(Compute { shape, reduce, exprs, accs, outs: stage.outs.iter().map(|o| mapped(o.value)).collect() })
}
