//! The steps of a recurrent layer: one scan whose body computes the gates of one step. The rest of a [`super::rnn`].
//!
//! Operands: the input's part of the gates `[T, B, G*H]`, in the wide dtype; the state's weight `[G*H, H]`; then, wide, as in `rnn`:
//! states, a bias (of a GRU that multiplies by the reset gate after the product, only), lengths, peepholes. Attributes are those of
//! `rnn`. Results: the last states, then the states of all steps.

use crate::attrs::Attrs;
use crate::builder::{BuildError, Builder, Point};
use crate::dim::Dim;
use crate::dtype::DType;
use crate::expr::ExprId;
use crate::graph::ValueId;
use crate::region::RegionKind;
use crate::region::rnn::{Cell, Rnn};
use crate::ty::Type;

pub const KIND: RegionKind = RegionKind { name: "rnn_steps", body };

/// The operands of a layer by name, in the body's graph.
pub(super) struct Operands {
    pub(super) input: ValueId,
    pub(super) weight: ValueId,
    pub(super) recurrent: ValueId,
    pub(super) state: ValueId,
    pub(super) cell: Option<ValueId>,
    pub(super) bias: Option<ValueId>,
    pub(super) lengths: Option<ValueId>,
    pub(super) peepholes: Option<ValueId>,
}

/// What the body of the scan works on.
struct Step {
    state: ValueId,
    cell: Option<ValueId>,
    /// The input's part of the gates, `[B, G*H]`.
    pre: ValueId,
    recurrent: ValueId,
    bias: Option<ValueId>,
    peepholes: Option<ValueId>,
    shape: Vec<Dim>,
}

fn body(b: &mut Builder, attrs: &Attrs, values: &[ValueId]) -> Result<Vec<ValueId>, BuildError> {
    let rnn = Rnn::from_attrs(attrs)?;
    let mut rest = values.iter().copied();
    let missing = BuildError::Results { expected: 3, found: values.len() };
    let mut next = |there: bool| match there {
        true => rest.next().map(Some).ok_or_else(|| missing.clone()),
        false => Ok(None),
    };
    let (Some(pre), Some(recurrent), Some(state)) = (next(true)?, next(true)?, next(true)?) else {
        return Err(BuildError::Results { expected: 3, found: values.len() });
    };
    let operands = Operands {
        input: pre,
        weight: recurrent,
        recurrent,
        state,
        cell: next(matches!(rnn.cell, Cell::Lstm { .. }))?,
        bias: next(rnn.bias)?,
        lengths: next(rnn.lengths)?,
        peepholes: next(rnn.peepholes)?,
    };
    let (wide, shape) = (b.dtype(pre)?, b.shape(pre)?);
    let [trip, _, _] = shape.as_slice() else {
        let what = "input's part of the gates".to_string();
        return Err(BuildError::Rank { what, expected: "3".to_string(), found: shape.len() });
    };
    steps(b, &rnn, &operands, trip.clone(), pre, wide)
}

/// Runs the steps: the last states, then the states of all steps.
fn steps(
    b: &mut Builder,
    rnn: &Rnn,
    operands: &Operands,
    trip: Dim,
    pre: ValueId,
    wide: DType,
) -> Result<Vec<ValueId>, BuildError> {
    let states: Vec<ValueId> = [operands.state].into_iter().chain(operands.cell).collect();
    let mut scanned = vec![pre];
    if operands.lengths.is_some() {
        scanned.push(b.compute(&[], vec![trip.clone()], |p| {
            let t = p.index(0);
            p.out(t);
        })?);
    }
    let recurrent = b.cast(operands.recurrent, wide)?;
    let captures: Vec<ValueId> =
        [recurrent].into_iter().chain(operands.bias).chain(operands.lengths).chain(operands.peepholes).collect();
    let state_types = states.iter().map(|v| b.ty(*v).cloned()).collect::<Result<Vec<_>, _>>()?;
    let shape = b.shape(operands.state)?;
    let pre_shape = b.shape(pre)?;
    b.begin_body()?;
    let built = (|| {
        let mut own = state_types.into_iter().map(|ty| b.input("", ty)).collect::<Vec<_>>().into_iter();
        let (state, cell) = (own.next(), own.next());
        let pre = b.input("", Type::tensor(wide, pre_shape[1..].to_vec()));
        let time = operands.lengths.map(|_| b.input("", Type::tensor(DType::I64, [])));
        let mut inner = b.body_inputs(&captures)?.into_iter();
        let mut next = |there: bool| if there { inner.next() } else { None };
        let recurrent = next(true);
        let bias = next(operands.bias.is_some());
        let lengths = next(operands.lengths.is_some());
        let peepholes = next(operands.peepholes.is_some());
        let (Some(state), Some(recurrent)) = (state, recurrent) else {
            return Err(BuildError::Results { expected: 2, found: 0 });
        };
        let step = Step { state, cell, pre, recurrent, bias, peepholes, shape: shape.clone() };
        let new = match rnn.cell {
            Cell::Lstm { input_forget } => lstm(b, rnn, &step, input_forget)?,
            Cell::Gru { linear_before_reset } => gru(b, rnn, &step, linear_before_reset)?,
            Cell::Plain => plain(b, rnn, &step)?,
        };
        let old: Vec<ValueId> = [state].into_iter().chain(cell).collect();
        let outputs = match (time, lengths) {
            (Some(time), Some(lengths)) => within(b, &old, &new, time, lengths, &shape)?,
            _ => new.iter().copied().chain(new.first().copied()).collect(),
        };
        outputs.into_iter().for_each(|v| b.output(v));
        Ok(())
    })();
    let graph = b.end_body();
    built?;
    let all = states.iter().chain(&scanned).chain(&captures).copied().collect();
    b.scan(trip, states.len(), scanned.len(), all, graph)
}

/// States and output where the step lies within each sequence: old states stay behind its end, the output is zero.
fn within(
    b: &mut Builder,
    old: &[ValueId],
    new: &[ValueId],
    time: ValueId,
    lengths: ValueId,
    shape: &[Dim],
) -> Result<Vec<ValueId>, BuildError> {
    let operands: Vec<ValueId> = old.iter().chain(new).copied().chain([time, lengths]).collect();
    b.compute_many(&operands, shape.to_vec(), |p| {
        let index = p.indices();
        let time = p.load(operands.len() - 2, &[]);
        let length = p.load(operands.len() - 1, &index[..1]);
        let inside = p.lt(time, length);
        for k in 0..old.len() {
            let (before, after) = (p.load(k, &index), p.load(old.len() + k, &index));
            let state = p.select(inside, after, before);
            p.out(state);
        }
        let state = p.load(old.len(), &index);
        let zero = p.zero(p.dtype(state));
        let output = p.select(inside, state, zero);
        p.out(output);
    })
}

/// Element of gate `gate` at the point `[batch, unit]`.
fn gate(p: &mut Point<'_>, operand: usize, gate: i64, hidden: &Dim) -> ExprId {
    let (batch, unit) = (p.index(0), p.index(1));
    let start = p.dim(&(hidden * &Dim::constant(gate)));
    let row = p.add(unit, start);
    p.load(operand, &[batch, row])
}

fn lstm(b: &mut Builder, rnn: &Rnn, step: &Step, input_forget: bool) -> Result<Vec<ValueId>, BuildError> {
    let Some(cell) = step.cell else { return Err(BuildError::Results { expected: 2, found: 1 }) };
    let product = b.contract("bh,gh->bg", step.state, step.recurrent)?;
    let operands: Vec<ValueId> = [step.pre, product, cell].into_iter().chain(step.peepholes).collect();
    let hidden = step.shape[1].clone();
    b.compute_many(&operands, step.shape.clone(), |p| {
        let index = p.indices();
        let old = p.load(2, &index);
        let input_of = |p: &mut Point<'_>, k: i64, peephole: Option<(i64, ExprId)>| {
            let (x, h) = (gate(p, 0, k, &hidden), gate(p, 1, k, &hidden));
            let sum = p.add(x, h);
            match peephole.filter(|_| step.peepholes.is_some()) {
                Some((part, cell)) => {
                    let start = p.dim(&(&hidden * &Dim::constant(part)));
                    let at = p.add(index[1], start);
                    let weight = p.load(3, &[at]);
                    let term = p.mul(weight, cell);
                    p.add(sum, term)
                }
                None => sum,
            }
        };
        let i = input_of(p, 0, Some((0, old)));
        let i = rnn.activate(p, 0, i);
        let f = if input_forget {
            let one = p.number(p.dtype(i), 1.0);
            p.sub(one, i)
        } else {
            let f = input_of(p, 2, Some((2, old)));
            rnn.activate(p, 0, f)
        };
        let c = input_of(p, 3, None);
        let c = rnn.activate(p, 1, c);
        let (kept, added) = (p.mul(f, old), p.mul(i, c));
        let new = p.add(kept, added);
        let o = input_of(p, 1, Some((1, new)));
        let o = rnn.activate(p, 0, o);
        let out = rnn.activate(p, 2, new);
        let state = p.mul(o, out);
        p.out(state);
        p.out(new);
    })
}

fn gru(b: &mut Builder, rnn: &Rnn, step: &Step, linear: bool) -> Result<Vec<ValueId>, BuildError> {
    let hidden = step.shape[1].clone();
    if linear {
        let product = b.contract("bh,gh->bg", step.state, step.recurrent)?;
        let operands: Vec<ValueId> = [step.pre, product, step.state].into_iter().chain(step.bias).collect();
        let new = b.compute(&operands, step.shape.clone(), |p| {
            let (z, r) = (gru_gate(p, rnn, 0, &hidden), gru_gate(p, rnn, 1, &hidden));
            let mut product = gate(p, 1, 2, &hidden);
            if step.bias.is_some() {
                let start = p.dim(&(&hidden * &Dim::constant(5)));
                let unit = p.index(1);
                let at = p.add(unit, start);
                let bias = p.load(3, &[at]);
                product = p.add(product, bias);
            }
            let scaled = p.mul(r, product);
            let x = gate(p, 0, 2, &hidden);
            let sum = p.add(x, scaled);
            blend(p, rnn, z, sum);
        })?;
        return Ok(vec![new]);
    }
    let two = &hidden * &Dim::constant(2);
    let gates_weight = b.slice(step.recurrent, 0, &Dim::constant(0), 1, two.clone())?;
    let hidden_weight = b.slice(step.recurrent, 0, &two, 1, hidden.clone())?;
    let product = b.contract("bh,gh->bg", step.state, gates_weight)?;
    let reset = b.compute(&[step.pre, product, step.state], step.shape.clone(), |p| {
        let r = gru_gate(p, rnn, 1, &hidden);
        let index = p.indices();
        let state = p.load(2, &index);
        let value = p.mul(r, state);
        p.out(value);
    })?;
    let inner = b.contract("bh,gh->bg", reset, hidden_weight)?;
    let new = b.compute(&[step.pre, product, step.state, inner], step.shape.clone(), |p| {
        let z = gru_gate(p, rnn, 0, &hidden);
        let index = p.indices();
        let (x, h) = (gate(p, 0, 2, &hidden), p.load(3, &index));
        let sum = p.add(x, h);
        blend(p, rnn, z, sum);
    })?;
    Ok(vec![new])
}

/// Update (0) or reset (1) gate from operands 0 and 1.
fn gru_gate(p: &mut Point<'_>, rnn: &Rnn, which: i64, hidden: &Dim) -> ExprId {
    let (x, h) = (gate(p, 0, which, hidden), gate(p, 1, which, hidden));
    let sum = p.add(x, h);
    rnn.activate(p, 0, sum)
}

/// `(1 - z) * g(sum) + z * state`, the state being operand 2.
fn blend(p: &mut Point<'_>, rnn: &Rnn, z: ExprId, sum: ExprId) {
    let new = rnn.activate(p, 1, sum);
    let index = p.indices();
    let old = p.load(2, &index);
    let one = p.number(p.dtype(z), 1.0);
    let rest = p.sub(one, z);
    let (new, old) = (p.mul(rest, new), p.mul(z, old));
    let state = p.add(new, old);
    p.out(state);
}

fn plain(b: &mut Builder, rnn: &Rnn, step: &Step) -> Result<Vec<ValueId>, BuildError> {
    let product = b.contract("bh,gh->bg", step.state, step.recurrent)?;
    let new = b.map(&[step.pre, product], |p, v| {
        let sum = p.add(v[0], v[1]);
        rnn.activate(p, 0, sum)
    })?;
    Ok(vec![new])
}
