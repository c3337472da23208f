//! Loops over a body: finds the types of the states, then builds a `Scan` where the trip count is known before the first
//! iteration, else a `Loop`. Used by the operators Loop and SequenceMap.
//!
//! The types are a fixed point: the body is built with the types of the initial values; an extent that comes out different
//! becomes a size of its own, anew at every iteration, and the body is built again, until nothing changes. Each round frees
//! at least one extent or widens one sequence, so it ends. Bodies of earlier rounds leave nothing behind.

mod state;

use graph::builder::{BuildError, Builder, Mark};
use graph::dim::{Dim, SymId};
use graph::dtype::DType;
use graph::graph::{Graph, ValueId};
use graph::scalar::Scalar;
use graph::tensor::Tensor;
use graph::ty::{TensorType, Type};

use crate::late;
use crate::looping::state::State;
use crate::operator::{Body, Ctx};
use crate::ops;
use crate::value::ImportValue;

/// A loop to build.
pub struct Loop<'a> {
    /// The subgraphs that the body imports; their captures are passed.
    pub bodies: &'a [Body],
    /// Values of the graph around that the body reads besides.
    pub values: &'a [ValueId],
    /// Most iterations (i64 scalar); absent: no limit.
    pub limit: Option<ValueId>,
    /// Whether the first iteration runs (bool scalar); absent: yes.
    pub condition: Option<ValueId>,
    /// Initial states, and what the file says of their types.
    pub initial: Vec<ImportValue>,
    pub hints: Vec<Option<Type>>,
}

/// What the body sees: everything in the body's own graph.
pub struct Iteration {
    /// The iteration's number, an i64 scalar.
    pub number: ValueId,
    pub values: Vec<ValueId>,
    pub states: Vec<ImportValue>,
    pub captured: Vec<(String, ImportValue)>,
}

/// What the body yields.
pub struct Outcome {
    /// Whether to go on (bool scalar).
    pub condition: ValueId,
    pub states: Vec<ImportValue>,
    pub stacked: Vec<ValueId>,
}

/// Final states and stacked tensors.
pub struct Finished {
    pub states: Vec<ImportValue>,
    pub stacked: Vec<ValueId>,
}

/// Builds one iteration in the innermost scope.
pub type Describe<'d> = dyn FnMut(&mut Ctx<'_>, Iteration) -> Result<Outcome, BuildError> + 'd;

/// Most iterations that are written out where sequences or optionals of known structure are carried.
const UNROLL: i64 = 64;

/// Builds a loop.
pub fn build(ctx: &mut Ctx<'_>, plan: Loop<'_>, describe: &mut Describe<'_>) -> Result<Finished, BuildError> {
    let mut states = Vec::with_capacity(plan.initial.len());
    for (value, hint) in plan.initial.iter().zip(&plan.hints) {
        states.push(State::of(ctx.b, value, hint.as_ref())?);
    }
    loop {
        let mark = ctx.b.mark();
        let round = round(ctx, &plan, &mut states, describe)?;
        if round.endless
            && plan.initial.iter().any(|v| v.as_value().is_none())
            && let Some(trip) = constant_trip(ctx.b, &plan).filter(|trip| (1..=UNROLL).contains(trip))
        {
            ctx.b.forget_since(mark);
            return unroll(ctx, &plan, trip, describe);
        }
        if round.changed {
            ctx.b.forget_since(mark);
            continue;
        }
        return finish(ctx, &plan, states, round, mark);
    }
}

/// A body that was built once.
struct Round {
    body: Graph,
    /// Operands of the node after the states: values, then captures.
    captures: Vec<ValueId>,
    stacked: usize,
    changed: bool,
    /// The body never ends the loop.
    endless: bool,
}

fn round(
    ctx: &mut Ctx<'_>,
    plan: &Loop<'_>,
    states: &mut [State],
    describe: &mut Describe<'_>,
) -> Result<Round, BuildError> {
    let open = ctx.open_body(plan.values, plan.bodies)?;
    let captures: Vec<ValueId> = plan.values.iter().chain(&open.operands).copied().collect();
    let iteration = (open.inner, open.captured);
    let built = inside(ctx, states, iteration, describe);
    let mut body = ctx.b.end_body();
    let (stacked, changed, endless, binds) = built?;
    let count = body.inputs.len();
    body.inputs.rotate_left(captures.len().min(count));
    body.binds = binds;
    Ok(Round { body, captures, stacked, changed, endless })
}

type Inside = (usize, bool, bool, Vec<SymId>);

fn inside(
    ctx: &mut Ctx<'_>,
    states: &mut [State],
    (values, captured): (Vec<ValueId>, Vec<(String, ImportValue)>),
    describe: &mut Describe<'_>,
) -> Result<Inside, BuildError> {
    let number = ctx.b.input("", Type::tensor(DType::I64, []));
    let mut binds = Vec::new();
    let types: Vec<Type> = states.iter().map(|s| s.inside(ctx.b, &mut binds)).collect();
    let entered = states.iter().zip(&types).map(|(state, ty)| match (state.guess, ty) {
        (true, Type::Opt(_)) => ImportValue::Opt(None),
        (true, _) => ImportValue::Seq(Vec::new()),
        (false, _) => ImportValue::Value(ctx.b.input("", ty.clone())),
    });
    let entered = entered.collect();
    let outcome = describe(ctx, Iteration { number, values, states: entered, captured })?;
    if outcome.states.len() != states.len() {
        return Err(BuildError::Results { expected: states.len(), found: outcome.states.len() });
    }
    let mut changed = false;
    for ((state, ty), value) in states.iter_mut().zip(&types).zip(&outcome.states) {
        changed |= state.meet(ty, late::type_of(ctx.b, value)?)?;
    }
    let condition = scalar(ctx.b, outcome.condition, DType::Bool)?;
    let endless = ctx.b.const_tensor(condition).is_some_and(|t| t.get(0).is_some_and(|s| s.bits != 0));
    ctx.b.output(condition);
    for (state, value) in states.iter().zip(&outcome.states) {
        let id = late::materialise(ctx.b, value, Some(&state.ty))?;
        ctx.b.output(id);
    }
    outcome.stacked.iter().for_each(|id| ctx.b.output(*id));
    Ok((outcome.stacked.len(), changed, endless, binds))
}

/// A tensor of one element as a scalar of a dtype.
pub fn scalar(b: &mut Builder, value: ValueId, dtype: DType) -> Result<ValueId, BuildError> {
    let flat = b.reshape(value, Vec::new())?;
    b.cast(flat, dtype)
}

fn finish(
    ctx: &mut Ctx<'_>,
    plan: &Loop<'_>,
    states: Vec<State>,
    round: Round,
    mark: Mark,
) -> Result<Finished, BuildError> {
    let steady = |s: &State| s.ty.as_tensor().is_some() && !s.free.contains(&true);
    // A scan is for tensors of numbers; sequences and strings go through the host in a loop.
    let mut numbers = true;
    for id in round.body.inputs.iter().chain(&round.body.outputs) {
        numbers &= round.body.tensor(*id).is_some_and(|t| t.dtype != DType::Str);
    }
    let mut stacked = Vec::with_capacity(round.stacked);
    for output in round.body.outputs.iter().skip(1 + states.len()) {
        stacked.push(
            round.body.tensor(*output).cloned().ok_or_else(|| BuildError::NotATensor {
                found: "a sequence or optional as scan output of Loop".into(),
            })?,
        );
    }
    if round.endless && plan.limit.is_none() && always(ctx.b, plan.condition) {
        return Err(BuildError::Unsupported {
            what: "a loop without a limit whose condition is always true".into(),
            closest: "a trip count, or a condition that is computed".into(),
        });
    }
    let varying = stacked.iter().flat_map(|t| &t.shape).any(|d| ctx.b.is_since(mark, d));
    let scans = round.endless && numbers && !varying && states.iter().all(steady);
    let mut initial = Vec::with_capacity(states.len());
    for (value, state) in plan.initial.iter().zip(&states) {
        initial.push(late::materialise(ctx.b, value, Some(&state.ty))?);
    }
    let results = match plan.limit.filter(|_| scans) {
        Some(limit) => scan(ctx.b, limit, plan.condition, initial, round)?,
        None => repeat(ctx.b, plan, initial, &states, &stacked, round, mark)?,
    };
    let (finals, stacks) = results.split_at(states.len().min(results.len()));
    let mut out = Vec::with_capacity(finals.len());
    for (id, state) in finals.iter().zip(&states) {
        let id = match state.bare {
            true => {
                let host = &ops::list::optional_get_element::HOST;
                late::one(ctx.b.host(host, graph::attrs::Attrs::new(), &[*id])?)?
            }
            false => *id,
        };
        out.push(id.into());
    }
    Ok(Finished { states: out, stacked: stacks.to_vec() })
}

fn always(b: &mut Builder, condition: Option<ValueId>) -> bool {
    match condition {
        None => true,
        Some(id) => b.const_tensor(id).and_then(|t| t.get(0)).is_some_and(|s| s.bits != 0),
    }
}

/// The trip count is known first: iterations are slices of `0, 1, 2, …`.
fn scan(
    b: &mut Builder,
    limit: ValueId,
    condition: Option<ValueId>,
    initial: Vec<ValueId>,
    round: Round,
) -> Result<Vec<ValueId>, BuildError> {
    let trip = trip(b, limit, condition)?;
    let numbers = b.compute(&[], vec![trip.clone()], |p| {
        let i = p.index(0);
        p.out(i);
    })?;
    let carried = initial.len();
    let mut body = round.body;
    body.outputs.remove(0);
    if let Some(inputs) = body.inputs.get_mut(..=carried) {
        inputs.rotate_left(1);
    }
    let mut operands = initial;
    operands.push(numbers);
    operands.extend(round.captures);
    b.scan(trip, carried, 1, operands, body)
}

/// The number of iterations of a loop that only its limit and its initial condition end.
fn trip(b: &mut Builder, limit: ValueId, condition: Option<ValueId>) -> Result<Dim, BuildError> {
    let mut operands = vec![limit];
    operands.extend(condition);
    let count = b.map(&operands, |p, v| {
        let zero = p.int(0);
        let natural = p.max(v[0], zero);
        if let Some(condition) = v.get(1) { p.select(*condition, natural, zero) } else { natural }
    })?;
    let dims = b.dims_of(count, 0, None)?;
    dims.into_iter().next().ok_or(BuildError::Results { expected: 1, found: 0 })
}

/// The end is found while it runs.
fn repeat(
    b: &mut Builder,
    plan: &Loop<'_>,
    initial: Vec<ValueId>,
    states: &[State],
    stacked: &[TensorType],
    round: Round,
    mark: Mark,
) -> Result<Vec<ValueId>, BuildError> {
    let limit = match plan.limit {
        Some(limit) => limit,
        None => b.constant(Tensor::scalar(Scalar::i64(i64::MAX)))?,
    };
    let condition = match plan.condition {
        Some(condition) => condition,
        None => b.constant(Tensor::scalar(Scalar::bool(true)))?,
    };
    let mut binds = Vec::new();
    let mut types: Vec<Type> = states.iter().map(|s| s.inside(b, &mut binds)).collect();
    if !stacked.is_empty() {
        let hi = b.contents(limit).and_then(|c| c.first().and_then(Dim::as_const)).filter(|h| *h >= 0 && *h < i64::MAX);
        let count = b.fresh_symbol(0, hi);
        binds.push(count);
        for ty in stacked {
            let mut shape = vec![Dim::symbol(count)];
            for extent in &ty.shape {
                shape.push(lasting(b, mark, extent, &mut binds));
            }
            types.push(Type::tensor(ty.dtype, shape));
        }
    }
    let mut operands = vec![limit, condition];
    let carried = initial.len();
    operands.extend(initial);
    operands.extend(round.captures);
    b.loop_while(carried, operands, round.body, types, binds)
}

/// A size as it is, or a fresh one if it mentions what exists only inside a body that was begun at the mark.
pub fn lasting(b: &mut Builder, mark: Mark, extent: &Dim, binds: &mut Vec<SymId>) -> Dim {
    if !b.is_since(mark, extent) {
        return extent.clone();
    }
    let range = b.model().symbols.range(extent);
    let lo = i64::try_from(range.lo.max(0)).unwrap_or(0);
    let symbol = b.fresh_symbol(lo, range.upper());
    binds.push(symbol);
    Dim::symbol(symbol)
}

/// The trip count, if it is a constant.
fn constant_trip(b: &mut Builder, plan: &Loop<'_>) -> Option<i64> {
    let limit = b.const_tensor(plan.limit?)?.get(0)?.as_i64().max(0);
    match plan.condition {
        None => Some(limit),
        Some(condition) => Some(if b.const_tensor(condition)?.get(0)?.bits != 0 { limit } else { 0 }),
    }
}

/// The iterations one after the other in the graph around.
fn unroll(ctx: &mut Ctx<'_>, plan: &Loop<'_>, trip: i64, describe: &mut Describe<'_>) -> Result<Finished, BuildError> {
    let mut captured: Vec<(String, ImportValue)> = Vec::new();
    for body in plan.bodies {
        captured.extend(ctx.importer.captures(*body));
    }
    let mut states = plan.initial.clone();
    let mut stacks: Vec<Vec<ValueId>> = Vec::new();
    for number in 0..trip {
        let number = ctx.b.constant(Tensor::scalar(Scalar::i64(number)))?;
        let iteration = Iteration { number, values: plan.values.to_vec(), states, captured: captured.clone() };
        let outcome = describe(ctx, iteration)?;
        states = outcome.states;
        stacks.resize_with(outcome.stacked.len(), Vec::new);
        for (stack, id) in stacks.iter_mut().zip(outcome.stacked) {
            stack.push(ctx.b.unsqueeze(id, &[0])?);
        }
    }
    let stacked = stacks.iter().map(|parts| ctx.b.concat(parts, 0)).collect::<Result<_, _>>()?;
    Ok(Finished { states, stacked })
}
