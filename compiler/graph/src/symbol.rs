//! The symbol table, and the simplification and proof of sizes that need the symbols' ranges.
//!
//! A rule may assume that no intermediate value leaves `i64` only where the ranges prove it. Rules that cancel a factor
//! (`x*y / x = y`) treat a divisor as non-zero: where it is zero the tensor is empty and either answer is a valid size.

use crate::dim::{Atom, Dim, Pred, SymId, Term, ceil_div, divides, floor_div, floor_mod};

/// Where the value of a symbol comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SymSource {
    /// A named dim of a model input, known when the shapes of the inputs are.
    Input,
    /// Computed while the model runs: the result of a `Bind`, or a size that an `If`, `Loop` or `Host` node or a body's
    /// border brings into being.
    Bind,
}

/// One symbol: name (unique in the model), inclusive range, source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Symbol {
    pub name: String,
    pub lo: i64,
    /// `None`: no known upper bound.
    pub hi: Option<i64>,
    pub source: SymSource,
}

/// The model's symbols, indexed by [`SymId`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Symbols {
    table: Vec<Symbol>,
}

/// Inclusive bounds of a size; the ends saturate at `i64`'s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    pub lo: i128,
    pub hi: i128,
}

const MIN: i128 = i64::MIN as i128;
const MAX: i128 = i64::MAX as i128;

/// No extent of an input is larger: its elements could not be counted in memory. A slice up to a bound that stands for
/// "all" is so the whole extent.
const LARGEST_EXTENT: i128 = 1 << 62;

impl Range {
    fn new(lo: i128, hi: i128) -> Range {
        Range { lo: lo.clamp(MIN, MAX), hi: hi.clamp(MIN, MAX) }
    }

    fn hull(corners: [i128; 4]) -> Range {
        let lo = corners.iter().copied().fold(MAX, i128::min);
        let hi = corners.iter().copied().fold(MIN, i128::max);
        Range::new(lo, hi)
    }

    /// Upper bound, if there is one that says anything.
    pub fn upper(self) -> Option<i64> {
        if self.hi >= LARGEST_EXTENT { None } else { i64::try_from(self.hi).ok() }
    }
}

impl Symbols {
    /// A table as it is, for parsers; [`crate::verify`] finds names that are not unique.
    pub fn from_table(table: Vec<Symbol>) -> Symbols {
        Symbols { table }
    }

    /// Adds a symbol; a name that is taken gets a numeric suffix.
    pub fn add(&mut self, name: &str, lo: i64, hi: Option<i64>, source: SymSource) -> SymId {
        let mut unique = name.to_string();
        let mut suffix = 1;
        while self.table.iter().any(|s| s.name == unique) {
            suffix += 1;
            unique = format!("{name}_{suffix}");
        }
        self.table.push(Symbol { name: unique, lo, hi, source });
        SymId((self.table.len() - 1) as u32)
    }

    /// The symbol with this id.
    pub fn get(&self, id: SymId) -> Option<&Symbol> {
        self.table.get(id.0 as usize)
    }

    /// The symbol with this id, to narrow its range.
    pub fn get_mut(&mut self, id: SymId) -> Option<&mut Symbol> {
        self.table.get_mut(id.0 as usize)
    }

    /// The symbol of this name.
    pub fn by_name(&self, name: &str) -> Option<SymId> {
        self.table.iter().position(|s| s.name == name).map(|i| SymId(i as u32))
    }

    /// All symbols in order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = (SymId, &Symbol)> {
        self.table.iter().enumerate().map(|(i, s)| (SymId(i as u32), s))
    }

    /// Drops all symbols but the first `len`.
    pub fn truncate(&mut self, len: usize) {
        self.table.truncate(len);
    }

    /// Number of symbols.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// True if there are no symbols.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Bounds of a size from the symbols' ranges (interval arithmetic, so possibly wider than the truth). What a quotient leaves
    /// of its dividend is known to be a remainder.
    pub fn range(&self, dim: &Dim) -> Range {
        let all = self.range_by_terms(dim.terms());
        match remainder(dim) {
            Some((rest, left)) => {
                let rest = self.range(&rest);
                Range { lo: all.lo.max(rest.lo + left.lo), hi: all.hi.min(rest.hi + left.hi) }
            }
            None => all,
        }
    }

    fn range_by_terms(&self, terms: &[Term]) -> Range {
        let mut total = Range::new(0, 0);
        for term in terms {
            let mut product = Range::new(i128::from(term.coef), i128::from(term.coef));
            for atom in &term.factors {
                product = mul(product, self.atom_range(atom));
            }
            total = Range::new(total.lo + product.lo, total.hi + product.hi);
        }
        total
    }

    fn atom_range(&self, atom: &Atom) -> Range {
        match atom {
            Atom::Sym(id) => match self.get(*id) {
                Some(s) => {
                    let open = if s.source == SymSource::Input { LARGEST_EXTENT } else { MAX };
                    Range::new(i128::from(s.lo), s.hi.map_or(open, i128::from))
                }
                None => Range::new(MIN, MAX),
            },
            Atom::FloorDiv(a, b) => div_range(self.range(a), self.range(b), i128::div_euclid),
            Atom::CeilDiv(a, b) => div_range(self.range(a), self.range(b), |x, y| -((-x).div_euclid(y))),
            Atom::Mod(a, b) => {
                let (a, b) = (self.range(a), self.range(b));
                if b.lo > 0 {
                    let top = if a.lo >= 0 { a.hi.min(b.hi - 1) } else { b.hi - 1 };
                    Range::new(0, top)
                } else {
                    Range::new(MIN, MAX)
                }
            }
            Atom::Min(a, b) => {
                let (a, b) = (self.range(a), self.range(b));
                Range::new(a.lo.min(b.lo), a.hi.min(b.hi))
            }
            Atom::Max(a, b) => {
                let (a, b) = (self.range(a), self.range(b));
                Range::new(a.lo.max(b.lo), a.hi.max(b.hi))
            }
            Atom::Select(_, a, b) => {
                let (a, b) = (self.range(a), self.range(b));
                Range::new(a.lo.min(b.lo), a.hi.max(b.hi))
            }
        }
    }

    /// Decides a predicate from normal forms and ranges; `None` where neither truth nor falsehood can be shown.
    pub fn prove(&self, pred: &Pred) -> Option<bool> {
        match pred {
            Pred::Const(b) => Some(*b),
            Pred::Eq(a, b) => {
                let difference = a - b;
                let range = self.range(&difference);
                match difference.as_const() {
                    Some(v) => Some(v == 0),
                    None if range.lo > 0 || range.hi < 0 => Some(false),
                    None => None,
                }
            }
            Pred::Le(a, b) if a.as_const().is_some() && b.as_const().is_some() => Some(a.as_const() <= b.as_const()),
            Pred::Le(a, b) if constant_term(b).checked_sub(constant_term(a)).is_none() => None,
            Pred::Le(a, b) => {
                let range = self.range(&(b - a));
                if range.lo >= 0 {
                    Some(true)
                } else if range.hi < 0 {
                    Some(false)
                } else {
                    self.prove_le_by_parts(a, b)
                }
            }
            Pred::Divides(a, b) => match (a.as_const(), b.as_const()) {
                (Some(a), Some(b)) => Some(divides(a, b)),
                (Some(c), None) if c != 0 && b.terms().iter().all(|t| divides(c, t.coef)) => Some(true),
                _ if divide_exactly(b, a).is_some() => Some(true),
                _ => None,
            },
            Pred::Not(p) => self.prove(p).map(|b| !b),
            Pred::And(ps) => {
                let proofs: Vec<_> = ps.iter().map(|p| self.prove(p)).collect();
                if proofs.contains(&Some(false)) {
                    Some(false)
                } else if proofs.iter().all(|p| *p == Some(true)) {
                    Some(true)
                } else {
                    None
                }
            }
            Pred::Or(ps) => {
                let proofs: Vec<_> = ps.iter().map(|p| self.prove(p)).collect();
                if proofs.contains(&Some(true)) {
                    Some(true)
                } else if proofs.iter().all(|p| *p == Some(false)) {
                    Some(false)
                } else {
                    None
                }
            }
        }
    }

    /// `a <= b` where one side is nothing but a minimum or maximum.
    fn prove_le_by_parts(&self, a: &Dim, b: &Dim) -> Option<bool> {
        let holds = |a: &Dim, b: &Dim| self.prove(&Pred::Le(a.clone(), b.clone())) == Some(true);
        let by_a = match only_atom(a) {
            Some(Atom::Min(x, y)) => holds(x, b) || holds(y, b),
            Some(Atom::Max(x, y)) => holds(x, b) && holds(y, b),
            _ => false,
        };
        let by_b = || match only_atom(b) {
            Some(Atom::Max(x, y)) => holds(a, x) || holds(a, y),
            Some(Atom::Min(x, y)) => holds(a, x) && holds(a, y),
            _ => false,
        };
        (by_a || by_b()).then_some(true)
    }

    /// `floor(a / b)`.
    pub fn floor_div(&self, a: &Dim, b: &Dim) -> Dim {
        match (a.as_const(), b.as_const()) {
            (Some(a), Some(b)) => return Dim::constant(floor_div(a, b)),
            (_, Some(1)) => return a.clone(),
            _ => {}
        }
        if let Some(quotient) = divide_exactly(a, b) {
            return quotient;
        }
        if let Some(c) = b.as_const().filter(|c| *c > 0) {
            if let [Term { factors, coef: 1 }] = a.terms()
                && let [Atom::FloorDiv(inner, d)] = factors.as_slice()
                && let Some(d) = d.as_const().filter(|d| *d > 0)
                && let Some(product) = d.checked_mul(c)
            {
                return self.floor_div(inner, &Dim::constant(product));
            }
            let (whole, rest) = split_multiples(a, c);
            if !whole.is(0) || self.within(&rest, c) {
                let quotient = if self.within(&rest, c) { Dim::constant(0) } else { self.floor_div(&rest, b) };
                return &whole + &quotient;
            }
        }
        Dim::atom(Atom::FloorDiv(Box::new(a.clone()), Box::new(b.clone())))
    }

    /// `ceil(a / b)`.
    pub fn ceil_div(&self, a: &Dim, b: &Dim) -> Dim {
        if let (Some(a), Some(b)) = (a.as_const(), b.as_const()) {
            return Dim::constant(ceil_div(a, b));
        }
        if let Some(quotient) = divide_exactly(a, b) {
            return quotient;
        }
        match b.as_const().filter(|c| *c > 0) {
            Some(c) => self.floor_div(&(a + &Dim::constant(c - 1)), b),
            None => Dim::atom(Atom::CeilDiv(Box::new(a.clone()), Box::new(b.clone()))),
        }
    }

    /// Remainder with the sign of the divisor.
    pub fn modulo(&self, a: &Dim, b: &Dim) -> Dim {
        if let (Some(a), Some(b)) = (a.as_const(), b.as_const()) {
            return Dim::constant(floor_mod(a, b));
        }
        if divide_exactly(a, b).is_some() {
            return Dim::constant(0);
        }
        if let Some(c) = b.as_const().filter(|c| *c > 0) {
            let (_, rest) = split_multiples(a, c);
            if self.within(&rest, c) {
                return rest;
            }
            return Dim::atom(Atom::Mod(Box::new(rest), Box::new(b.clone())));
        }
        Dim::atom(Atom::Mod(Box::new(a.clone()), Box::new(b.clone())))
    }

    /// The smaller of two sizes.
    pub fn min(&self, a: &Dim, b: &Dim) -> Dim {
        match self.prove(&Pred::Le(a.clone(), b.clone())) {
            Some(true) => a.clone(),
            Some(false) => b.clone(),
            None if self.prove(&Pred::Le(b.clone(), a.clone())) == Some(true) => b.clone(),
            None => {
                let (a, b) = if a <= b { (a, b) } else { (b, a) };
                Dim::atom(Atom::Min(Box::new(a.clone()), Box::new(b.clone())))
            }
        }
    }

    /// The larger of two sizes.
    pub fn max(&self, a: &Dim, b: &Dim) -> Dim {
        match self.prove(&Pred::Le(a.clone(), b.clone())) {
            Some(true) => b.clone(),
            Some(false) => a.clone(),
            None if self.prove(&Pred::Le(b.clone(), a.clone())) == Some(true) => a.clone(),
            None => {
                let whole = if a.is(0) { uncut(b) } else { uncut(a).filter(|_| b.is(0)) };
                if let Some(whole) = whole {
                    return self.max(&Dim::constant(0), &whole);
                }
                let (a, b) = if a <= b { (a, b) } else { (b, a) };
                Dim::atom(Atom::Max(Box::new(a.clone()), Box::new(b.clone())))
            }
        }
    }

    /// `a` where the predicate holds, else `b`.
    pub fn select(&self, pred: &Pred, a: &Dim, b: &Dim) -> Dim {
        match self.prove(pred) {
            Some(true) => a.clone(),
            Some(false) => b.clone(),
            None if a == b => a.clone(),
            None => Dim::atom(Atom::Select(Box::new(pred.clone()), Box::new(a.clone()), Box::new(b.clone()))),
        }
    }

    /// Clamps a slice bound the way NumPy does: a negative one counts from the end, then into `0..=extent`.
    pub fn clamp_slice(&self, bound: &Dim, extent: &Dim) -> Dim {
        let zero = Dim::constant(0);
        let negative = Pred::Le(bound.clone(), Dim::constant(-1));
        let shifted = self.select(&negative, &(bound + extent), bound);
        self.max(&zero, &self.min(&shifted, extent))
    }

    /// Replaces symbols and simplifies again.
    pub fn substitute(&self, dim: &Dim, replace: &dyn Fn(SymId) -> Option<Dim>) -> Dim {
        let mut sum = Dim::constant(0);
        for term in dim.terms() {
            let mut product = Dim::constant(term.coef);
            for atom in &term.factors {
                let value = match atom {
                    Atom::Sym(id) => replace(*id).unwrap_or_else(|| Dim::symbol(*id)),
                    Atom::FloorDiv(a, b) => self.floor_div(&self.substitute(a, replace), &self.substitute(b, replace)),
                    Atom::CeilDiv(a, b) => self.ceil_div(&self.substitute(a, replace), &self.substitute(b, replace)),
                    Atom::Mod(a, b) => self.modulo(&self.substitute(a, replace), &self.substitute(b, replace)),
                    Atom::Min(a, b) => self.min(&self.substitute(a, replace), &self.substitute(b, replace)),
                    Atom::Max(a, b) => self.max(&self.substitute(a, replace), &self.substitute(b, replace)),
                    Atom::Select(p, a, b) => self.select(
                        &self.substitute_pred(p, replace),
                        &self.substitute(a, replace),
                        &self.substitute(b, replace),
                    ),
                };
                product = &product * &value;
            }
            sum = &sum + &product;
        }
        sum
    }

    /// Replaces symbols in a predicate.
    pub fn substitute_pred(&self, pred: &Pred, replace: &dyn Fn(SymId) -> Option<Dim>) -> Pred {
        let dim = |d: &Dim| self.substitute(d, replace);
        match pred {
            Pred::Const(b) => Pred::Const(*b),
            Pred::Eq(a, b) => Pred::Eq(dim(a), dim(b)),
            Pred::Le(a, b) => Pred::Le(dim(a), dim(b)),
            Pred::Divides(a, b) => Pred::Divides(dim(a), dim(b)),
            Pred::Not(p) => Pred::Not(Box::new(self.substitute_pred(p, replace))),
            Pred::And(ps) => Pred::And(ps.iter().map(|p| self.substitute_pred(p, replace)).collect()),
            Pred::Or(ps) => Pred::Or(ps.iter().map(|p| self.substitute_pred(p, replace)).collect()),
        }
    }

    /// True if `0 <= dim < c` is certain.
    fn within(&self, dim: &Dim, c: i64) -> bool {
        let range = self.range(dim);
        range.lo >= 0 && range.hi < i128::from(c)
    }
}

/// `x - c` for `max(0, x) - c` with `c >= 0`: one may stand for the other beneath a maximum with 0.
fn uncut(dim: &Dim) -> Option<Dim> {
    let cut = |t: &Term| match t.factors.as_slice() {
        [Atom::Max(zero, x)] if t.coef == 1 && zero.is(0) => Some((**x).clone()),
        [Atom::Max(x, zero)] if t.coef == 1 && zero.is(0) => Some((**x).clone()),
        _ => None,
    };
    match dim.terms() {
        [Term { factors, coef }, t] | [t, Term { factors, coef }] if factors.is_empty() && *coef < 0 => {
            cut(t).map(|x| &x + &Dim::constant(*coef))
        }
        _ => None,
    }
}

/// The part of a size that no symbol scales.
fn constant_term(dim: &Dim) -> i64 {
    dim.terms().iter().find(|t| t.factors.is_empty()).map_or(0, |t| t.coef)
}

/// The atom that a size consists of.
fn only_atom(dim: &Dim) -> Option<&Atom> {
    match dim.terms() {
        [Term { factors, coef: 1 }] => match factors.as_slice() {
            [atom] => Some(atom),
            _ => None,
        },
        _ => None,
    }
}

/// Of a size in which a quotient is subtracted from its dividend, `p*x - p*k*floordiv(x, k)`, the rest, and the bounds of that
/// part: it is `p*mod(x, k)`. The dividend may itself be a quotient: `floordiv(x, d) - k*floordiv(x, d*k)`.
fn remainder(dim: &Dim) -> Option<(Dim, Range)> {
    let terms = dim.terms();
    let quotient = |t: &Term| match t.factors.as_slice() {
        [Atom::FloorDiv(x, by)] => by.as_const().filter(|n| *n > 1).map(|n| (x.clone(), n)),
        _ => None,
    };
    for term in terms.iter().filter(|_| terms.len() > 1) {
        let Some((x, n)) = quotient(term) else { continue };
        let finer = terms.iter().filter_map(|t| quotient(t).filter(|(y, d)| *y == x && *d < n && n % d == 0));
        let finer = finer.map(|(y, d)| (Dim::atom(Atom::FloorDiv(y, Box::new(Dim::constant(d)))), n / d));
        for (dividend, k) in finer.chain([((*x).clone(), n)]) {
            if term.coef % k != 0 {
                continue;
            }
            let scale = term.coef.checked_neg()? / k;
            let pair = &(&dividend * &Dim::constant(scale)) + &Dim::from_terms(vec![term.clone()]);
            let rest = dim - &pair;
            if rest.terms().len() < terms.len() {
                let ends = [0, i128::from(scale) * i128::from(k - 1)];
                return Some((rest, Range::new(ends[0].min(ends[1]), ends[0].max(ends[1]))));
            }
        }
    }
    None
}

fn mul(a: Range, b: Range) -> Range {
    Range::hull([a.lo * b.lo, a.lo * b.hi, a.hi * b.lo, a.hi * b.hi])
}

/// Bounds of a quotient from its corners, which suffice as rounded division is monotone in both arguments by sign.
fn div_range(a: Range, b: Range, round: impl Fn(i128, i128) -> i128) -> Range {
    if b.lo <= 0 {
        return Range::new(MIN, MAX);
    }
    Range::hull([round(a.lo, b.lo), round(a.lo, b.hi), round(a.hi, b.lo), round(a.hi, b.hi)])
}

/// `a / b` where `b` is a single term whose factors and coefficient divide every term of `a`.
fn divide_exactly(a: &Dim, b: &Dim) -> Option<Dim> {
    if a == b {
        return Some(Dim::constant(1));
    }
    let [divisor] = b.terms() else { return None };
    let mut terms = Vec::with_capacity(a.terms().len());
    for term in a.terms() {
        let mut factors = term.factors.clone();
        for factor in &divisor.factors {
            let position = factors.iter().position(|f| f == factor)?;
            factors.remove(position);
        }
        if !divides(divisor.coef, term.coef) {
            return None;
        }
        terms.push(Term { factors, coef: term.coef.wrapping_div(divisor.coef) });
    }
    Some(Dim::from_terms(terms))
}

/// Splits `a` into `(q, r)` with `a = c*q + r`, `q` taking every term whose coefficient is a multiple of `c`, and of
/// the constant term the whole multiples.
fn split_multiples(a: &Dim, c: i64) -> (Dim, Dim) {
    let (mut whole, mut rest) = (Vec::new(), Vec::new());
    for term in a.terms() {
        if divides(c, term.coef) {
            whole.push(Term { factors: term.factors.clone(), coef: term.coef / c });
        } else if term.factors.is_empty() {
            whole.push(Term { factors: Vec::new(), coef: floor_div(term.coef, c) });
            rest.push(Term { factors: Vec::new(), coef: floor_mod(term.coef, c) });
        } else {
            rest.push(term.clone());
        }
    }
    (Dim::from_terms(whole), Dim::from_terms(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setup() -> (Symbols, Dim, Dim) {
        let mut symbols = Symbols::default();
        let b = Dim::symbol(symbols.add("batch", 0, None, SymSource::Input));
        let s = Dim::symbol(symbols.add("seq", 1, Some(512), SymSource::Input));
        (symbols, b, s)
    }

    fn k(v: i64) -> Dim {
        Dim::constant(v)
    }

    #[test]
    fn reshape_with_minus_one_cancels() {
        let (sy, b, s) = setup();
        let total = Dim::product([&b, &s, &k(768)]);
        assert_eq!(sy.floor_div(&total, &Dim::product([&b, &s, &k(12)])), k(64));
        assert_eq!(sy.modulo(&total, &k(64)), k(0));
    }

    #[test]
    fn floor_div_takes_whole_multiples_out() {
        let (sy, _, s) = setup();
        let a = &(&s * &k(4)) + &k(3);
        assert_eq!(sy.floor_div(&a, &k(4)), s);
        assert_eq!(sy.floor_div(&sy.floor_div(&s, &k(2)), &k(3)), sy.floor_div(&s, &k(6)));
    }

    #[test]
    fn bounds_that_stand_for_all_leave_an_input_extent_whole() {
        let (mut sy, b, _) = setup();
        assert_eq!(sy.min(&b, &k(1 << 62)), b);
        assert_eq!(sy.range(&b).upper(), None);
        let computed = Dim::symbol(sy.add("n", 0, None, SymSource::Bind));
        assert_ne!(sy.min(&computed, &k(1 << 62)), computed);
    }

    #[test]
    fn cuts_at_zero_merge() {
        let (sy, b, _) = setup();
        let less = |d: &Dim, c| sy.max(&k(0), &(d - &k(c)));
        assert_eq!(less(&less(&b, 1), 2), less(&b, 3));
        assert_ne!(less(&less(&b, 1), -2), less(&b, -1));
    }

    #[test]
    fn a_quotient_leaves_a_remainder_of_its_dividend() {
        let (sy, b, _) = setup();
        let half = |d: &Dim| sy.floor_div(d, &k(2));
        let twice = |d: &Dim| d * &k(2);
        let left = &b - &twice(&half(&b));
        assert_eq!(sy.range(&left), Range { lo: 0, hi: 1 });
        let quarter = half(&half(&b));
        assert_eq!(sy.range(&(&(&half(&b) - &twice(&quarter)) + &k(3))), Range { lo: 3, hi: 4 });
        assert_eq!(sy.range(&(&(&quarter * &k(12)) - &(&b * &k(3)))), Range { lo: -9, hi: 0 });
        let above = &b + &k(3);
        assert_eq!(sy.range(&(&above - &(&sy.floor_div(&above, &k(4)) * &k(4)))), Range { lo: 0, hi: 3 });
        assert_eq!(sy.range(&(&twice(&b) - &twice(&half(&b)))).lo, 0);
        assert_eq!(sy.range(&(&b - &half(&b))).lo, -(1 << 61));
    }

    #[test]
    fn ranges_decide_min_and_predicates() {
        let (sy, b, s) = setup();
        assert_eq!(sy.min(&s, &k(512)), s);
        assert_eq!(sy.max(&b, &k(0)), b);
        assert_eq!(sy.prove(&Pred::Eq(s.clone(), k(0))), Some(false));
        assert_eq!(sy.prove(&Pred::Eq(b.clone(), s.clone())), None);
        assert_eq!(sy.range(&sy.ceil_div(&s, &k(16))), Range { lo: 1, hi: 32 });
    }

    #[test]
    fn a_minimum_is_below_either_side() {
        let (sy, b, _) = setup();
        let least = sy.min(&b, &k(512));
        assert_eq!(sy.prove(&Pred::Le(least.clone(), b.clone())), Some(true));
        assert_eq!(sy.prove(&Pred::Le(b.clone(), sy.max(&b, &k(3)))), Some(true));
        assert_eq!(sy.prove(&Pred::Le(b, least)), None);
    }

    #[test]
    fn constants_compare_without_their_difference() {
        let (sy, _, s) = setup();
        assert_eq!(sy.prove(&Pred::Le(k(i64::MIN), k(5))), Some(true));
        assert_eq!(sy.min(&k(i64::MIN), &k(5)), k(i64::MIN));
        assert_eq!(sy.prove(&Pred::Le(&s + &k(i64::MIN), s)), None);
    }

    #[test]
    fn names_stay_unique() {
        let (mut sy, _, _) = setup();
        let id = sy.add("batch", 0, None, SymSource::Bind);
        assert_eq!(sy.get(id).map(|s| s.name.as_str()), Some("batch_2"));
    }
}
