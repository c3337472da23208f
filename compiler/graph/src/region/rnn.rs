//! A recurrent layer in one direction: LSTM, GRU or a plain cell over the steps of `[T, B, I]`.
//!
//! Operands, in this order: input `[T, B, I]`; weight of the input `[G*H, I]` and of the state `[G*H, H]`; initial state
//! `[B, H]`; LSTM: initial cell `[B, H]`; with `bias` both biases in one `[2*G*H]`; with `lengths` the number of steps of
//! each sequence, i64 `[B]`; with `peepholes` their weights `[3*H]` (input, output, forget). Results: the states of all
//! steps `[T, B, H]` (zero behind a sequence's end), the last state, LSTM: the last cell.
//!
//! Gates lie in ONNX's order: LSTM input, output, forget, cell (G = 4); GRU update, reset, hidden (G = 3). Everything is
//! computed in f32 or wider. The input's part of the gates is one contraction in front of the steps. The other direction is
//! this one over reversed steps.

use crate::attrs::{Attr, Attrs};
use crate::builder::{BuildError, Builder, Point};
use crate::dim::Dim;
use crate::dtype::DType;
use crate::expr::ExprId;
use crate::graph::ValueId;
use crate::region::activation::Activation;
use crate::region::contract::accumulator;
use crate::region::{RegionKind, attribute};
use crate::scalar::Scalar;
use crate::ty::Type;

pub const KIND: RegionKind = RegionKind { name: "rnn", body };

/// What one step computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    Lstm {
        /// Whether the forget gate is one minus the input gate.
        input_forget: bool,
    },
    Gru {
        /// Whether the reset gate multiplies the state's product with its weight, not the state.
        linear_before_reset: bool,
    },
    Plain,
}

/// Attributes of a recurrent layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Rnn {
    pub cell: Cell,
    /// LSTM: gates, cell, hidden. GRU: gates, hidden. Plain: hidden.
    pub activations: Vec<Activation>,
    /// Bound on the size of what activations take.
    pub clip: Option<Scalar>,
    pub bias: bool,
    pub lengths: bool,
    pub peepholes: bool,
}

impl Cell {
    /// Number of gates.
    pub fn gates(self) -> i64 {
        match self {
            Cell::Lstm { .. } => 4,
            Cell::Gru { .. } => 3,
            Cell::Plain => 1,
        }
    }

    /// Number of activation functions.
    pub fn functions(self) -> usize {
        match self {
            Cell::Lstm { .. } => 3,
            Cell::Gru { .. } => 2,
            Cell::Plain => 1,
        }
    }
}

impl Rnn {
    /// As attributes of a region.
    pub fn to_attrs(&self) -> Attrs {
        let (name, variant) = match self.cell {
            Cell::Lstm { input_forget } => ("lstm", Some(("input_forget", input_forget))),
            Cell::Gru { linear_before_reset } => ("gru", Some(("linear_before_reset", linear_before_reset))),
            Cell::Plain => ("plain", None),
        };
        let mut attrs = Attrs::new()
            .with("cell", Attr::Str(name.to_string()))
            .with("activations", Attr::Strs(self.activations.iter().map(|a| a.to_text()).collect()))
            .with("bias", Attr::Bool(self.bias))
            .with("lengths", Attr::Bool(self.lengths))
            .with("peepholes", Attr::Bool(self.peepholes));
        if let Some((name, value)) = variant {
            attrs = attrs.with(name, Attr::Bool(value));
        }
        match self.clip {
            Some(clip) => attrs.with("clip", Attr::Scalar(clip)),
            None => attrs,
        }
    }

    /// From attributes of a region.
    pub fn from_attrs(attrs: &Attrs) -> Result<Rnn, BuildError> {
        let flag = |name: &str| attribute(name, attrs.bool(name), "a truth value");
        let cell = match attrs.str("cell") {
            Some("lstm") => Cell::Lstm { input_forget: flag("input_forget")? },
            Some("gru") => Cell::Gru { linear_before_reset: flag("linear_before_reset")? },
            Some("plain") => Cell::Plain,
            _ => return attribute("cell", None, "lstm, gru or plain"),
        };
        let names = attrs.strs("activations").filter(|n| n.len() == cell.functions());
        let names = attribute("activations", names, "one name a function of the cell")?;
        let clip = match attrs.0.get("clip") {
            Some(Attr::Scalar(s)) => Some(*s),
            _ => None,
        };
        Ok(Rnn {
            cell,
            activations: names.iter().map(|n| Activation::from_text(n)).collect::<Result<_, _>>()?,
            clip,
            bias: flag("bias")?,
            lengths: flag("lengths")?,
            peepholes: flag("peepholes")?,
        })
    }

    /// The activation at a position, after clipping what it takes.
    fn activate(&self, p: &mut Point<'_>, position: usize, x: ExprId) -> ExprId {
        let dtype = p.dtype(x);
        let x = match self.clip {
            Some(clip) => {
                let (lo, hi) = (p.number(dtype, -clip.as_f64()), p.number(dtype, clip.as_f64()));
                let x = p.max(x, lo);
                p.min(x, hi)
            }
            None => x,
        };
        self.activations.get(position).map_or(x, |a| a.apply(p, x))
    }
}

/// The operands of a layer by name, in the body's graph and in the wide dtype.
struct Operands {
    input: ValueId,
    weight: ValueId,
    recurrent: ValueId,
    state: ValueId,
    cell: Option<ValueId>,
    bias: Option<ValueId>,
    lengths: Option<ValueId>,
    peepholes: Option<ValueId>,
}

fn body(b: &mut Builder, attrs: &Attrs, values: &[ValueId]) -> Result<Vec<ValueId>, BuildError> {
    let rnn = Rnn::from_attrs(attrs)?;
    let mut rest = values.iter().copied();
    let first = rest.next().ok_or(BuildError::Results { expected: 4, found: 0 })?;
    let dtype = b.dtype(first)?;
    let wide = accumulator(dtype);
    let mut next = |b: &mut Builder, there: bool, to: DType| -> Result<Option<ValueId>, BuildError> {
        match rest.next().filter(|_| there) {
            Some(value) => b.cast(value, to).map(Some),
            None if there => Err(BuildError::Results { expected: values.len() + 1, found: values.len() }),
            None => Ok(None),
        }
    };
    let lstm = matches!(rnn.cell, Cell::Lstm { .. });
    let missing = BuildError::Results { expected: 4, found: values.len() };
    let operands = Operands {
        input: first,
        weight: next(b, true, dtype)?.ok_or_else(|| missing.clone())?,
        recurrent: next(b, true, dtype)?.ok_or_else(|| missing.clone())?,
        state: next(b, true, wide)?.ok_or(missing)?,
        cell: if lstm { next(b, true, wide)? } else { None },
        bias: if rnn.bias { next(b, true, wide)? } else { None },
        lengths: if rnn.lengths { next(b, true, DType::I64)? } else { None },
        peepholes: if rnn.peepholes { next(b, true, wide)? } else { None },
    };
    let (trip, pre) = input_gates(b, &rnn, &operands)?;
    let results = steps(b, &rnn, &operands, trip, pre, wide)?;
    // The scan yields the last states first, then the stacked ones.
    let (last, all) = results.split_at(if lstm { 2 } else { 1 });
    let ordered: Vec<ValueId> = all.iter().chain(last).copied().collect();
    ordered.into_iter().map(|v| b.cast(v, dtype)).collect()
}

/// The part of the gates that needs no state, for all steps: `[T, B, G*H]`.
fn input_gates(b: &mut Builder, rnn: &Rnn, operands: &Operands) -> Result<(Dim, ValueId), BuildError> {
    let product = b.contract("tbi,gi->tbg", operands.input, operands.weight)?;
    let shape = b.shape(product)?;
    let (trip, gates) = (shape[0].clone(), shape[2].clone());
    let hidden = b.shape(operands.state)?.get(1).cloned().unwrap_or_default();
    b.assume_equal(
        &gates,
        &(&hidden * &Dim::constant(rnn.cell.gates())),
        "rows of the weight are gates times hidden size",
    )?;
    let Some(bias) = operands.bias else { return Ok((trip, product)) };
    b.assume_equal(&b.shape(bias)?[0].clone(), &(&gates * &Dim::constant(2)), "one bias a row of each weight")?;
    let linear = matches!(rnn.cell, Cell::Gru { linear_before_reset: true });
    let sum = b.compute(&[product, bias], shape, |p| {
        let index = p.indices();
        let (value, own) = (p.load(0, &index), p.load(1, &index[2..]));
        let rows = p.dim(&gates);
        let at = p.add(index[2], rows);
        let mut other = p.load(1, &[at]);
        if linear {
            // The hidden gate's second bias is added before the reset gate multiplies.
            let (start, zero) = (p.dim(&(&gates - &hidden)), p.zero(p.dtype(value)));
            let before = p.lt(index[2], start);
            other = p.select(before, other, zero);
        }
        let bias = p.add(own, other);
        let sum = p.add(value, bias);
        p.out(sum);
    })?;
    Ok((trip, sum))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn check(cell: Cell, activations: &[Activation], rows: i64, expected: Result<usize, &str>) {
        let mut b = Builder::new("test");
        let mut tensor = |shape: &[i64]| {
            let dims: Vec<Dim> = shape.iter().map(|d| Dim::constant(*d)).collect();
            b.input("", Type::tensor(DType::F16, dims))
        };
        let mut operands = vec![tensor(&[5, 2, 3]), tensor(&[rows, 3]), tensor(&[rows, 4]), tensor(&[2, 4])];
        if matches!(cell, Cell::Lstm { .. }) {
            operands.push(tensor(&[2, 4]));
        }
        operands.push(tensor(&[2 * rows]));
        operands.push(tensor(&[2]));
        let rnn = Rnn {
            cell,
            activations: activations.to_vec(),
            clip: Some(Scalar::f32(2.0)),
            bias: true,
            lengths: true,
            peepholes: false,
        };
        match (b.region(&KIND, rnn.to_attrs(), &operands), expected) {
            (Ok(results), Ok(count)) => {
                assert_eq!(Rnn::from_attrs(&rnn.to_attrs()).unwrap(), rnn);
                assert_eq!(results.len(), count);
                assert_eq!(b.shape(results[0]).unwrap(), [5, 2, 4].map(Dim::constant));
                assert_eq!(b.shape(results[1]).unwrap(), [2, 4].map(Dim::constant));
                assert_eq!(b.dtype(results[0]).unwrap(), DType::F16);
            }
            (Err(e), Err(text)) => assert!(e.to_string().contains(text), "{e}"),
            (found, _) => assert!(found.is_err(), "expected {expected:?}, found {found:?}"),
        }
    }

    #[test]
    fn every_cell_types() {
        use Activation::{Sigmoid, Tanh};
        check(Cell::Lstm { input_forget: true }, &[Sigmoid, Tanh, Tanh], 16, Ok(3));
        check(Cell::Gru { linear_before_reset: true }, &[Sigmoid, Tanh], 12, Ok(2));
        check(Cell::Gru { linear_before_reset: false }, &[Sigmoid, Tanh], 12, Ok(2));
        check(Cell::Plain, &[Activation::Affine(0.5, 1.0)], 4, Ok(2));
    }

    #[test]
    fn misfits_are_refused() {
        check(Cell::Plain, &[Activation::Relu], 5, Err("rows of the weight"));
        check(Cell::Plain, &[], 4, Err("activations"));
    }
}
