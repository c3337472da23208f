//! Accumulators: one running value a point. Floats run in `f64` and round once at the end; integers wrap at the end.

use std::cmp::Ordering;

use crate::dtype::{Class, DType};
use crate::eval::Problem;
use crate::eval::column::{Column, Vals};
use crate::eval::{float, integer};
use crate::node::Combiner;
use crate::scalar::Num;

/// The running values of one accumulator for some points.
pub(super) struct Running {
    combiner: Combiner,
    /// Dtype of the values that are combined.
    dtype: DType,
    state: State,
}

enum State {
    F(Vec<f64>),
    I(Vec<i64>),
    Best { keys: Keys, index: Vec<i64>, started: Vec<bool> },
}

enum Keys {
    F(Vec<f64>),
    I(Vec<i64>),
}

const MIXED: Problem = Problem::Malformed { what: "an accumulator combines values of its own dtype" };

/// Where new values go.
enum Into<'a, T> {
    /// The k-th value to the k-th point.
    Each(&'a mut [T], &'a Vals<T>),
    /// So many values, in order, to one point.
    One(&'a mut T, &'a Vals<T>, usize),
}

impl<T: Copy> Into<'_, T> {
    fn apply(self, f: impl Fn(T, T) -> T) {
        match self {
            Into::Each(slots, Vals::One(v)) => slots.iter_mut().for_each(|slot| *slot = f(*slot, *v)),
            Into::Each(slots, Vals::Many(vs)) => slots.iter_mut().zip(vs).for_each(|(slot, v)| *slot = f(*slot, *v)),
            Into::One(slot, Vals::One(v), count) => (0..count).for_each(|_| *slot = f(*slot, *v)),
            Into::One(slot, Vals::Many(vs), _) => *slot = vs.iter().fold(*slot, |a, v| f(a, *v)),
        }
    }
}

impl Running {
    /// Neutral values for `count` points.
    pub(super) fn new(combiner: Combiner, dtype: DType, count: usize) -> Result<Running, Problem> {
        let undefined = || Problem::Undefined { what: combiner.name(), dtype };
        let best = matches!(combiner, Combiner::ArgMax { .. } | Combiner::ArgMin { .. });
        let logical = matches!(combiner, Combiner::Any | Combiner::All);
        let fits = match dtype.class() {
            Class::Float | Class::Signed | Class::Unsigned => !logical,
            Class::Bool => logical || best || matches!(combiner, Combiner::Max | Combiner::Min),
            Class::Str => false,
        };
        if !fits {
            return Err(undefined());
        }
        let state = if best {
            let keys = if dtype.is_float() { Keys::F(vec![0.0; count]) } else { Keys::I(vec![0; count]) };
            State::Best { keys, index: vec![0; count], started: vec![false; count] }
        } else {
            match combiner.neutral(dtype).num() {
                Num::F(v) => State::F(vec![v; count]),
                Num::I(v) => State::I(vec![v; count]),
            }
        };
        Ok(Running { combiner, dtype, state })
    }

    /// Combines one value into every point; `position` is that of the reduction step.
    pub(super) fn add_each(&mut self, values: &Column, position: i64) -> Result<(), Problem> {
        let (combiner, dtype) = (self.combiner, self.dtype);
        match (&mut self.state, values) {
            (State::F(slots), Column::F(v)) => combine_f(combiner, Into::Each(slots, v)),
            (State::I(slots), Column::I(v)) => combine_i(combiner, dtype, Into::Each(slots, v)),
            (State::Best { keys, index, started }, values) => {
                for point in 0..index.len() {
                    offer(combiner, dtype, keys, index, started, point, (values, point), position)?;
                }
                Ok(())
            }
            (State::F(_) | State::I(_), _) => Err(MIXED),
        }
    }

    /// Combines `count` values into one point, in order; `positions` are those of the reduction steps.
    pub(super) fn add_run(
        &mut self,
        point: usize,
        values: &Column,
        count: usize,
        positions: &Vals<i64>,
    ) -> Result<(), Problem> {
        let (combiner, dtype) = (self.combiner, self.dtype);
        match (&mut self.state, values) {
            (State::F(slots), Column::F(v)) => {
                combine_f(combiner, Into::One(slots.get_mut(point).ok_or(MIXED)?, v, count))
            }
            (State::I(slots), Column::I(v)) => {
                combine_i(combiner, dtype, Into::One(slots.get_mut(point).ok_or(MIXED)?, v, count))
            }
            (State::Best { keys, index, started }, values) => {
                for k in 0..count {
                    let position = positions.at(k).ok_or(MIXED)?;
                    offer(combiner, dtype, keys, index, started, point, (values, k), position)?;
                }
                Ok(())
            }
            (State::F(_) | State::I(_), _) => Err(MIXED),
        }
    }

    /// The values, as the accumulator's dtype holds them.
    pub(super) fn finish(self) -> Column {
        match self.state {
            State::F(v) => Column::F(float::round(self.dtype, Vals::Many(v))),
            State::I(v) => Column::I(integer::wrap(self.dtype, Vals::Many(v))),
            State::Best { index, .. } => Column::I(Vals::Many(index)),
        }
    }

    /// The value of the first point, as the accumulator's dtype holds it.
    pub(super) fn first(&self) -> Column {
        match &self.state {
            State::F(v) => Column::F(float::round(self.dtype, Vals::One(v.first().copied().unwrap_or(0.0)))),
            State::I(v) => Column::I(integer::wrap(self.dtype, Vals::One(v.first().copied().unwrap_or(0)))),
            State::Best { index, .. } => Column::I(Vals::One(index.first().copied().unwrap_or(0))),
        }
    }
}

fn combine_f(combiner: Combiner, into: Into<'_, f64>) -> Result<(), Problem> {
    match combiner {
        Combiner::Sum => into.apply(|a, b| a + b),
        Combiner::Prod => into.apply(|a, b| a * b),
        Combiner::Max => into.apply(float::max),
        Combiner::Min => into.apply(float::min),
        Combiner::Any | Combiner::All | Combiner::ArgMax { .. } | Combiner::ArgMin { .. } => return Err(MIXED),
    }
    Ok(())
}

fn combine_i(combiner: Combiner, dtype: DType, into: Into<'_, i64>) -> Result<(), Problem> {
    let flip = if dtype == DType::U64 { i64::MIN } else { 0 };
    match combiner {
        Combiner::Sum => into.apply(i64::wrapping_add),
        Combiner::Prod => into.apply(i64::wrapping_mul),
        Combiner::Max => into.apply(|a, b| if (a ^ flip) >= (b ^ flip) { a } else { b }),
        Combiner::Min => into.apply(|a, b| if (a ^ flip) <= (b ^ flip) { a } else { b }),
        Combiner::Any => into.apply(|a, b| a | b),
        Combiner::All => into.apply(|a, b| a & b),
        Combiner::ArgMax { .. } | Combiner::ArgMin { .. } => return Err(MIXED),
    }
    Ok(())
}

/// Takes a value as the best of a point if it is better than the one there, or as good and later ones win.
#[allow(clippy::too_many_arguments, reason = "the parts of one state, borrowed apart")]
fn offer(
    combiner: Combiner,
    dtype: DType,
    keys: &mut Keys,
    index: &mut [i64],
    started: &mut [bool],
    point: usize,
    (values, at): (&Column, usize),
    position: i64,
) -> Result<(), Problem> {
    let (max, last) = match combiner {
        Combiner::ArgMax { last } => (true, last),
        Combiner::ArgMin { last } => (false, last),
        Combiner::Sum | Combiner::Prod | Combiner::Max | Combiner::Min | Combiner::Any | Combiner::All => {
            return Err(MIXED);
        }
    };
    let first = !started[point];
    let take = |order: Ordering| first || order.is_gt() || (order.is_eq() && last);
    let taken = match (keys, values) {
        (Keys::F(keys), Column::F(values)) => {
            let new = values.at(at).ok_or(MIXED)?;
            let old = keys[point];
            let order = match (new.is_nan(), old.is_nan()) {
                (false, false) if max => new.partial_cmp(&old).unwrap_or(Ordering::Equal),
                (false, false) => old.partial_cmp(&new).unwrap_or(Ordering::Equal),
                (new, old) => new.cmp(&old),
            };
            let taken = take(order);
            if taken {
                keys[point] = new;
            }
            taken
        }
        (Keys::I(keys), Column::I(values)) => {
            let flip = if dtype == DType::U64 { i64::MIN } else { 0 };
            let new = values.at(at).ok_or(MIXED)?;
            let (a, b) = (new ^ flip, keys[point] ^ flip);
            let taken = take(if max { a.cmp(&b) } else { b.cmp(&a) });
            if taken {
                keys[point] = new;
            }
            taken
        }
        (Keys::F(_) | Keys::I(_), _) => return Err(MIXED),
    };
    if taken {
        index[point] = position;
        started[point] = true;
    }
    Ok(())
}
