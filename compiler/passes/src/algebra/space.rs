//! The space of a domain's index variables: each is a symbol with the range that its extent gives it.

use graph::dim::{Atom, Dim, SymId, Term};
use graph::dtype::DType;
use graph::expr::{BinOp, Expr, ExprId, Exprs};
use graph::symbol::{SymSource, Symbols};

/// Terms of a polynomial beyond which it is not followed.
const TERMS: usize = 24;

/// The model's symbols, and after them one for each index variable.
pub(crate) struct Space {
    symbols: Symbols,
    base: u32,
    extents: Vec<Dim>,
}

impl Space {
    /// Index variables of these extents.
    pub(crate) fn new(symbols: &Symbols, extents: Vec<Dim>) -> Space {
        let mut symbols = symbols.clone();
        let base = symbols.len() as u32;
        for extent in &extents {
            let top = symbols.range(extent).upper().map(|hi| (hi - 1).max(0));
            symbols.add("index", 0, top, SymSource::Bind);
        }
        Space { symbols, base, extents }
    }

    pub(crate) fn symbols(&self) -> &Symbols {
        &self.symbols
    }

    /// The extent of an index variable.
    pub(crate) fn extent(&self, k: u32) -> Option<&Dim> {
        self.extents.get(k as usize)
    }

    /// The variable as a polynomial.
    pub(crate) fn index(&self, k: u32) -> Dim {
        Dim::symbol(SymId(self.base + k))
    }

    /// The variable that a symbol stands for.
    pub(crate) fn index_of(&self, id: SymId) -> Option<u32> {
        id.0.checked_sub(self.base)
    }

    pub(crate) fn mentions_index(&self, dim: &Dim) -> bool {
        let mut found = false;
        dim.for_each_symbol(&mut |id| found |= id.0 >= self.base);
        found
    }

    /// Polynomials of the expressions of an arena that have one.
    pub(crate) fn polynomials(&self, exprs: &Exprs) -> Vec<Option<Dim>> {
        let mut out: Vec<Option<Dim>> = Vec::with_capacity(exprs.len());
        for (_, expr) in exprs.iter() {
            let at = |id: &ExprId| out.get(id.0 as usize).cloned().flatten();
            let dim = match expr {
                Expr::Const(value) if value.dtype == DType::I64 => Some(Dim::constant(value.as_i64())),
                Expr::Index(k) => {
                    Some(if self.extent(*k).is_some_and(|e| e.is(1)) { Dim::constant(0) } else { self.index(*k) })
                }
                Expr::Dim(dim) => Some(dim.clone()),
                Expr::Binary(op, a, b) => at(a).zip(at(b)).and_then(|(a, b)| self.binary(*op, &a, &b)),
                _ => None,
            };
            out.push(dim);
        }
        out
    }

    /// An operation on polynomials; `None` if the result is not followed.
    pub(crate) fn binary(&self, op: BinOp, a: &Dim, b: &Dim) -> Option<Dim> {
        let out = match op {
            BinOp::Add => a + b,
            BinOp::Sub => a - b,
            BinOp::Mul if a.terms().len() * b.terms().len() <= TERMS => a * b,
            BinOp::FloorDiv if self.positive(b) => self.divide(a, b).0,
            BinOp::Mod if self.positive(b) => self.divide(a, b).1,
            _ => return None,
        };
        let out = self.recombine(out);
        (out.terms().len() <= TERMS).then_some(out)
    }

    /// Sizes are positive where something is computed.
    fn positive(&self, dim: &Dim) -> bool {
        !self.mentions_index(dim) && self.symbols.range(dim).lo >= 0 && !dim.is(0)
    }

    /// Quotient and remainder.
    fn divide(&self, a: &Dim, by: &Dim) -> (Dim, Dim) {
        let (mut whole, mut rest) = (Dim::constant(0), Dim::constant(0));
        for term in a.terms() {
            let alone = Dim::from_terms(vec![term.clone()]);
            let quotient = self.symbols.floor_div(&alone, by);
            if &quotient * by == alone && !has_quotient(&quotient, &alone) {
                whole = &whole + &quotient;
            } else {
                rest = &rest + &alone;
            }
        }
        let room = &(by - &rest) - &Dim::constant(1);
        if self.natural(&rest) && self.natural(&room) {
            return (whole, rest);
        }
        let (quotient, remainder) = self.divide_rest(&rest, by);
        (&whole + &quotient, remainder)
    }

    /// Quotient and remainder where no term is a multiple. `(g*x + r) / (g*n)` with `0 <= r < g` is `x / n`.
    fn divide_rest(&self, rest: &Dim, by: &Dim) -> (Dim, Dim) {
        let plain = (self.symbols.floor_div(rest, by), self.symbols.modulo(rest, by));
        let Some(divisor) = by.as_const().filter(|c| *c > 1) else { return plain };
        let mut steps: Vec<i64> = rest.terms().iter().map(|t| gcd(t.coef, divisor)).filter(|g| *g > 1).collect();
        steps.sort_unstable_by(|a, b| b.cmp(a));
        steps.dedup();
        for step in steps.into_iter().filter(|step| *step < divisor) {
            let (outer, inner): (Vec<Term>, Vec<Term>) = rest.terms().iter().cloned().partition(|t| t.coef % step == 0);
            let inner = Dim::from_terms(inner);
            let room = &Dim::constant(step - 1) - &inner;
            if outer.is_empty() || !self.natural(&inner) || !self.natural(&room) {
                continue;
            }
            let outer = Dim::from_terms(outer.into_iter().map(|t| Term { coef: t.coef / step, ..t }).collect());
            let (quotient, remainder) = self.divide(&outer, &Dim::constant(divisor / step));
            return (quotient, &(&remainder * &Dim::constant(step)) + &inner);
        }
        plain
    }

    /// `c*d*(x / d) + c*(x mod d)` is `c*x`.
    fn recombine(&self, dim: Dim) -> Dim {
        for term in dim.terms() {
            for (position, atom) in term.factors.iter().enumerate() {
                let Atom::Mod(x, d) = atom else { continue };
                let mut others = term.factors.clone();
                others.remove(position);
                let scale = Dim::from_terms(vec![Term { factors: others, coef: term.coef }]);
                let quotient = self.symbols.floor_div(x, d);
                let counterpart = &(&scale * d) * &quotient;
                let wanted = counterpart.terms().iter().all(|t| dim.terms().contains(t));
                if wanted && !counterpart.is(0) {
                    let without = &(&dim - &counterpart) - &Dim::from_terms(vec![term.clone()]);
                    return self.recombine(&without + &(&scale * x));
                }
            }
        }
        dim
    }

    /// Whether a polynomial is certainly not negative in the whole domain.
    pub(crate) fn natural(&self, dim: &Dim) -> bool {
        self.symbols.range(dim).lo >= 0 || self.symbols.range(&self.least(dim)).lo >= 0
    }

    /// The polynomial where every variable that stands alone in a term takes the end of its range that makes it least.
    fn least(&self, dim: &Dim) -> Dim {
        let mut out = Dim::constant(0);
        for term in dim.terms() {
            let indices = |t: &Term| t.factors.iter().filter(|a| self.mentions_index(&Dim::atom((*a).clone()))).count();
            let position = term.factors.iter().position(|a| matches!(a, Atom::Sym(id) if self.index_of(*id).is_some()));
            let alone = Dim::from_terms(vec![term.clone()]);
            let Some(position) = position.filter(|_| indices(term) == 1) else {
                out = &out + &alone;
                continue;
            };
            let mut others = term.factors.clone();
            let Atom::Sym(id) = others.remove(position) else { continue };
            let factor = Dim::from_terms(vec![Term { factors: others, coef: term.coef }]);
            let range = self.symbols.range(&factor);
            let extent = self.index_of(id).and_then(|k| self.extent(k));
            match extent {
                _ if range.lo >= 0 => {}
                Some(extent) if range.hi <= 0 => out = &out + &(&factor * &(extent - &Dim::constant(1))),
                _ => out = &out + &alone,
            }
        }
        out
    }

    /// Work to compute a polynomial; `None` if it has no expression.
    pub(crate) fn work_of(&self, dim: &Dim) -> Option<usize> {
        if !self.mentions_index(dim) {
            return Some(0);
        }
        let (mut total, mut parts, mut sizes) = (0, 0, false);
        for term in dim.terms() {
            let alone = Dim::from_terms(vec![term.clone()]);
            if !self.mentions_index(&alone) {
                sizes = true;
                continue;
            }
            parts += 1;
            let (mut inner, mut scaled) = (0, term.coef != 1);
            for atom in &term.factors {
                if !self.mentions_index(&Dim::atom(atom.clone())) {
                    scaled = true;
                    continue;
                }
                inner += 1;
                total += match atom {
                    Atom::Sym(_) => 0,
                    Atom::FloorDiv(a, b) | Atom::Mod(a, b) => 8 + self.work_of(a)? + self.work_of(b)?,
                    Atom::Min(a, b) | Atom::Max(a, b) => 1 + self.work_of(a)? + self.work_of(b)?,
                    Atom::CeilDiv(..) | Atom::Select(..) => return None,
                };
            }
            total += 2 * (inner - 1 + usize::from(scaled));
        }
        Some(total + parts - 1 + usize::from(sizes))
    }
}

/// Whether a quotient is only the division written down again.
fn has_quotient(quotient: &Dim, of: &Dim) -> bool {
    quotient.terms().iter().flat_map(|t| &t.factors).any(|a| matches!(a, Atom::FloorDiv(x, _) if **x == *of))
}

fn gcd(a: i64, b: i64) -> i64 {
    let (mut a, mut b) = (a.saturating_abs(), b.saturating_abs());
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Index variables of extents 12, 64 and n; the operation on two polynomials of them.
    fn check(op: BinOp, a: impl Fn(&Space) -> Dim, b: impl Fn(&Space) -> Dim, expected: impl Fn(&Space) -> Dim) {
        let mut symbols = Symbols::default();
        let n = Dim::symbol(symbols.add("n", 1, None, SymSource::Input));
        let space = Space::new(&symbols, vec![Dim::constant(12), Dim::constant(64), n]);
        assert_eq!(space.binary(op, &a(&space), &b(&space)), Some(expected(&space)));
    }

    fn c(value: i64) -> Dim {
        Dim::constant(value)
    }

    #[test]
    fn digits_of_a_linear_index() {
        let linear = |s: &Space| &(&s.index(0) * &c(64)) + &s.index(1);
        check(BinOp::FloorDiv, linear, |_| c(64), |s| s.index(0));
        check(BinOp::Mod, linear, |_| c(64), |s| s.index(1));
        check(BinOp::FloorDiv, linear, |_| c(768), |_| c(0));
        let quarter = |s: &Space| s.symbols().floor_div(&s.index(0), &c(4));
        check(BinOp::FloorDiv, linear, |_| c(256), quarter);
        check(BinOp::FloorDiv, linear, |_| c(7), |s| s.symbols().floor_div(&linear(s), &c(7)));
    }

    #[test]
    fn digits_by_a_symbol() {
        let n = |_: &Space| Dim::symbol(SymId(0));
        let linear = |s: &Space| &(&s.index(0) * &n(s)) + &s.index(2);
        check(BinOp::FloorDiv, linear, n, |s| s.index(0));
        check(BinOp::Mod, linear, n, |s| s.index(2));
    }

    #[test]
    fn quotient_and_remainder_meet_again() {
        let left = |s: &Space| &s.symbols().floor_div(&s.index(1), &c(3)) * &c(3);
        check(BinOp::Add, left, |s| s.symbols().modulo(&s.index(1), &c(3)), |s| s.index(1));
    }
}
