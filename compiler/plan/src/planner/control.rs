//! Steps of control flow: the bodies become blocks of their own over the same buffers.

use std::collections::BTreeMap;

use graph::dim::{Dim, SymId};
use graph::expr::{Expr, Exprs, Leaves};
use graph::graph::{Graph, ValueId};
use graph::node::{Const, If, Loop, Node, Op, Scan};
use graph::symbol::SymSource;
use graph::tensor::Tensor;
use graph::ty::{TensorType, Type};
use nest::fuse::Fused;

use crate::error::PlanError;
use crate::plan::{Action, Block, Carry, Condition, IfStep, LoopStep, Step, View};
use crate::planner::Planner;
use crate::planner::block::BlockState;

impl<C: Clone + PartialEq + std::fmt::Debug> Planner<'_, C> {
    fn counter(&mut self, trip: Option<&Dim>) -> SymId {
        let hi = trip.and_then(|t| self.symbols.range(t).upper());
        let name = format!("iteration_{}", self.symbols.len());
        self.symbols.add(&name, 0, hi, SymSource::Bind)
    }

    /// The slice of a tensor at an iteration, along its first dim.
    fn slice(view: &View, counter: SymId) -> Result<View, PlanError> {
        let mut slice = view.clone();
        if slice.shape.is_empty() || slice.access.block.is_some_and(|b| b.dim == 0) {
            return Err(PlanError::Malformed { op: "scan", what: "a scanned tensor has no plain first dim" });
        }
        slice.shape.remove(0);
        let stride = slice.access.strides.remove(0);
        slice.access.offset = &slice.access.offset + &(&Dim::symbol(counter) * &stride);
        if let Some(block) = &mut slice.access.block {
            block.dim -= 1;
        }
        Ok(slice)
    }

    /// The place of an iteration's slice in what a loop stacks. Its extents are those that the body knows; those of the whole
    /// are found when the loop has ended.
    fn stacked(whole: &View, slice: &[Dim], counter: SymId) -> View {
        let mut access = nest::layout::Access::dense(slice);
        access.offset = &whole.access.offset + &(&Dim::symbol(counter) * &Dim::product(slice));
        View { buffer: whole.buffer, shape: slice.to_vec(), access }
    }

    /// A buffer that holds a loop's state, with the initial value copied in.
    fn carried(&mut self, state: &mut BlockState<'_>, initial: ValueId, ty: &Type) -> Result<View, PlanError> {
        let from = self.view(state, initial)?;
        let place = self.temporary_place(ty);
        let to = self.new_view(ty, place);
        let mut start = to.clone();
        // Its extents before the first iteration are the initial value's.
        start.shape = from.shape.clone();
        start.access = nest::layout::Access::dense(&start.shape);
        self.copy_to(state, initial, &from, &start)?;
        Ok(to)
    }

    pub(super) fn emit_scan(&mut self, state: &mut BlockState<'_>, node: &Node, scan: &Scan) -> Result<(), PlanError> {
        let counter = self.counter(Some(&scan.trip));
        let body = &*scan.body;
        let mut views = BTreeMap::new();
        let mut states = Vec::new();
        for (k, (operand, input)) in node.operands.iter().zip(&body.inputs).enumerate() {
            let view = if k < scan.carried {
                let ty = body.value(*input).map(|v| v.ty.clone()).ok_or(PlanError::NoView { value: input.0 })?;
                let view = self.carried(state, *operand, &ty)?;
                states.push(view.clone());
                view
            } else {
                let view = self.view(state, *operand)?;
                if k < scan.carried + scan.scanned { Self::slice(&view, counter)? } else { view }
            };
            views.insert(*input, view);
        }
        let mut targets: Vec<Option<View>> = vec![None; scan.carried];
        for result in node.results.iter().skip(scan.carried) {
            let whole = self.place(state, *result)?;
            targets.push(Some(Self::slice(&whole, counter)?));
        }
        let mut known = state.known.clone();
        known.insert(counter);
        let (mut block, outputs) = self.plan_block(body, views, &known, &targets)?;
        let carry = self.carry(&mut block, &outputs[..scan.carried.min(outputs.len())], &states);
        let step = LoopStep {
            counter,
            trip: Some(scan.trip.clone()),
            limit: None,
            condition: None,
            first: Vec::new(),
            body: block,
            carry,
            next: Vec::new(),
            count: None,
        };
        state.push(Action::Loop(step), &node.origins);
        for (result, view) in node.results.iter().zip(states) {
            state.views.insert(*result, view);
        }
        Ok(())
    }

    /// Moves from the body's results to the states. A result that lies in another state's buffer is first copied aside, so
    /// that the order of the moves does not matter.
    fn carry(&mut self, block: &mut Block, outputs: &[View], states: &[View]) -> Vec<Carry> {
        let mut carry = Vec::new();
        for (from, to) in outputs.iter().zip(states) {
            if from.buffer == to.buffer && from.access == to.access {
                continue;
            }
            let mut from = from.clone();
            let clashes = states.iter().any(|s| s.buffer == from.buffer);
            let dense = self.is_object(&from) || from.access.is_dense(&from.shape);
            if clashes || !dense {
                let aside = self.aside(&from);
                let action = if dense {
                    Some(Action::Copy { from: from.clone(), to: aside.clone() })
                } else {
                    self.dense_copy(&from, &aside)
                };
                block.steps.extend(action.map(|action| Step { action, after: Vec::new(), origins: Vec::new() }));
                from = aside;
            }
            let mut to = to.clone();
            to.shape = from.shape.clone();
            to.access = nest::layout::Access::dense(&to.shape);
            carry.push(Carry { from, to });
        }
        carry
    }

    /// A buffer like that of a view, for a dense copy of it.
    fn aside(&mut self, view: &View) -> View {
        let buffer = self.plan.buffers.get(view.buffer.0 as usize).cloned();
        let dtype = buffer.as_ref().map_or(graph::dtype::DType::F32, |b| b.dtype);
        let place = match buffer.map(|b| b.place) {
            Some(crate::plan::Place::Object(ty)) => crate::plan::Place::Object(ty),
            _ => self.temporary_place(&Type::tensor(dtype, view.shape.clone())),
        };
        let access = nest::layout::Access::dense(&view.shape);
        self.buffer_view(dtype, view.shape.clone(), Dim::product(&view.shape), access, place)
    }

    fn dense_copy(&mut self, from: &View, to: &View) -> Option<Action> {
        let dtype = self.plan.buffers.get(from.buffer.0 as usize)?.dtype;
        let mut graph = Graph::default();
        let value = graph.add_value(Type::tensor(dtype, from.shape.clone()), None);
        let identity = self.identity(&graph, value).ok()?;
        let kernel = nest::build::kernel_of_fused(
            &identity,
            std::slice::from_ref(&from.access),
            std::slice::from_ref(&to.access),
        )?;
        let launch = self.launch_of(kernel, vec![from.clone()], vec![to.clone()]);
        Some(Action::Launch(launch))
    }

    pub(super) fn emit_loop(
        &mut self,
        state: &mut BlockState<'_>,
        node: &Node,
        looped: &Loop,
    ) -> Result<(), PlanError> {
        let malformed = |what| PlanError::Malformed { op: "loop", what };
        let body = &*looped.body;
        let (Some(limit), Some(condition)) = (node.operands.first(), node.operands.get(1)) else {
            return Err(malformed("fewer than two operands"));
        };
        // What the shapes tell need not be read back.
        let trip = known_trip(state.graph, *limit).map(|trip| self.symbols.max(&trip, &Dim::constant(0)));
        let steady = is_steady(state.graph, *condition, body);
        let counter = self.counter(trip.as_ref());
        let limit = self.view(state, *limit)?;
        let flag = self.carried(state, *condition, &Type::tensor(graph::dtype::DType::Bool, []))?;
        let mut views = BTreeMap::new();
        let mut states = Vec::new();
        let mut first = Vec::new();
        let number = self.new_view(
            &Type::tensor(graph::dtype::DType::I64, []),
            crate::plan::Place::Arena { offset: Dim::constant(0) },
        );
        for (k, input) in body.inputs.iter().enumerate() {
            let view = if k == 0 {
                number.clone()
            } else {
                let operand = *node.operands.get(1 + k).ok_or(malformed("fewer operands than body inputs"))?;
                if k <= looped.carried {
                    let ty = body.value(*input).map(|v| v.ty.clone()).ok_or(PlanError::NoView { value: input.0 })?;
                    let initial = state.graph.value(operand).map(|v| v.ty.clone());
                    let initial = initial.ok_or(PlanError::NoView { value: operand.0 })?;
                    first.extend(new_sizes(&ty, &initial, &body.binds));
                    let view = self.carried(state, operand, &ty)?;
                    states.push(view.clone());
                    view
                } else {
                    self.view(state, operand)?
                }
            };
            views.insert(*input, view);
        }
        let mut known = state.known.clone();
        known.insert(counter);
        known.extend(body.binds.iter());
        let mut targets: Vec<Option<View>> = vec![None; 1 + looped.carried];
        for (k, result) in node.results.iter().enumerate().skip(looped.carried) {
            let whole = self.place(state, *result)?;
            let slice = body.outputs.get(1 + k).and_then(|o| body.tensor(*o)).ok_or(malformed("no slice to stack"))?;
            targets.push(Some(Self::stacked(&whole, &slice.shape, counter)));
        }
        let (mut block, outputs) = self.plan_block(body, views, &known, &targets)?;
        if body.inputs.first().is_some_and(|input| is_read(body, *input)) {
            let count_step = self.write_counter(counter, &number)?;
            block.steps.insert(0, count_step);
        }
        // A condition that holds for ever is not handed on.
        let mut all = if steady { Vec::new() } else { vec![flag.clone()] };
        all.extend(states.iter().cloned());
        let handed = outputs.get(usize::from(steady)..).unwrap_or(&[]);
        let carry = self.carry(&mut block, &handed[..all.len().min(handed.len())], &all);
        let mut next = Vec::new();
        for k in 0..looped.carried {
            let (Some(input), Some(output)) = (body.inputs.get(1 + k), body.outputs.get(1 + k)) else { continue };
            if let (Some(to), Some(from)) = (body.value(*input), body.value(*output)) {
                next.extend(new_sizes(&to.ty, &from.ty, &body.binds));
            }
        }
        let count = self.counter(None);
        let step = LoopStep {
            counter,
            limit: trip.is_none().then_some(limit),
            trip,
            condition: (!steady).then_some(flag),
            first,
            body: block,
            carry,
            next,
            count: Some(count),
        };
        state.push(Action::Loop(step), &node.origins);
        state.known.insert(count);
        state.known.extend(body.binds.iter());
        for (k, (result, view)) in node.results.iter().zip(&states).enumerate() {
            let ty = state.graph.value(*result).map(|v| v.ty.clone());
            let ty = ty.ok_or(PlanError::NoView { value: result.0 })?;
            if let Some(inner) = body.inputs.get(1 + k).and_then(|i| body.value(*i)) {
                self.let_sizes(state, &new_sizes(&ty, &inner.ty, &node.binds));
            }
            let mut view = view.clone();
            if let Some(tensor) = ty.as_tensor() {
                view.shape = tensor.shape.clone();
                view.access = nest::layout::Access::dense(&view.shape);
            }
            state.views.insert(*result, view);
        }
        for (k, result) in node.results.iter().enumerate().skip(looped.carried) {
            let ty = state.graph.tensor(*result).cloned();
            let inner = body.outputs.get(1 + k).and_then(|o| body.tensor(*o)).cloned();
            if let (Some(ty), Some(inner)) = (ty, inner) {
                let mut shape = vec![Dim::symbol(count)];
                shape.extend(inner.shape);
                let from = Type::Tensor(TensorType { dtype: inner.dtype, shape });
                self.let_sizes(state, &new_sizes(&Type::Tensor(ty), &from, &node.binds));
            }
        }
        Ok(())
    }

    /// The step that puts the iteration number where the body reads it.
    fn write_counter(&mut self, counter: SymId, to: &View) -> Result<Step, PlanError> {
        let mut exprs = Exprs::default();
        let out = exprs.add(Expr::Dim(Dim::symbol(counter)), Leaves { operands: &[], accs: &[] })?;
        let fused = Fused {
            shape: Vec::new(),
            operands: Vec::new(),
            reduce: Vec::new(),
            exprs,
            accs: Vec::new(),
            outs: vec![out],
            results: vec![ValueId(0)],
            origins: Vec::new(),
        };
        let kernel = nest::build::kernel_of_fused(&fused, &[], std::slice::from_ref(&to.access))
            .ok_or(PlanError::Malformed { op: "loop", what: "no counter" })?;
        let launch = self.launch_of(kernel, Vec::new(), vec![to.clone()]);
        Ok(Step { action: Action::Launch(launch), after: Vec::new(), origins: Vec::new() })
    }

    fn let_sizes(&mut self, state: &mut BlockState<'_>, sizes: &[(SymId, Dim)]) {
        for (symbol, value) in sizes {
            if state.known.insert(*symbol) {
                state.push(Action::Let { symbol: *symbol, value: value.clone() }, &[]);
            }
        }
    }

    pub(super) fn emit_if(&mut self, state: &mut BlockState<'_>, node: &Node, choice: &If) -> Result<(), PlanError> {
        let condition = *node.operands.first().ok_or(PlanError::Malformed { op: "if", what: "no condition" })?;
        let condition = match known_scalar(state.graph, condition) {
            Some(size) => Condition::Size(size),
            None => Condition::Value(self.view(state, condition)?),
        };
        let captures = self.views(state, node.operands.iter().skip(1).copied())?;
        let results = node.results.iter().map(|r| self.place(state, *r)).collect::<Result<Vec<_>, _>>()?;
        let mut blocks = Vec::new();
        let pending = self.pending_guards.clone();
        for body in [&*choice.then_body, &*choice.else_body] {
            let views = body.inputs.iter().copied().zip(captures.iter().cloned()).collect();
            // Each branch writes the results with its own extents; the buffers are the same.
            let mut targets = Vec::new();
            let mut sizes = Vec::new();
            for ((result, view), output) in node.results.iter().zip(&results).zip(&body.outputs) {
                let outer = state.graph.value(*result).map(|v| v.ty.clone());
                let inner = body.value(*output).map(|v| v.ty.clone());
                let (Some(outer), Some(inner)) = (outer, inner) else {
                    return Err(PlanError::NoView { value: result.0 });
                };
                sizes.extend(new_sizes(&outer, &inner, &node.binds));
                let mut target = view.clone();
                if let Some(tensor) = inner.as_tensor() {
                    target.shape = tensor.shape.clone();
                    target.access = nest::layout::Access {
                        offset: view.access.offset.clone(),
                        ..nest::layout::Access::dense(&tensor.shape)
                    };
                }
                targets.push(Some(target));
            }
            self.pending_guards = pending.clone();
            let (mut block, _) = self.plan_block(body, views, &state.known, &targets)?;
            let mut seen: Vec<SymId> = Vec::new();
            for (symbol, value) in sizes {
                if !seen.contains(&symbol) {
                    seen.push(symbol);
                    let action = Action::Let { symbol, value };
                    block.steps.push(Step { action, after: Vec::new(), origins: Vec::new() });
                }
            }
            blocks.push(block);
        }
        // A guard over symbols of one branch was checked there; one over outer symbols only was not pending before.
        self.pending_guards = pending;
        let (Some(else_block), Some(then_block)) = (blocks.pop(), blocks.pop()) else {
            return Err(PlanError::Malformed { op: "if", what: "not two bodies" });
        };
        state.push(Action::If(IfStep { condition, then_block, else_block }), &node.origins);
        state.known.extend(node.binds.iter());
        Ok(())
    }
}

/// More iterations than this are no count but the absence of one.
const MOST_ITERATIONS: i64 = 1 << 31;

/// The number of iterations that a scalar names, where it follows from sizes.
fn known_trip(graph: &Graph, limit: ValueId) -> Option<Dim> {
    known_scalar(graph, limit).filter(|trip| trip.as_const().is_none_or(|count| count < MOST_ITERATIONS))
}

/// Whether a loop's condition holds at first and is never changed.
fn is_steady(graph: &Graph, condition: ValueId, body: &Graph) -> bool {
    let holds = |graph: &Graph, value: ValueId| known_scalar(graph, value).is_some_and(|value| value.is(1));
    let next = body.outputs.first();
    holds(graph, condition) && next.is_some_and(|next| holds(body, *next) || body.inputs.get(1) == Some(next))
}

/// What an integer or truth value is, where it is a constant or follows from sizes.
fn known_scalar(graph: &Graph, value: ValueId) -> Option<Dim> {
    if let Some([known]) = graph.value(value)?.contents.as_deref() {
        return Some(known.clone());
    }
    let constant = |tensor: &Tensor| match tensor.to_i64s().as_slice() {
        [known] => Some(Dim::constant(*known)),
        _ => None,
    };
    let node = graph.nodes.iter().find(|node| node.results.contains(&value))?;
    match &node.op {
        Op::Const(Const::Inline(tensor)) => constant(tensor),
        Op::Const(Const::Splat(scalar)) => constant(&Tensor::scalar(*scalar)),
        _ => None,
    }
}

/// Whether anything in a body uses one of its inputs.
fn is_read(body: &Graph, input: ValueId) -> bool {
    body.outputs.contains(&input) || body.nodes.iter().any(|node| node.operands.contains(&input))
}

/// For every extent of `to` that is a symbol of `fresh`: the symbol and the extent of `from` at the same place.
fn new_sizes(to: &Type, from: &Type, fresh: &[SymId]) -> Vec<(SymId, Dim)> {
    let (Some(to), Some(from)) = (to.as_tensor(), from.as_tensor()) else { return Vec::new() };
    to.shape
        .iter()
        .zip(&from.shape)
        .filter_map(|(t, f)| {
            let symbol = t.as_symbol().filter(|s| fresh.contains(s))?;
            (f != t).then(|| (symbol, f.clone()))
        })
        .collect()
}
