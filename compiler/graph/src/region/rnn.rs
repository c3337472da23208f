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
use crate::region::rnn_steps::{self, Operands};
use crate::region::{RegionKind, attribute};
use crate::scalar::Scalar;

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
    pub(super) fn activate(&self, p: &mut Point<'_>, position: usize, x: ExprId) -> ExprId {
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
    let pre = input_gates(b, &rnn, &operands)?;
    let linear = matches!(rnn.cell, Cell::Gru { linear_before_reset: true });
    let steps = Rnn { bias: rnn.bias && linear, ..rnn.clone() };
    let bias = operands.bias.filter(|_| linear);
    let states = [pre, operands.recurrent, operands.state].into_iter().chain(operands.cell);
    let all: Vec<ValueId> = states.chain(bias).chain(operands.lengths).chain(operands.peepholes).collect();
    let results = b.region(&rnn_steps::KIND, steps.to_attrs(), &all)?;
    // The scan yields the last states first, then the stacked ones.
    let (last, all) = results.split_at(if lstm { 2 } else { 1 });
    let ordered: Vec<ValueId> = all.iter().chain(last).copied().collect();
    ordered.into_iter().map(|v| b.cast(v, dtype)).collect()
}

/// The part of the gates that needs no state, for all steps: `[T, B, G*H]`.
fn input_gates(b: &mut Builder, rnn: &Rnn, operands: &Operands) -> Result<ValueId, BuildError> {
    let product = b.contract("tbi,gi->tbg", operands.input, operands.weight)?;
    let shape = b.shape(product)?;
    let gates = shape[2].clone();
    let hidden = b.shape(operands.state)?.get(1).cloned().unwrap_or_default();
    b.assume_equal(
        &gates,
        &(&hidden * &Dim::constant(rnn.cell.gates())),
        "rows of the weight are gates times hidden size",
    )?;
    let Some(bias) = operands.bias else { return Ok(product) };
    let rows = b.shape(bias)?;
    let [rows] = rows.as_slice() else {
        let what = "the bias of a recurrent layer".to_string();
        return Err(BuildError::Rank { what, expected: "1".to_string(), found: rows.len() });
    };
    b.assume_equal(rows, &(&gates * &Dim::constant(2)), "one bias a row of each weight")?;
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
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ty::Type;

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
