//! The nodes that run bodies: `If`, `Loop`, `Scan`.

use bytes::{Bytes, BytesMut};

use crate::datum::{Datum, scalar_i64};
use crate::dim::SymId;
use crate::dtype::DType;
use crate::eval::{Bindings, Context, EvalError, Problem, bind, run_graph};
use crate::graph::Graph;
use crate::node::{If, Loop, Node, Scan};
use crate::tensor::{Packer, Tensor};
use crate::ty::Type;

/// An `If`.
pub(super) fn branch(
    branch: &If,
    operands: &[Datum],
    bindings: &mut Bindings,
    ctx: &mut Context<'_>,
) -> Result<Vec<Datum>, EvalError> {
    let condition = bind::scalar_i64(operands, 0)?;
    let body = if condition != 0 { &branch.then_body } else { &branch.else_body };
    run_graph(body, operands.get(1..).unwrap_or_default(), bindings, ctx)
}

/// A `Loop`. A negative trip limit runs nothing.
pub(super) fn repeat(
    graph: &Graph,
    node: &Node,
    body: &Loop,
    operands: &[Datum],
    bindings: &mut Bindings,
    ctx: &mut Context<'_>,
) -> Result<Vec<Datum>, EvalError> {
    let trip = bind::scalar_i64(operands, 0)?;
    let mut condition = bind::scalar_i64(operands, 1)? != 0;
    let malformed = || Problem::Malformed { what: "a loop has its operands and body outputs in order" };
    let mut carried = operands.get(2..2 + body.carried).ok_or_else(malformed)?.to_vec();
    let captures = operands.get(2 + body.carried..).unwrap_or_default();
    let inner = inner_symbols(&body.body);
    let types: Vec<&Type> = body.body.inputs.iter().filter_map(|i| body.body.value(*i)).map(|v| &v.ty).collect();
    let stacked = body.body.outputs.len().checked_sub(1 + body.carried).ok_or_else(malformed)?;
    let mut stacks: Vec<Vec<Tensor>> = vec![Vec::new(); stacked];
    let mut iteration = 0;
    while condition && iteration < trip {
        inner.iter().for_each(|id| bindings.unset(*id));
        let mut inputs = vec![scalar_i64(iteration)];
        inputs.append(&mut carried);
        inputs.extend_from_slice(captures);
        if !body.body.binds.is_empty() {
            bind::shapes(&types, &inputs, &body.body.binds, bindings, ctx)?;
        }
        let mut outputs = run_graph(&body.body, &inputs, bindings, ctx)?;
        condition = bind::scalar_i64(&outputs, 0)? != 0;
        push_slices(&mut stacks, outputs.split_off(1 + body.carried))?;
        carried = outputs.split_off(1);
        iteration += 1;
    }
    inner.iter().for_each(|id| bindings.unset(*id));
    for (k, stack) in stacks.into_iter().enumerate() {
        let empty = || {
            let ty = node.results.get(body.carried + k).and_then(|r| graph.tensor(*r));
            let output = body.body.outputs.get(1 + body.carried + k).and_then(|o| body.body.tensor(*o));
            let dtype = output.map_or(DType::F32, |t| t.dtype);
            let rest = ty.map(|t| t.shape.iter().skip(1).map(|d| bindings.extent(d).unwrap_or(0)).collect());
            (dtype, rest.unwrap_or_else(|| vec![0; output.map_or(0, |t| t.rank())]))
        };
        carried.push(stack_up(stack, empty)?);
    }
    Ok(carried)
}

/// A `Scan`.
pub(super) fn scan(
    scan: &Scan,
    operands: &[Datum],
    bindings: &mut Bindings,
    ctx: &mut Context<'_>,
) -> Result<Vec<Datum>, EvalError> {
    let malformed = || Problem::Malformed { what: "a scan has its operands and body outputs in order" };
    let trip = bindings.extent(&scan.trip)?;
    let mut carried = operands.get(..scan.carried).ok_or_else(malformed)?.to_vec();
    let scanned = operands.get(scan.carried..scan.carried + scan.scanned).ok_or_else(malformed)?;
    let captures = operands.get(scan.carried + scan.scanned..).unwrap_or_default();
    let inner = inner_symbols(&scan.body);
    let stacked = scan.body.outputs.len().checked_sub(scan.carried).ok_or_else(malformed)?;
    let mut stacks: Vec<Vec<Tensor>> = vec![Vec::new(); stacked];
    for step in 0..trip {
        inner.iter().for_each(|id| bindings.unset(*id));
        let mut inputs = std::mem::take(&mut carried);
        for (k, datum) in scanned.iter().enumerate() {
            let slice = datum.as_tensor().and_then(|t| slice(t, step));
            let found = || (format!("at least {trip} slices along axis 0"), datum.describe());
            inputs.push(Datum::Tensor(slice.ok_or_else(|| {
                let (expected, found) = found();
                Problem::Operand { position: scan.carried + k, expected, found }
            })?));
        }
        inputs.extend_from_slice(captures);
        let mut outputs = run_graph(&scan.body, &inputs, bindings, ctx)?;
        push_slices(&mut stacks, outputs.split_off(scan.carried))?;
        carried = outputs;
    }
    inner.iter().for_each(|id| bindings.unset(*id));
    for (k, stack) in stacks.into_iter().enumerate() {
        let output = scan.body.outputs.get(scan.carried + k).and_then(|o| scan.body.tensor(*o));
        let output = output.ok_or_else(malformed)?;
        let rest = if stack.is_empty() { bindings.shape(&output.shape)? } else { Vec::new() };
        carried.push(stack_up(stack, || (output.dtype, rest))?);
    }
    Ok(carried)
}

/// Symbols that a body and the bodies in it bring into being, anew at every iteration.
fn inner_symbols(body: &Graph) -> Vec<SymId> {
    let mut out = body.binds.clone();
    for node in &body.nodes {
        out.extend(&node.binds);
        node.op.bodies().into_iter().for_each(|b| out.extend(inner_symbols(b)));
    }
    out
}

fn push_slices(stacks: &mut [Vec<Tensor>], outputs: Vec<Datum>) -> Result<(), Problem> {
    for (stack, datum) in stacks.iter_mut().zip(outputs) {
        match datum {
            Datum::Tensor(t) => stack.push(t),
            Datum::Seq(_) | Datum::Opt(_) | Datum::Map { .. } => {
                return Err(Problem::Malformed { what: "a stacked output is a tensor" });
            }
        }
    }
    Ok(())
}

/// Joins slices along a new axis 0; `empty` gives dtype and slice shape where there are none.
fn stack_up(slices: Vec<Tensor>, empty: impl FnOnce() -> (DType, Vec<usize>)) -> Result<Datum, Problem> {
    let (dtype, rest) = match slices.first() {
        Some(first) => (first.dtype(), first.shape().to_vec()),
        None => empty(),
    };
    let differs = |t: &&Tensor| t.dtype() != dtype || t.shape() != rest;
    if let Some((iteration, other)) = slices.iter().enumerate().find(|(_, t)| differs(t)) {
        let (expected, found) = (format!("{dtype}{rest:?}"), format!("{}{:?}", other.dtype(), other.shape()));
        return Err(Problem::Slice { iteration, expected, found });
    }
    let mut shape = vec![slices.len()];
    shape.extend_from_slice(&rest);
    if dtype == DType::Str {
        let strings = slices.iter().flat_map(|t| t.strings()).cloned().collect();
        return Ok(Datum::Tensor(Tensor::from_strings(shape, strings)?));
    }
    let bytes = if dtype.bits() < 8 {
        let count = slices.iter().map(Tensor::len).sum();
        let mut packer = Packer::new(dtype, count).ok_or(Problem::TooLarge { dtype, shape: shape.clone() })?;
        slices.iter().flat_map(Tensor::scalars).for_each(|s| packer.push(s.bits));
        packer.finish()
    } else {
        let mut joined = BytesMut::new();
        slices.iter().for_each(|t| joined.extend_from_slice(t.bytes()));
        joined.freeze()
    };
    Ok(Datum::Tensor(Tensor::from_bytes(dtype, shape, bytes)?))
}

/// Slice `step` along axis 0, without copying where elements are whole bytes.
fn slice(tensor: &Tensor, step: usize) -> Option<Tensor> {
    let (extent, rest) = tensor.shape().split_first()?;
    if step >= *extent {
        return None;
    }
    let count: usize = rest.iter().product();
    let dtype = tensor.dtype();
    if dtype == DType::Str {
        let strings = tensor.strings().get(step * count..(step + 1) * count)?.to_vec();
        return Tensor::from_strings(rest.to_vec(), strings).ok();
    }
    let bytes: Bytes = if dtype.bits() < 8 {
        let mut packer = Packer::new(dtype, count)?;
        for k in 0..count {
            packer.push(tensor.get(step * count + k)?.bits);
        }
        packer.finish()
    } else {
        let size = dtype.bytes_for(count)?;
        tensor.bytes().slice(step * size..(step + 1) * size)
    };
    Tensor::from_bytes(dtype, rest.to_vec(), bytes).ok()
}
