//! A DAG of expressions to values: each expression once, leaves from whoever emits.
//!
//! An [`Emitter`] stands for one point of a domain. A kernel that computes several points in one thread makes an emitter for each
//! over the same machine; what they share is emitted once, as the machine remembers results. A lane of a vector is
//! [`Emitter::place`]: index variable `k` stands for a polynomial, such as `4 i + 2`.

use std::collections::{BTreeMap, BTreeSet};

use graph::dim::{Dim, Pred, SymId};
use graph::dtype::DType;
use graph::expr::{BinOp, CmpOp, Expr, ExprId, Exprs, UnOp};
use graph::scalar::Scalar;
use graph::symbol::{SymSource, Symbols};
use nest::index::IndexSpace;

use crate::arith::Arith;
use crate::cast::{Cast, bitcast};
use crate::error::Error;
use crate::form::Form;
use crate::maths::MathsMode;
use crate::op::Convert;
use crate::scalar::{binary, compare, constant, fma, unary};

/// An integer of 32 bits (signed) or 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whole<V> {
    pub value: V,
    pub wide: bool,
}

/// Whether index arithmetic may count on 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Fits {
    /// Where the ranges of symbols and index variables prove it.
    #[default]
    Proven,
    /// Everywhere but in what comes from data and where a larger number stands: the launch has checked that no index, extent and
    /// offset exceeds `i32`.
    Assumed,
}

/// How expressions are emitted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    pub maths: MathsMode,
    pub fits: Fits,
}

/// A load that an expression wants.
#[derive(Clone, Copy, Debug)]
pub struct Load<'e> {
    pub operand: u32,
    /// Expressions, i64, one a dim.
    pub index: &'e [ExprId],
    /// The value outside of the shape; without, the index is in range.
    pub or: Option<ExprId>,
    pub dtype: DType,
}

/// Where leaves come from. Values have the forms of their dtypes ([`Form`]).
pub trait Leaves<A: Arith> {
    /// An index variable; asked for once a point, and not where it was placed.
    fn index(&mut self, a: &mut A, index: u32) -> Result<Whole<A::Value>, Error>;

    /// A size parameter.
    fn symbol(&mut self, a: &mut A, symbol: SymId) -> Result<Whole<A::Value>, Error>;

    /// The value of a load, in the form of its dtype. [`Emitter::offset`] and [`Emitter::within`] give its address and guard.
    fn load(&mut self, e: &mut Emitter<'_, A>, load: Load<'_>) -> Result<A::Value, Error>;

    /// The result of an accumulator.
    fn acc(&mut self, a: &mut A, acc: u32) -> Result<A::Value, Error> {
        let _ = a;
        Err(Error::Acc { acc })
    }

    /// A size that the launch computes, as a parameter; `None`: it is computed here, from symbols.
    fn size(&mut self, a: &mut A, size: &Dim) -> Result<Option<Whole<A::Value>>, Error> {
        let _ = (a, size);
        Ok(None)
    }

    /// Multiplier and shift (32 bits each) for division by a size from 1 to 2^31 - 1: `(high(n m) + n) >> s`. `None`: it is
    /// divided by the size itself.
    fn divisor(&mut self, a: &mut A, size: &Dim) -> Result<Option<(A::Value, A::Value)>, Error> {
        let _ = (a, size);
        Ok(None)
    }
}

/// Emits expressions at one point.
pub struct Emitter<'a, A: Arith> {
    pub(crate) arith: &'a mut A,
    exprs: &'a Exprs,
    pub(crate) space: &'a IndexSpace,
    pub(crate) options: Options,
    /// Those of the space, and one for every value from data that indices are made of.
    pub(crate) symbols: Symbols,
    pub(crate) fresh: BTreeMap<SymId, Whole<A::Value>>,
    pub(crate) wholes: BTreeMap<Dim, Whole<A::Value>>,
    placed: BTreeMap<u32, Dim>,
    values: BTreeMap<ExprId, A::Value>,
    maps: BTreeMap<ExprId, Option<Dim>>,
    opaque: BTreeMap<ExprId, Dim>,
}

impl<'a, A: Arith> Emitter<'a, A> {
    /// Index variables of the expressions are those of the space, in order.
    pub fn new(arith: &'a mut A, exprs: &'a Exprs, space: &'a IndexSpace, options: Options) -> Emitter<'a, A> {
        Emitter {
            arith,
            exprs,
            space,
            options,
            symbols: space.symbols().clone(),
            fresh: BTreeMap::new(),
            wholes: BTreeMap::new(),
            placed: BTreeMap::new(),
            values: BTreeMap::new(),
            maps: BTreeMap::new(),
            opaque: BTreeMap::new(),
        }
    }

    /// The machine, to emit something else.
    pub fn arith(&mut self) -> &mut A {
        self.arith
    }

    /// Lets an index variable stand for a polynomial of symbols and variables of the space; before anything is emitted.
    pub fn place(&mut self, index: u32, stands_for: Dim) {
        self.placed.insert(index, stands_for);
    }

    /// Sets the value of an expression.
    pub fn give(&mut self, id: ExprId, value: A::Value) {
        self.values.insert(id, value);
    }

    /// The value of an expression in the form of its dtype.
    pub fn value(&mut self, id: ExprId, leaves: &mut dyn Leaves<A>) -> Result<A::Value, Error> {
        if let Some(value) = self.values.get(&id) {
            return Ok(*value);
        }
        // What is below comes first, so that deep expressions need no deep stack.
        for below in self.below(id) {
            if !self.values.contains_key(&below) {
                let value = self.compute(below, leaves)?;
                self.values.insert(below, value);
            }
        }
        let value = self.compute(id, leaves)?;
        self.values.insert(id, value);
        Ok(value)
    }

    /// The operations that an expression needs, operands first; without what loads and index maps are made of.
    fn below(&mut self, id: ExprId) -> BTreeSet<ExprId> {
        for below in self.descend(id, |_, _| true) {
            self.map(below);
        }
        let mut needed = self.descend(id, |e, id| !e.values.contains_key(&id) && e.is_operation(id));
        needed.retain(|below| *below != id && self.is_operation(*below));
        needed
    }

    /// An expression and all below it as far as a condition holds; nothing below loads.
    fn descend(&mut self, id: ExprId, mut enters: impl FnMut(&mut Self, ExprId) -> bool) -> BTreeSet<ExprId> {
        let exprs = self.exprs;
        let mut seen = BTreeSet::new();
        let mut left = vec![id];
        while let Some(next) = left.pop() {
            if !seen.insert(next) || matches!(exprs.get(next), Some(Expr::Load { .. })) || !enters(self, next) {
                continue;
            }
            if let Some(expr) = exprs.get(next) {
                expr.for_each_child(&mut |child| left.push(child));
            }
        }
        seen
    }

    /// Whether an expression is computed from the values of its operands.
    fn is_operation(&mut self, id: ExprId) -> bool {
        let leaf = match self.exprs.get(id) {
            Some(Expr::Const(_) | Expr::Index(_) | Expr::Dim(_) | Expr::Acc(_) | Expr::Load { .. }) | None => true,
            Some(
                Expr::Unary(..)
                | Expr::Binary(..)
                | Expr::Compare(..)
                | Expr::Select(..)
                | Expr::Fma(..)
                | Expr::Cast { .. }
                | Expr::Bitcast { .. },
            ) => false,
        };
        let mapped = match self.exprs.dtype(id) {
            DType::I64 => self.map(id).is_some(),
            DType::Bool => self.predicate_of(id).is_some(),
            _ => false,
        };
        !leaf && !mapped
    }

    fn compute(&mut self, id: ExprId, leaves: &mut dyn Leaves<A>) -> Result<A::Value, Error> {
        let exprs = self.exprs;
        let expr = exprs.get(id).ok_or(Error::Expression { expr: id.0 })?;
        let dtype = exprs.dtype(id);
        if let Expr::Const(scalar) = expr {
            return constant(self.arith, *scalar);
        }
        if dtype == DType::I64
            && let Some(map) = self.map(id)
        {
            let whole = self.whole(&map, leaves)?;
            return Ok(self.widened(whole));
        }
        if dtype == DType::Bool
            && let Some(pred) = self.predicate_of(id)
        {
            return self.predicate(&pred, leaves);
        }
        match expr {
            Expr::Const(_) | Expr::Index(_) | Expr::Dim(_) => Err(Error::Expression { expr: id.0 }),
            Expr::Acc(acc) => leaves.acc(self.arith, *acc),
            Expr::Unary(op, x) => {
                let from = exprs.dtype(*x);
                let x = self.value(*x, leaves)?;
                self.unary(*op, from, x)
            }
            Expr::Binary(op, x, y) => {
                let (x, y) = (self.value(*x, leaves)?, self.value(*y, leaves)?);
                self.binary(*op, dtype, x, y)
            }
            Expr::Compare(op, x, y) => {
                let from = exprs.dtype(*x);
                let (x, y) = (self.value(*x, leaves)?, self.value(*y, leaves)?);
                self.compare(*op, from, x, y)
            }
            Expr::Select(c, x, y) => {
                let (c, x, y) = (self.value(*c, leaves)?, self.value(*x, leaves)?, self.value(*y, leaves)?);
                let width = Form::of(dtype)?.width();
                Ok(self.arith.select(width, c, x, y))
            }
            Expr::Fma(x, y, z) => {
                let (x, y, z) = (self.value(*x, leaves)?, self.value(*y, leaves)?, self.value(*z, leaves)?);
                fma(self.arith, dtype, x, y, z)
            }
            Expr::Cast { to, saturate, rounding, value } => {
                let from = exprs.dtype(*value);
                let cast = Cast { from, to: *to, saturate: *saturate, rounding: *rounding };
                let value = self.value(*value, leaves)?;
                cast.emit(self.arith, value)
            }
            Expr::Bitcast { to, value } => {
                let from = exprs.dtype(*value);
                let value = self.value(*value, leaves)?;
                bitcast(self.arith, from, *to, value)
            }
            Expr::Load { operand, index, or } => leaves.load(self, Load { operand: *operand, index, or: *or, dtype }),
        }
    }

    /// An operation on one value of a dtype.
    pub fn unary(&mut self, op: UnOp, dtype: DType, x: A::Value) -> Result<A::Value, Error> {
        unary(self.arith, self.options.maths, op, dtype, x)
    }

    /// An operation on two values of a dtype.
    pub fn binary(&mut self, op: BinOp, dtype: DType, x: A::Value, y: A::Value) -> Result<A::Value, Error> {
        binary(self.arith, op, dtype, x, y)
    }

    /// A comparison of two values of a dtype.
    pub fn compare(&mut self, op: CmpOp, dtype: DType, x: A::Value, y: A::Value) -> Result<A::Value, Error> {
        compare(self.arith, op, dtype, x, y)
    }

    /// A value of 64 bits.
    pub(crate) fn widened(&mut self, whole: Whole<A::Value>) -> A::Value {
        if whole.wide { whole.value } else { self.arith.convert(Convert::ExtendSigned, whole.value) }
    }

    /// An i64 expression as a polynomial of sizes and index variables; values from data become symbols of their own.
    pub fn polynomial(&mut self, id: ExprId, leaves: &mut dyn Leaves<A>) -> Result<Dim, Error> {
        if let Some(map) = self.map(id) {
            return Ok(map);
        }
        if let Some(known) = self.opaque.get(&id) {
            return Ok(known.clone());
        }
        let exprs = self.exprs;
        let dim = match exprs.get(id).ok_or(Error::Expression { expr: id.0 })? {
            Expr::Unary(UnOp::Neg, x) => -&self.polynomial(*x, leaves)?,
            Expr::Binary(op @ (BinOp::Add | BinOp::Sub | BinOp::Mul), x, y) => {
                let (x, y) = (self.polynomial(*x, leaves)?, self.polynomial(*y, leaves)?);
                match op {
                    BinOp::Add => &x + &y,
                    BinOp::Sub => &x - &y,
                    _ => &x * &y,
                }
            }
            expr => self.fresh_symbol(id, expr, leaves)?,
        };
        self.opaque.insert(id, dim.clone());
        Ok(dim)
    }

    fn fresh_symbol(&mut self, id: ExprId, expr: &Expr, leaves: &mut dyn Leaves<A>) -> Result<Dim, Error> {
        let exprs = self.exprs;
        let narrow_source = match expr {
            Expr::Cast { value, .. } => {
                let from = exprs.dtype(*value);
                let small = from.is_int() && (from.bits() < 32 || from == DType::I32);
                small.then_some((*value, from))
            }
            _ => None,
        };
        let (whole, lo, hi) = match narrow_source {
            Some((value, from)) => {
                let value = self.value(value, leaves)?;
                let (lo, hi) = (Scalar::lowest(from).as_i64(), Scalar::highest(from).as_i64());
                (Whole { value, wide: false }, lo, Some(hi))
            }
            None => (Whole { value: self.value(id, leaves)?, wide: true }, i64::MIN, None),
        };
        let symbol = self.symbols.add(&format!("e{}", id.0), lo, hi, SymSource::Bind);
        self.fresh.insert(symbol, whole);
        Ok(Dim::symbol(symbol))
    }

    /// An i64 expression as a polynomial, where it does not depend on data.
    pub fn map(&mut self, id: ExprId) -> Option<Dim> {
        if let Some(known) = self.maps.get(&id) {
            return known.clone();
        }
        let map = if self.exprs.dtype(id) == DType::I64 { self.build_map(id) } else { None };
        let map = map.map(|m| self.space.recombine(m));
        self.maps.insert(id, map.clone());
        map
    }

    fn build_map(&mut self, id: ExprId) -> Option<Dim> {
        let exprs = self.exprs;
        Some(match exprs.get(id)? {
            Expr::Const(c) => Dim::constant(c.as_i64()),
            Expr::Index(k) => match self.placed.get(k) {
                Some(dim) => dim.clone(),
                None => self.space.variable(*k as usize),
            },
            Expr::Dim(d) => d.clone(),
            Expr::Unary(UnOp::Neg, x) => -&self.map(*x)?,
            Expr::Binary(op, x, y) => {
                let (x, y) = (self.map(*x)?, self.map(*y)?);
                let s = &self.symbols;
                let natural = || s.range(&x).lo >= 0 && s.range(&y).lo > 0;
                match op {
                    BinOp::Add => &x + &y,
                    BinOp::Sub => &x - &y,
                    BinOp::Mul => &x * &y,
                    BinOp::FloorDiv => s.floor_div(&x, &y),
                    BinOp::Mod => s.modulo(&x, &y),
                    BinOp::Min => s.min(&x, &y),
                    BinOp::Max => s.max(&x, &y),
                    BinOp::Div if natural() => s.floor_div(&x, &y),
                    BinOp::Rem if natural() => s.modulo(&x, &y),
                    _ => return None,
                }
            }
            Expr::Select(c, x, y) => {
                let pred = self.predicate_of(*c)?;
                let (x, y) = (self.map(*x)?, self.map(*y)?);
                self.symbols.select(&pred, &x, &y)
            }
            _ => return None,
        })
    }

    /// A bool expression as a predicate of sizes and index variables, where it does not depend on data.
    pub fn predicate_of(&mut self, id: ExprId) -> Option<Pred> {
        let exprs = self.exprs;
        Some(match exprs.get(id)? {
            Expr::Const(c) if c.dtype == DType::Bool => Pred::Const(c.bits != 0),
            Expr::Compare(op, x, y) => {
                let (x, y) = (self.map(*x)?, self.map(*y)?);
                match op {
                    CmpOp::Eq => Pred::Eq(x, y),
                    CmpOp::Ne => Pred::Not(Box::new(Pred::Eq(x, y))),
                    CmpOp::Le => Pred::Le(x, y),
                    CmpOp::Lt => Pred::Not(Box::new(Pred::Le(y, x))),
                }
            }
            Expr::Unary(UnOp::Not, x) => Pred::Not(Box::new(self.predicate_of(*x)?)),
            Expr::Binary(BinOp::And, x, y) => Pred::And(vec![self.predicate_of(*x)?, self.predicate_of(*y)?]),
            Expr::Binary(BinOp::Or, x, y) => Pred::Or(vec![self.predicate_of(*x)?, self.predicate_of(*y)?]),
            _ => return None,
        })
    }
}
