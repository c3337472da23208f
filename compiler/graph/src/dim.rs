//! Symbolic sizes: polynomials over symbols and opaque atoms, in a normal form that makes equality structural.
//!
//! A [`Dim`] is an `i64` value known before anything runs, given the symbols. Arithmetic wraps at 64 bits, which is
//! what ONNX `int64` shape tensors do, so a `Dim` can stand for an element of one. Division by zero is 0 (total).
//! The constructors here only normalise sums and products; the ones that need symbol ranges ([`crate::symbol::Symbols`])
//! also simplify quotients, remainders, minima and selections.
//!
//! Text: `4*batch + floordiv(height + 1, 2)`.

use std::ops::{Add, Mul, Neg, Sub};

/// Identity of a symbol in the model's symbol table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SymId(pub u32);

/// A factor of a monomial: a symbol or an operation that the polynomial form cannot look into.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Atom {
    Sym(SymId),
    FloorDiv(Box<Dim>, Box<Dim>),
    CeilDiv(Box<Dim>, Box<Dim>),
    /// Remainder with the sign of the divisor.
    Mod(Box<Dim>, Box<Dim>),
    Min(Box<Dim>, Box<Dim>),
    Max(Box<Dim>, Box<Dim>),
    Select(Box<Pred>, Box<Dim>, Box<Dim>),
}

/// `coef * factors[0] * factors[1] …`; the factors are sorted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Term {
    pub factors: Vec<Atom>,
    pub coef: i64,
}

/// A symbolic size or shape-tensor element. Terms are sorted by factors and have no zero coefficient.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dim {
    terms: Vec<Term>,
}

/// A condition over sizes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pred {
    Const(bool),
    Eq(Dim, Dim),
    Le(Dim, Dim),
    /// The first divides the second; 0 divides 0 only.
    Divides(Dim, Dim),
    Not(Box<Pred>),
    And(Vec<Pred>),
    Or(Vec<Pred>),
}

impl Dim {
    /// The constant `value`.
    pub fn constant(value: i64) -> Dim {
        if value == 0 {
            return Dim::default();
        }
        Dim { terms: vec![Term { factors: Vec::new(), coef: value }] }
    }

    /// The symbol itself.
    pub fn symbol(id: SymId) -> Dim {
        Dim::atom(Atom::Sym(id))
    }

    /// An atom as a polynomial, without any simplification.
    pub fn atom(atom: Atom) -> Dim {
        Dim { terms: vec![Term { factors: vec![atom], coef: 1 }] }
    }

    /// Sums terms into normal form.
    pub fn from_terms(mut terms: Vec<Term>) -> Dim {
        for term in &mut terms {
            term.factors.sort();
        }
        terms.sort_by(|a, b| a.factors.cmp(&b.factors));
        let mut out: Vec<Term> = Vec::with_capacity(terms.len());
        for term in terms {
            match out.last_mut() {
                Some(last) if last.factors == term.factors => last.coef = last.coef.wrapping_add(term.coef),
                _ => out.push(term),
            }
        }
        out.retain(|t| t.coef != 0);
        Dim { terms: out }
    }

    /// The terms in normal order.
    pub fn terms(&self) -> &[Term] {
        &self.terms
    }

    /// The value if no symbol occurs.
    pub fn as_const(&self) -> Option<i64> {
        match self.terms.as_slice() {
            [] => Some(0),
            [Term { factors, coef }] if factors.is_empty() => Some(*coef),
            _ => None,
        }
    }

    /// The value as a size, if constant and not negative.
    pub fn as_size(&self) -> Option<usize> {
        self.as_const().and_then(|v| usize::try_from(v).ok())
    }

    /// True if this is exactly `value`.
    pub fn is(&self, value: i64) -> bool {
        self.as_const() == Some(value)
    }

    /// The symbol, if this is one and nothing else.
    pub fn as_symbol(&self) -> Option<SymId> {
        match self.terms.as_slice() {
            [Term { factors, coef: 1 }] => match factors.as_slice() {
                [Atom::Sym(id)] => Some(*id),
                _ => None,
            },
            _ => None,
        }
    }

    /// Product of sizes.
    pub fn product<'a>(dims: impl IntoIterator<Item = &'a Dim>) -> Dim {
        dims.into_iter().fold(Dim::constant(1), |acc, d| &acc * d)
    }

    /// How much there is to write down: a term and what its factors consist of, each counts one.
    pub fn weight(&self) -> usize {
        self.terms.iter().map(|t| 1 + t.factors.iter().map(Atom::weight).sum::<usize>()).sum()
    }

    /// Calls `visit` for every symbol that occurs, in order, with repetitions.
    pub fn for_each_symbol(&self, visit: &mut dyn FnMut(SymId)) {
        for atom in self.terms.iter().flat_map(|t| &t.factors) {
            match atom {
                Atom::Sym(id) => visit(*id),
                Atom::FloorDiv(a, b) | Atom::CeilDiv(a, b) | Atom::Mod(a, b) | Atom::Min(a, b) | Atom::Max(a, b) => {
                    a.for_each_symbol(visit);
                    b.for_each_symbol(visit);
                }
                Atom::Select(p, a, b) => {
                    p.for_each_symbol(visit);
                    a.for_each_symbol(visit);
                    b.for_each_symbol(visit);
                }
            }
        }
    }

    /// The value under an assignment of symbols; `None` if a symbol has no value.
    pub fn eval(&self, value_of: &dyn Fn(SymId) -> Option<i64>) -> Option<i64> {
        let mut sum = 0i64;
        for term in &self.terms {
            let mut product = term.coef;
            for atom in &term.factors {
                product = product.wrapping_mul(eval_atom(atom, value_of)?);
            }
            sum = sum.wrapping_add(product);
        }
        Some(sum)
    }
}

impl Atom {
    fn weight(&self) -> usize {
        match self {
            Atom::Sym(_) => 1,
            Atom::FloorDiv(a, b) | Atom::CeilDiv(a, b) | Atom::Mod(a, b) | Atom::Min(a, b) | Atom::Max(a, b) => {
                1 + a.weight() + b.weight()
            }
            Atom::Select(p, a, b) => 1 + p.weight() + a.weight() + b.weight(),
        }
    }
}

impl From<i64> for Dim {
    fn from(value: i64) -> Dim {
        Dim::constant(value)
    }
}

impl From<usize> for Dim {
    /// Sizes beyond `i64::MAX` saturate; no shape of that size passes the limits.
    fn from(value: usize) -> Dim {
        Dim::constant(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl Pred {
    fn weight(&self) -> usize {
        match self {
            Pred::Const(_) => 1,
            Pred::Eq(a, b) | Pred::Le(a, b) | Pred::Divides(a, b) => a.weight() + b.weight(),
            Pred::Not(p) => p.weight(),
            Pred::And(ps) | Pred::Or(ps) => ps.iter().map(Pred::weight).sum(),
        }
    }

    /// Calls `visit` for every symbol that occurs.
    pub fn for_each_symbol(&self, visit: &mut dyn FnMut(SymId)) {
        match self {
            Pred::Const(_) => {}
            Pred::Eq(a, b) | Pred::Le(a, b) | Pred::Divides(a, b) => {
                a.for_each_symbol(visit);
                b.for_each_symbol(visit);
            }
            Pred::Not(p) => p.for_each_symbol(visit),
            Pred::And(ps) | Pred::Or(ps) => ps.iter().for_each(|p| p.for_each_symbol(visit)),
        }
    }

    /// The truth under an assignment of symbols; `None` if a symbol has no value.
    pub fn eval(&self, value_of: &dyn Fn(SymId) -> Option<i64>) -> Option<bool> {
        Some(match self {
            Pred::Const(b) => *b,
            Pred::Eq(a, b) => a.eval(value_of)? == b.eval(value_of)?,
            Pred::Le(a, b) => a.eval(value_of)? <= b.eval(value_of)?,
            Pred::Divides(a, b) => divides(a.eval(value_of)?, b.eval(value_of)?),
            Pred::Not(p) => !p.eval(value_of)?,
            Pred::And(ps) => {
                let mut all = true;
                for p in ps {
                    all &= p.eval(value_of)?;
                }
                all
            }
            Pred::Or(ps) => {
                let mut any = false;
                for p in ps {
                    any |= p.eval(value_of)?;
                }
                any
            }
        })
    }
}

/// Floor division, total: 0 for a zero divisor, wrapping for `i64::MIN / -1`.
pub fn floor_div(a: i64, b: i64) -> i64 {
    if b == 0 {
        return 0;
    }
    let q = a.wrapping_div(b);
    if a.wrapping_rem(b) != 0 && (a < 0) != (b < 0) { q.wrapping_sub(1) } else { q }
}

/// Ceiling division, total: 0 for a zero divisor.
pub fn ceil_div(a: i64, b: i64) -> i64 {
    if b == 0 {
        return 0;
    }
    let q = a.wrapping_div(b);
    if a.wrapping_rem(b) != 0 && (a < 0) == (b < 0) { q.wrapping_add(1) } else { q }
}

/// Remainder with the sign of the divisor, total: 0 for a zero divisor.
pub fn floor_mod(a: i64, b: i64) -> i64 {
    if b == 0 {
        return 0;
    }
    let r = a.wrapping_rem(b);
    if r != 0 && (r < 0) != (b < 0) { r.wrapping_add(b) } else { r }
}

/// Whether `a` divides `b`; 0 divides 0 only.
pub fn divides(a: i64, b: i64) -> bool {
    if a == 0 { b == 0 } else { b.wrapping_rem(a) == 0 }
}

fn eval_atom(atom: &Atom, value_of: &dyn Fn(SymId) -> Option<i64>) -> Option<i64> {
    Some(match atom {
        Atom::Sym(id) => value_of(*id)?,
        Atom::FloorDiv(a, b) => floor_div(a.eval(value_of)?, b.eval(value_of)?),
        Atom::CeilDiv(a, b) => ceil_div(a.eval(value_of)?, b.eval(value_of)?),
        Atom::Mod(a, b) => floor_mod(a.eval(value_of)?, b.eval(value_of)?),
        Atom::Min(a, b) => a.eval(value_of)?.min(b.eval(value_of)?),
        Atom::Max(a, b) => a.eval(value_of)?.max(b.eval(value_of)?),
        Atom::Select(p, a, b) => {
            if p.eval(value_of)? {
                a.eval(value_of)?
            } else {
                b.eval(value_of)?
            }
        }
    })
}

fn combine(a: &Dim, b: &Dim, sign: i64) -> Dim {
    let mut terms = a.terms.clone();
    terms.extend(b.terms.iter().map(|t| Term { factors: t.factors.clone(), coef: t.coef.wrapping_mul(sign) }));
    Dim::from_terms(terms)
}

impl Add for &Dim {
    type Output = Dim;
    fn add(self, rhs: &Dim) -> Dim {
        combine(self, rhs, 1)
    }
}

impl Sub for &Dim {
    type Output = Dim;
    fn sub(self, rhs: &Dim) -> Dim {
        combine(self, rhs, -1)
    }
}

impl Neg for &Dim {
    type Output = Dim;
    fn neg(self) -> Dim {
        combine(&Dim::default(), self, -1)
    }
}

impl Mul for &Dim {
    type Output = Dim;
    fn mul(self, rhs: &Dim) -> Dim {
        let mut terms = Vec::with_capacity(self.terms.len() * rhs.terms.len());
        for a in &self.terms {
            for b in &rhs.terms {
                let mut factors = a.factors.clone();
                factors.extend(b.factors.iter().cloned());
                terms.push(Term { factors, coef: a.coef.wrapping_mul(b.coef) });
            }
        }
        Dim::from_terms(terms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_and_products_have_one_form() {
        let (b, s) = (Dim::symbol(SymId(0)), Dim::symbol(SymId(1)));
        let left = &(&b + &s) * &(&b - &s);
        let right = &(&b * &b) - &(&s * &s);
        assert_eq!(left, right);
        assert_eq!((&b - &b).as_const(), Some(0));
        assert_eq!(Dim::product([&Dim::constant(3), &Dim::constant(4)]).as_const(), Some(12));
    }

    #[test]
    fn divisions_are_total_and_round_as_named() {
        assert_eq!((floor_div(-7, 2), ceil_div(-7, 2), floor_mod(-7, 2)), (-4, -3, 1));
        assert_eq!((floor_div(7, 0), ceil_div(7, 0), floor_mod(7, 0)), (0, 0, 0));
        assert_eq!(floor_div(i64::MIN, -1), i64::MIN);
        assert!(divides(0, 0) && !divides(0, 4) && divides(2, 4));
    }
}
