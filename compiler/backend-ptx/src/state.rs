//! Running values of accumulators in registers.
//!
//! | combiner | registers |
//! |---|---|
//! | sum, product of floats | one `f64`; rounded once at the end |
//! | sum, product of integers | one integer of 32 or 64 bits; it wraps |
//! | maximum, minimum | one value of the dtype |
//! | any, all; all combiners of bool | 0 or 1 in 32 bits |
//! | position of the best | the best value, and its position in 64 bits, -1 before the first |
//!
//! Two states of disjoint steps merge. Merging is exact but for float sums and products, which are in `f64`, and for which
//! of two zeros a maximum yields; the order of merging is fixed, so equal inputs give equal bits.

use graph::dtype::{Class, DType};
use graph::expr::BinOp;
use graph::node::{Acc, Combiner};
use graph::scalar::Scalar;
use ptx_expr::{Convert, Float, FloatOp, Int, IntOp, Number, Op, Relation, Width};

use crate::error::PtxError;
use crate::writer::{V, Writer};

/// What an accumulator takes in at one step.
#[derive(Clone, Copy, Debug)]
pub enum Taken {
    Value(V),
    /// Factors of floats whose product is added unrounded.
    Product(V, V),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// In f64.
    Float,
    Integer(Int),
    /// By the dtype's own maximum or minimum.
    Extreme,
    Logic,
    Best,
}

/// The state of one accumulator.
#[derive(Clone, Debug)]
pub struct State {
    combiner: Combiner,
    /// Dtype of the values.
    dtype: DType,
    kind: Kind,
    pub regs: Vec<V>,
}

/// Widths of the registers of a state.
pub fn widths(acc: &Acc, dtype: DType) -> Vec<Width> {
    match kind(acc.combiner, dtype) {
        Kind::Float => vec![Width::B64],
        Kind::Integer(ty) => vec![ty.width()],
        Kind::Extreme => vec![stored_width(dtype)],
        Kind::Logic => vec![Width::B32],
        Kind::Best => vec![stored_width(dtype), Width::B64],
    }
}

/// Width of a value of a dtype outside of predicates.
pub fn stored_width(dtype: DType) -> Width {
    if dtype.bits() == 64 { Width::B64 } else { Width::B32 }
}

/// The integers that values of a dtype are held in.
pub fn int_of(dtype: DType) -> Int {
    match (dtype.class(), dtype.bits() == 64) {
        (Class::Signed, true) => Int::S64,
        (Class::Signed, false) => Int::S32,
        (_, true) => Int::U64,
        (_, false) => Int::U32,
    }
}

/// How two values of a dtype compare.
pub fn number_of(dtype: DType) -> Number {
    match dtype {
        DType::F64 => Number::Float(Float::F64),
        _ if dtype.is_float() => Number::Float(Float::F32),
        _ => Number::Int(int_of(dtype)),
    }
}

fn kind(combiner: Combiner, dtype: DType) -> Kind {
    match combiner {
        Combiner::ArgMax { .. } | Combiner::ArgMin { .. } => Kind::Best,
        _ if dtype == DType::Bool => Kind::Logic,
        Combiner::Sum | Combiner::Prod if dtype.is_float() => Kind::Float,
        Combiner::Sum | Combiner::Prod => Kind::Integer(int_of(dtype)),
        Combiner::Max | Combiner::Min => Kind::Extreme,
        Combiner::Any | Combiner::All => Kind::Logic,
    }
}

impl State {
    /// Neutral values in fresh registers.
    pub fn new(w: &mut Writer, acc: &Acc, dtype: DType) -> Result<State, PtxError> {
        let kind = kind(acc.combiner, dtype);
        let neutral = match kind {
            // What comes first is better, or equal: then there is none, and the first position is the answer.
            Kind::Best if dtype == DType::Bool => Scalar::bool(false),
            Kind::Best if matches!(acc.combiner, Combiner::ArgMin { .. }) => Combiner::Min.neutral(dtype),
            Kind::Best => Combiner::Max.neutral(dtype),
            _ => acc.combiner.neutral(dtype),
        };
        let mut start = Vec::new();
        match kind {
            Kind::Float => {
                let value = w.m.float(Float::F64, neutral.as_f64());
                start.push((Width::B64, value));
            }
            Kind::Logic => {
                let value = w.m.u32(u32::from(neutral.bits != 0));
                start.push((Width::B32, value));
            }
            Kind::Integer(_) | Kind::Extreme => {
                let value = w.constant(neutral)?;
                start.push((stored_width(dtype), value));
            }
            Kind::Best => {
                let least = matches!(acc.combiner, Combiner::ArgMin { .. });
                let value = if dtype == DType::Bool { w.m.u32(u32::from(least)) } else { w.constant(neutral)? };
                start.push((stored_width(dtype), value));
                let none = w.m.i64(-1);
                start.push((Width::B64, none));
            }
        }
        let regs = start.into_iter().map(|(width, value)| w.var(width, value)).collect();
        Ok(State { combiner: acc.combiner, dtype, kind, regs })
    }

    /// A state whose registers are these.
    pub fn with(&self, regs: Vec<V>) -> State {
        State { regs, ..self.clone() }
    }

    /// Widths of the registers.
    pub fn widths(&self) -> Vec<Width> {
        match self.kind {
            Kind::Float => vec![Width::B64],
            Kind::Integer(ty) => vec![ty.width()],
            Kind::Extreme => vec![stored_width(self.dtype)],
            Kind::Logic => vec![Width::B32],
            Kind::Best => vec![stored_width(self.dtype), Width::B64],
        }
    }

    /// Takes in the value of a step, where `guard` holds. `position` is asked for by those that yield positions.
    pub fn take(
        &self,
        w: &mut Writer,
        taken: Taken,
        guard: Option<V>,
        position: &mut dyn FnMut(&mut Writer) -> V,
    ) -> Result<(), PtxError> {
        let new = match (self.kind, taken) {
            (Kind::Float, Taken::Product(a, b)) => {
                let (a, b) = (self.wide(w, a), self.wide(w, b));
                let (sum, f) = (self.reg(0)?, Float::F64);
                // The product of two floats of 32 bits is exact in f64, so that rounding once is rounding the sum.
                if self.dtype == DType::F64 {
                    let product = w.m.mul(f, a, b);
                    vec![w.m.add(f, sum, product)]
                } else {
                    vec![w.m.fma(f, a, b, sum)]
                }
            }
            (Kind::Float, Taken::Value(v)) => {
                let v = self.wide(w, v);
                vec![v]
            }
            (Kind::Logic, Taken::Value(v)) => vec![w.bit(v)],
            (Kind::Best, Taken::Value(v)) => {
                let v = if self.dtype == DType::Bool { w.bit(v) } else { v };
                vec![v, position(w)]
            }
            (Kind::Integer(_) | Kind::Extreme, Taken::Value(v)) => vec![v],
            (_, Taken::Product(..)) => return Err(PtxError::Malformed("a product of what is not float")),
        };
        if let (Kind::Float, Taken::Product(..)) = (self.kind, taken) {
            return self.assign(w, &new, guard);
        }
        if self.kind == Kind::Best {
            return self.take_best(w, &new, guard);
        }
        self.merge(w, &new, guard)
    }

    /// Starts from a value instead of the neutral one.
    pub fn start(&self, w: &mut Writer, value: V) -> Result<(), PtxError> {
        let new = match self.kind {
            Kind::Float => vec![self.wide(w, value)],
            Kind::Logic => vec![w.bit(value)],
            Kind::Integer(_) | Kind::Extreme => vec![value],
            Kind::Best => return Err(PtxError::Malformed("a position that starts from a value")),
        };
        self.assign(w, &new, None)
    }

    /// A value as f64.
    fn wide(&self, w: &mut Writer, v: V) -> V {
        if self.dtype == DType::F64 { v } else { w.m.convert(Convert::F32ToF64, v) }
    }

    fn reg(&self, k: usize) -> Result<V, PtxError> {
        self.regs.get(k).copied().ok_or(PtxError::Malformed("an accumulator without registers"))
    }

    fn assign(&self, w: &mut Writer, new: &[V], guard: Option<V>) -> Result<(), PtxError> {
        for (reg, value) in self.regs.iter().zip(new) {
            match guard {
                Some(guard) => w.set_if(guard, *reg, *value),
                None => w.set(*reg, *value),
            }
        }
        Ok(())
    }

    /// Combines with another state, whose steps come after (or, for sums and extremes, beside) these.
    pub fn merge(&self, w: &mut Writer, other: &[V], guard: Option<V>) -> Result<(), PtxError> {
        let own = self.reg(0)?;
        let theirs = other.first().copied().ok_or(PtxError::Malformed("an accumulator without registers"))?;
        let new = match (self.kind, self.combiner) {
            (Kind::Float, Combiner::Prod) => w.m.mul(Float::F64, own, theirs),
            (Kind::Float, _) => w.m.add(Float::F64, own, theirs),
            (Kind::Integer(ty), Combiner::Prod) => w.m.int2(IntOp::Mul, ty, own, theirs),
            (Kind::Integer(ty), _) => w.m.int2(IntOp::Add, ty, own, theirs),
            (Kind::Extreme, Combiner::Max | Combiner::Min) if self.dtype.is_float() => {
                let op = if self.combiner == Combiner::Max { FloatOp::MaxNan } else { FloatOp::MinNan };
                let f = if self.dtype == DType::F64 { Float::F64 } else { Float::F32 };
                w.m.apply(Op::Float(op, f), &[own, theirs])
            }
            (Kind::Extreme, Combiner::Max) => w.binary(BinOp::Max, self.dtype, own, theirs)?,
            (Kind::Extreme, _) => w.binary(BinOp::Min, self.dtype, own, theirs)?,
            (Kind::Logic, Combiner::All | Combiner::Min | Combiner::Prod) => w.m.and(Width::B32, own, theirs),
            (Kind::Logic, _) => w.m.or(Width::B32, own, theirs),
            (Kind::Best, _) => return self.merge_best(w, other, guard),
        };
        self.assign(w, &[new], guard)
    }

    /// Takes in a step behind all that were taken: equal values win for the last of the best, and only then.
    fn take_best(&self, w: &mut Writer, other: &[V], guard: Option<V>) -> Result<(), PtxError> {
        let (max, last) = match self.combiner {
            Combiner::ArgMax { last } => (true, last),
            Combiner::ArgMin { last } => (false, last),
            _ => return Err(PtxError::Malformed("a combiner without positions")),
        };
        let (key, at) = (self.reg(0)?, self.reg(1)?);
        let [new, new_at] = other else { return Err(PtxError::Malformed("a position without a value")) };
        let number = number_of(self.dtype);
        // NaN is the best: the old one stays, or is taken if it is the last that counts.
        let stays = match (max, last) {
            (true, false) => Relation::Le,
            (true, true) => Relation::Lt,
            (false, false) => Relation::Ge,
            (false, true) => Relation::Gt,
        };
        let worse = w.m.compare(stays, number, *new, key);
        let mut wins = w.m.not(Width::Pred, worse);
        if let Number::Float(f) = number {
            let old_nan = w.m.is_nan(f, key);
            let mut keeps = old_nan;
            if last {
                let new_nan = w.m.is_nan(f, *new);
                let number_again = w.m.not(Width::Pred, new_nan);
                keeps = w.m.and(Width::Pred, old_nan, number_again);
            }
            let open = w.m.not(Width::Pred, keeps);
            wins = w.m.and(Width::Pred, wins, open);
        }
        if let Some(guard) = guard {
            wins = w.m.and(Width::Pred, wins, guard);
        }
        w.set_if(wins, key, *new);
        w.set_if(wins, at, *new_at);
        Ok(())
    }

    fn merge_best(&self, w: &mut Writer, other: &[V], guard: Option<V>) -> Result<(), PtxError> {
        let (max, last) = match self.combiner {
            Combiner::ArgMax { last } => (true, last),
            Combiner::ArgMin { last } => (false, last),
            _ => return Err(PtxError::Malformed("a combiner without positions")),
        };
        let (key, at) = (self.reg(0)?, self.reg(1)?);
        let [new, new_at] = other else { return Err(PtxError::Malformed("a position without a value")) };
        let (new, new_at) = (*new, *new_at);
        let number = number_of(self.dtype);
        let relation = if max { Relation::Gt } else { Relation::Lt };
        let mut better = w.m.compare(relation, number, new, key);
        let mut equal = w.m.compare(Relation::Eq, number, new, key);
        if let Number::Float(f) = number {
            let new_nan = w.m.is_nan(f, new);
            let old_nan = w.m.is_nan(f, key);
            let both = w.m.and(Width::Pred, new_nan, old_nan);
            equal = w.m.or(Width::Pred, equal, both);
            let number_before = w.m.not(Width::Pred, old_nan);
            let rises = w.m.and(Width::Pred, new_nan, number_before);
            better = w.m.or(Width::Pred, better, rises);
        }
        let order = if last { Relation::Gt } else { Relation::Lt };
        let nearer = w.m.icmp(order, Int::S64, new_at, at);
        let tie = w.m.and(Width::Pred, equal, nearer);
        let wins = w.m.or(Width::Pred, better, tie);
        let zero = w.m.i64(0);
        let empty = w.m.icmp(Relation::Lt, Int::S64, at, zero);
        let wins = w.m.or(Width::Pred, wins, empty);
        let there = w.m.icmp(Relation::Ge, Int::S64, new_at, zero);
        let mut wins = w.m.and(Width::Pred, wins, there);
        if let Some(guard) = guard {
            wins = w.m.and(Width::Pred, wins, guard);
        }
        w.set_if(wins, key, new);
        w.set_if(wins, at, new_at);
        Ok(())
    }

    /// The accumulator's result in working form.
    pub fn finish(&self, w: &mut Writer) -> Result<V, PtxError> {
        let value = self.reg(0)?;
        Ok(match self.kind {
            Kind::Float => w.cast(DType::F64, self.dtype, value)?,
            Kind::Integer(_) => w.wrap(self.dtype, value)?,
            Kind::Extreme => value,
            Kind::Logic => w.is_not_zero(value),
            Kind::Best => {
                let (at, zero) = (self.reg(1)?, w.m.i64(0));
                w.m.int2(IntOp::Max, Int::S64, at, zero)
            }
        })
    }
}
