//! Index maps: polynomials of sizes and index variables as values, in 32 bits where they fit.
//!
//! Sums and products are right modulo 2^32 whatever happens on the way, so that only the result has to fit; what a quotient, a
//! minimum or a comparison reads has to fit itself.
//!
//! ```text
//! floordiv(i, 12) * 96 + mod(i, 12) * 8        i in 0..4096
//!   q = high(i * 1431655766) >> 2 ... one division for both; r = i - 12 q; 96 q + 8 r
//! ```

use graph::dim::{Atom, Dim, Pred, SymId, Term};
use nest::layout::Access;

use crate::arith::Arith;
use crate::emitter::{Emitter, Fits, Leaves, Whole};
use crate::error::Error;
use crate::op::{Convert, Int, IntOp, Op, Relation, Width};

const LOWEST: i128 = i32::MIN as i128;
pub(crate) const HIGHEST: i128 = i32::MAX as i128;

impl<A: Arith> Emitter<'_, A> {
    /// A polynomial.
    pub fn whole(&mut self, dim: &Dim, leaves: &mut dyn Leaves<A>) -> Result<Whole<A::Value>, Error> {
        if let Some(known) = self.wholes.get(dim) {
            return Ok(*known);
        }
        let wide = !self.fits(dim);
        let value = self.ring(dim, wide, leaves)?;
        let whole = Whole { value, wide };
        self.wholes.insert(dim.clone(), whole);
        Ok(whole)
    }

    /// The offset of an element, in elements, of an operand that is accessed so.
    pub fn offset(
        &mut self,
        access: &Access,
        index: &[graph::expr::ExprId],
        leaves: &mut dyn Leaves<A>,
    ) -> Result<Whole<A::Value>, Error> {
        let dims: Vec<Dim> = index.iter().map(|i| self.polynomial(*i, leaves)).collect::<Result<_, _>>()?;
        self.offset_at(access, &dims, leaves)
    }

    /// The offset of an element at these polynomials.
    pub fn offset_at(
        &mut self,
        access: &Access,
        index: &[Dim],
        leaves: &mut dyn Leaves<A>,
    ) -> Result<Whole<A::Value>, Error> {
        let address = access.address(index, &self.symbols);
        let address = self.space.recombine(address);
        if self.options.fits == Fits::Assumed {
            let value = self.ring(&address, false, leaves)?;
            return Ok(Whole { value, wide: false });
        }
        self.whole(&address, leaves)
    }

    /// Whether an index is within a shape; `None` if it is certain.
    pub fn within(
        &mut self,
        shape: &[Dim],
        index: &[graph::expr::ExprId],
        leaves: &mut dyn Leaves<A>,
    ) -> Result<Option<A::Value>, Error> {
        let dims: Vec<Dim> = index.iter().map(|i| self.polynomial(*i, leaves)).collect::<Result<_, _>>()?;
        self.within_at(shape, &dims, leaves)
    }

    /// Whether polynomials are within a shape; `None` if it is certain.
    pub fn within_at(
        &mut self,
        shape: &[Dim],
        index: &[Dim],
        leaves: &mut dyn Leaves<A>,
    ) -> Result<Option<A::Value>, Error> {
        let mut all = None;
        for (i, extent) in index.iter().zip(shape) {
            let above = self.space.nonnegative(i) || self.symbols.range(i).lo >= 0;
            let room = &(extent - i) - &Dim::constant(1);
            let below = self.space.nonnegative(&room) || self.symbols.range(&room).lo >= 0;
            let condition = match (above, below) {
                (true, true) => continue,
                (false, true) => {
                    let i = self.whole(i, leaves)?;
                    let ty = signed(i.wide);
                    let zero = self.arith.int(ty, 0);
                    self.arith.icmp(Relation::Ge, ty, i.value, zero)
                }
                // A negative index is a large one, seen unsigned; extents are not negative.
                (false, false) | (true, false) => {
                    let (i, extent, wide) = self.pair(i, extent, leaves)?;
                    let ty = if wide { Int::U64 } else { Int::U32 };
                    self.arith.icmp(Relation::Lt, ty, i, extent)
                }
            };
            all = Some(match all {
                None => condition,
                Some(before) => self.arith.and(Width::Pred, before, condition),
            });
        }
        Ok(all)
    }

    /// A predicate over sizes and index variables.
    pub fn predicate(&mut self, pred: &Pred, leaves: &mut dyn Leaves<A>) -> Result<A::Value, Error> {
        if let Some(truth) = self.symbols.prove(pred) {
            return Ok(self.arith.bool(truth));
        }
        Ok(match pred {
            Pred::Const(truth) => self.arith.bool(*truth),
            Pred::Eq(x, y) => {
                let (x, y, wide) = self.pair(x, y, leaves)?;
                self.arith.icmp(Relation::Eq, signed(wide), x, y)
            }
            Pred::Le(x, y) => {
                let (x, y, wide) = self.pair(x, y, leaves)?;
                self.arith.icmp(Relation::Le, signed(wide), x, y)
            }
            Pred::Divides(x, y) => {
                let (divisor, value, wide) = self.pair(x, y, leaves)?;
                let ty = signed(wide);
                let rest = self.arith.int2(IntOp::Rem, ty, value, divisor);
                let zero = self.arith.int(ty, 0);
                let none = self.arith.icmp(Relation::Eq, ty, rest, zero);
                let by_zero = self.arith.icmp(Relation::Eq, ty, divisor, zero);
                let both = self.arith.icmp(Relation::Eq, ty, value, zero);
                self.arith.select(Width::Pred, by_zero, both, none)
            }
            Pred::Not(p) => {
                let p = self.predicate(p, leaves)?;
                self.arith.not(Width::Pred, p)
            }
            Pred::And(ps) => {
                let mut all = self.arith.bool(true);
                for p in ps {
                    let p = self.predicate(p, leaves)?;
                    all = self.arith.and(Width::Pred, all, p);
                }
                all
            }
            Pred::Or(ps) => {
                let mut any = self.arith.bool(false);
                for p in ps {
                    let p = self.predicate(p, leaves)?;
                    any = self.arith.or(Width::Pred, any, p);
                }
                any
            }
        })
    }

    /// By how much a polynomial grows when an index variable does by one; `None` if that depends on the variable.
    pub fn step(&self, dim: &Dim, index: usize) -> Option<Dim> {
        let variable = self.space.variable(index);
        let symbol = variable.as_symbol()?;
        let next = &variable + &Dim::constant(1);
        let moved = self.symbols.substitute(dim, &|s| (s == symbol).then(|| next.clone()));
        let difference = &moved - dim;
        let mut depends = false;
        difference.for_each_symbol(&mut |s| depends |= s == symbol);
        (!depends).then_some(difference)
    }

    /// Whether 32 bits hold every value of a polynomial.
    fn fits(&self, dim: &Dim) -> bool {
        let range = self.symbols.range(dim);
        if range.lo >= LOWEST && range.hi <= HIGHEST {
            return true;
        }
        if self.options.fits == Fits::Proven || has_large_constant(dim) {
            return false;
        }
        let mut from_data = false;
        dim.for_each_symbol(&mut |s| from_data |= self.fresh.get(&s).is_some_and(|w| w.wide));
        !from_data
    }

    /// Two polynomials in one width.
    fn pair(&mut self, x: &Dim, y: &Dim, leaves: &mut dyn Leaves<A>) -> Result<(A::Value, A::Value, bool), Error> {
        let (x, y) = (self.whole(x, leaves)?, self.whole(y, leaves)?);
        if x.wide == y.wide {
            return Ok((x.value, y.value, x.wide));
        }
        Ok((self.widened(x), self.widened(y), true))
    }

    pub(crate) fn resized(&mut self, whole: Whole<A::Value>, wide: bool) -> A::Value {
        match (whole.wide, wide) {
            (true, false) => self.arith.convert(Convert::Low, whole.value),
            (false, true) => self.arith.convert(Convert::ExtendSigned, whole.value),
            _ => whole.value,
        }
    }

    /// A polynomial modulo 2^32 or 2^64.
    fn ring(&mut self, dim: &Dim, wide: bool, leaves: &mut dyn Leaves<A>) -> Result<A::Value, Error> {
        let ty = signed(wide);
        if let Some(value) = dim.as_const() {
            return Ok(self.arith.int(ty, value));
        }
        if let Some(size) = self.given_size(dim, leaves)? {
            return Ok(self.resized(size, wide));
        }
        if wide && let Some(value) = self.partly_narrow(dim, leaves)? {
            return Ok(value);
        }
        let mut sum: Option<A::Value> = None;
        // The constant comes last, where an address can take it.
        let (plain, constant): (Vec<&Term>, Vec<&Term>) = dim.terms().iter().partition(|t| !t.factors.is_empty());
        for term in plain {
            let factor = self.product(&term.factors, wide, leaves)?;
            let coef = self.arith.int(ty, term.coef);
            sum = Some(match (sum, term.coef) {
                (None, 1) => factor,
                (None, _) => self.arith.int2(IntOp::Mul, ty, factor, coef),
                (Some(before), 1) => self.arith.int2(IntOp::Add, ty, before, factor),
                (Some(before), -1) => self.arith.int2(IntOp::Sub, ty, before, factor),
                (Some(before), _) => self.arith.apply(Op::Int(IntOp::Mad, ty), &[factor, coef, before]),
            });
        }
        for term in constant {
            let value = self.arith.int(ty, term.coef);
            sum = Some(match sum {
                None => value,
                Some(before) => self.arith.int2(IntOp::Add, ty, before, value),
            });
        }
        Ok(match sum {
            Some(sum) => sum,
            None => self.arith.int(ty, 0),
        })
    }

    /// Terms whose sum fits 32 bits are summed there; the others are products in 64.
    fn partly_narrow(&mut self, dim: &Dim, leaves: &mut dyn Leaves<A>) -> Result<Option<A::Value>, Error> {
        let mut narrow = Dim::constant(0);
        let mut rest = Vec::new();
        for term in dim.terms() {
            let with = &narrow + &Dim::from_terms(vec![term.clone()]);
            if self.fits(&with) {
                narrow = with;
            } else {
                rest.push(term.clone());
            }
        }
        if narrow.as_const().is_some() {
            return Ok(None);
        }
        let low = self.whole(&narrow, leaves)?;
        let low = self.widened(low);
        if rest.is_empty() {
            return Ok(Some(low));
        }
        let high = self.ring(&Dim::from_terms(rest), true, leaves)?;
        Ok(Some(self.arith.int2(IntOp::Add, Int::S64, high, low)))
    }

    fn product(&mut self, factors: &[Atom], wide: bool, leaves: &mut dyn Leaves<A>) -> Result<A::Value, Error> {
        let mut product: Option<Whole<A::Value>> = None;
        for atom in factors {
            let factor = self.atom(atom, leaves)?;
            product = Some(match product {
                None if wide => factor,
                None => Whole { value: self.resized(factor, false), wide: false },
                Some(before) if wide && !before.wide && !factor.wide => {
                    let value = self.arith.int2(IntOp::MulWide, Int::S32, before.value, factor.value);
                    Whole { value, wide: true }
                }
                Some(before) => {
                    let (x, y) = (self.resized(before, wide), self.resized(factor, wide));
                    Whole { value: self.arith.int2(IntOp::Mul, signed(wide), x, y), wide }
                }
            });
        }
        match product {
            Some(product) => Ok(self.resized(product, wide)),
            None => Ok(self.arith.int(signed(wide), 1)),
        }
    }

    /// A size that the launch may give: of parameters alone, and more than one of them.
    fn given_size(&mut self, dim: &Dim, leaves: &mut dyn Leaves<A>) -> Result<Option<Whole<A::Value>>, Error> {
        if dim.as_symbol().is_some() || self.has_index(dim) {
            return Ok(None);
        }
        leaves.size(self.arith, dim)
    }

    fn has_index(&self, dim: &Dim) -> bool {
        let mut found = false;
        dim.for_each_symbol(&mut |s| found |= self.space.as_variable(s).is_some() || self.fresh.contains_key(&s));
        found
    }

    /// The exact value of an atom.
    pub(crate) fn atom(&mut self, atom: &Atom, leaves: &mut dyn Leaves<A>) -> Result<Whole<A::Value>, Error> {
        let dim = Dim::atom(atom.clone());
        if let Some(known) = self.wholes.get(&dim) {
            return Ok(*known);
        }
        let whole = match self.given_size(&dim, leaves)? {
            Some(size) => size,
            None => match atom {
                Atom::Sym(symbol) => self.symbol(*symbol, leaves)?,
                Atom::FloorDiv(x, y) => self.quotient(x, y, leaves)?,
                Atom::CeilDiv(x, y) => {
                    // ceil(x / y) = -floor(-x / y)
                    let below = self.quotient(&-&**x, y, leaves)?;
                    let ty = signed(below.wide);
                    let zero = self.arith.int(ty, 0);
                    Whole { value: self.arith.int2(IntOp::Sub, ty, zero, below.value), wide: below.wide }
                }
                Atom::Mod(x, y) => self.rest(x, y, leaves)?,
                Atom::Min(x, y) => self.extreme(IntOp::Min, x, y, leaves)?,
                Atom::Max(x, y) => self.extreme(IntOp::Max, x, y, leaves)?,
                Atom::Select(p, x, y) => {
                    let condition = self.predicate(p, leaves)?;
                    let (x, y, wide) = self.pair(x, y, leaves)?;
                    let value = self.arith.select(signed(wide).width(), condition, x, y);
                    Whole { value, wide }
                }
            },
        };
        self.wholes.insert(dim, whole);
        Ok(whole)
    }

    fn symbol(&mut self, symbol: SymId, leaves: &mut dyn Leaves<A>) -> Result<Whole<A::Value>, Error> {
        if let Some(whole) = self.fresh.get(&symbol) {
            return Ok(*whole);
        }
        match self.space.as_variable(symbol) {
            Some(index) => leaves.index(self.arith, index as u32),
            None => leaves.symbol(self.arith, symbol),
        }
    }

    fn extreme(&mut self, op: IntOp, x: &Dim, y: &Dim, leaves: &mut dyn Leaves<A>) -> Result<Whole<A::Value>, Error> {
        let (x, y, wide) = self.pair(x, y, leaves)?;
        Ok(Whole { value: self.arith.int2(op, signed(wide), x, y), wide })
    }
}

pub(crate) fn signed(wide: bool) -> Int {
    if wide { Int::S64 } else { Int::S32 }
}

/// Whether a number occurs that 32 bits do not hold.
fn has_large_constant(dim: &Dim) -> bool {
    let of_atom = |atom: &Atom| match atom {
        Atom::Sym(_) => false,
        Atom::FloorDiv(x, y) | Atom::CeilDiv(x, y) | Atom::Mod(x, y) | Atom::Min(x, y) | Atom::Max(x, y) => {
            has_large_constant(x) || has_large_constant(y)
        }
        // What a condition reads is looked at where it is compared.
        Atom::Select(_, x, y) => has_large_constant(x) || has_large_constant(y),
    };
    let large = |term: &Term| i32::try_from(term.coef).is_err() || term.factors.iter().any(of_atom);
    dim.terms().iter().any(large)
}
