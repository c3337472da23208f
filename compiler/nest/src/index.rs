//! Index expressions as polynomials: the index variables become symbols with their extents as ranges, so that the
//! simplifier of sizes simplifies addresses.

use graph::dim::{Atom, Dim, Pred, SymId, Term};
use graph::expr::{BinOp, CmpOp, Expr, ExprId, Exprs, UnOp};
use graph::symbol::{SymSource, Symbols};

/// Symbols of the sizes, extended by one per index variable.
#[derive(Clone, Debug)]
pub struct IndexSpace {
    symbols: Symbols,
    first: u32,
    extents: Vec<Dim>,
}

impl IndexSpace {
    /// Index variables over these extents, in order.
    pub fn new(symbols: &Symbols, extents: &[Dim]) -> IndexSpace {
        let mut symbols = symbols.clone();
        let first = symbols.len() as u32;
        for (k, extent) in extents.iter().enumerate() {
            let hi = symbols.range(extent).upper().map(|h| (h - 1).max(0));
            symbols.add(&format!("i{k}"), 0, hi, SymSource::Bind);
        }
        IndexSpace { symbols, first, extents: extents.to_vec() }
    }

    /// The table with the index variables in it.
    pub fn symbols(&self) -> &Symbols {
        &self.symbols
    }

    /// The symbol of an index variable.
    pub fn variable(&self, index: usize) -> Dim {
        Dim::symbol(SymId(self.first + index as u32))
    }

    /// The index variable that a symbol is.
    pub fn as_variable(&self, symbol: SymId) -> Option<usize> {
        let offset = symbol.0.checked_sub(self.first)?;
        ((offset as usize) < self.extents.len()).then_some(offset as usize)
    }

    /// An i64 expression as a polynomial of sizes and index variables; `None` if it depends on data.
    pub fn polynomial(&self, exprs: &Exprs, id: ExprId) -> Option<Dim> {
        let sub = |e: &ExprId| self.polynomial(exprs, *e);
        let s = &self.symbols;
        let value = match exprs.get(id)? {
            Expr::Const(c) if !c.dtype.is_float() => Dim::constant(c.as_i64()),
            Expr::Index(k) => self.variable(*k as usize),
            Expr::Dim(d) => d.clone(),
            Expr::Unary(UnOp::Neg, a) => -&sub(a)?,
            Expr::Binary(op, a, b) => {
                let (a, b) = (sub(a)?, sub(b)?);
                match op {
                    BinOp::Add => &a + &b,
                    BinOp::Sub => &a - &b,
                    BinOp::Mul => &a * &b,
                    BinOp::FloorDiv => s.floor_div(&a, &b),
                    BinOp::Mod => s.modulo(&a, &b),
                    BinOp::Min => s.min(&a, &b),
                    BinOp::Max => s.max(&a, &b),
                    BinOp::Div if s.range(&a).lo >= 0 && s.range(&b).lo > 0 => s.floor_div(&a, &b),
                    BinOp::Rem if s.range(&a).lo >= 0 && s.range(&b).lo > 0 => s.modulo(&a, &b),
                    _ => return None,
                }
            }
            Expr::Select(c, a, b) => s.select(&self.predicate(exprs, *c)?, &sub(a)?, &sub(b)?),
            _ => return None,
        };
        Some(self.recombine(value))
    }

    /// A bool expression as a predicate of sizes and index variables; `None` if it depends on data.
    pub fn predicate(&self, exprs: &Exprs, id: ExprId) -> Option<Pred> {
        match exprs.get(id)? {
            Expr::Const(c) => Some(Pred::Const(c.bits != 0)),
            Expr::Compare(op, a, b) => {
                if exprs.dtype(*a) != graph::dtype::DType::I64 {
                    return None;
                }
                let (a, b) = (self.polynomial(exprs, *a)?, self.polynomial(exprs, *b)?);
                Some(match op {
                    CmpOp::Eq => Pred::Eq(a, b),
                    CmpOp::Ne => Pred::Not(Box::new(Pred::Eq(a, b))),
                    CmpOp::Le => Pred::Le(a, b),
                    CmpOp::Lt => Pred::Le(&a + &Dim::constant(1), b),
                })
            }
            Expr::Unary(UnOp::Not, a) => Some(Pred::Not(Box::new(self.predicate(exprs, *a)?))),
            Expr::Binary(BinOp::And, a, b) => {
                Some(Pred::And(vec![self.predicate(exprs, *a)?, self.predicate(exprs, *b)?]))
            }
            Expr::Binary(BinOp::Or, a, b) => {
                Some(Pred::Or(vec![self.predicate(exprs, *a)?, self.predicate(exprs, *b)?]))
            }
            _ => None,
        }
    }

    /// `m*c*floordiv(x, c) + m*mod(x, c) = m*x`, applied until nothing matches.
    pub fn recombine(&self, dim: Dim) -> Dim {
        let mut dim = dim;
        // Every application removes a `Mod`, so the number of terms bounds the loop.
        for _ in 0..=dim.terms().len() {
            match self.recombine_once(&dim) {
                Some(next) => dim = next,
                None => break,
            }
        }
        dim
    }

    fn recombine_once(&self, dim: &Dim) -> Option<Dim> {
        for term in dim.terms() {
            for (position, atom) in term.factors.iter().enumerate() {
                let Atom::Mod(x, c) = atom else { continue };
                let mut others = term.factors.clone();
                others.remove(position);
                let scale = Dim::from_terms(vec![Term { factors: others, coef: term.coef }]);
                let quotient = self.symbols.floor_div(x, c);
                let whole = &(&scale * c) * &quotient;
                let whole_is_there = whole.terms().iter().all(|w| dim.terms().contains(w)) && !whole.is(0);
                if whole_is_there {
                    let modulo = Dim::from_terms(vec![term.clone()]);
                    return Some(&(&(dim - &whole) - &modulo) + &(&scale * x));
                }
            }
        }
        None
    }

    /// Whether an index variable occurs.
    pub fn has_variable(&self, dim: &Dim) -> bool {
        let mut found = false;
        dim.for_each_symbol(&mut |s| found |= self.as_variable(s).is_some());
        found
    }

    /// Whether a polynomial is certainly not negative, for all indices within their extents.
    pub fn nonnegative(&self, dim: &Dim) -> bool {
        if self.symbols.range(dim).lo >= 0 {
            return true;
        }
        let Some(affine) = self.affine(dim) else { return false };
        let mut lowest = affine.constant.clone();
        for (coef, extent) in affine.coefs.iter().zip(&self.extents) {
            let range = self.symbols.range(coef);
            if range.lo >= 0 {
                continue;
            }
            if range.hi > 0 {
                return false;
            }
            lowest = &lowest + &(coef * &(extent - &Dim::constant(1)));
        }
        self.symbols.range(&lowest).lo >= 0
    }

    /// `constant + Σ coefs[k] * index k` with coefficients free of index variables; `None` if it is not of that form.
    pub fn affine(&self, dim: &Dim) -> Option<Affine> {
        let mut affine = Affine { constant: Dim::constant(0), coefs: vec![Dim::constant(0); self.extents.len()] };
        for term in dim.terms() {
            let mut variable = None;
            let mut rest = Vec::with_capacity(term.factors.len());
            for factor in &term.factors {
                match factor {
                    Atom::Sym(id) if self.as_variable(*id).is_some() => {
                        if variable.is_some() {
                            return None;
                        }
                        variable = self.as_variable(*id);
                    }
                    other => {
                        let mut inside = false;
                        Dim::atom(other.clone()).for_each_symbol(&mut |s| inside |= self.as_variable(s).is_some());
                        if inside {
                            return None;
                        }
                        rest.push(other.clone());
                    }
                }
            }
            let part = Dim::from_terms(vec![Term { factors: rest, coef: term.coef }]);
            match variable {
                None => affine.constant = &affine.constant + &part,
                Some(k) => affine.coefs[k] = &affine.coefs[k] + &part,
            }
        }
        Some(affine)
    }
}

/// A linear function of the index variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Affine {
    pub constant: Dim,
    pub coefs: Vec<Dim>,
}

impl Affine {
    /// The index variable, if this is one and nothing else.
    pub fn as_variable(&self) -> Option<usize> {
        let mut found = None;
        for (k, coef) in self.coefs.iter().enumerate() {
            match coef.as_const() {
                Some(0) => {}
                Some(1) if found.is_none() => found = Some(k),
                _ => return None,
            }
        }
        if self.constant.is(0) { found } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unravel_then_ravel_is_identity() {
        let symbols = Symbols::default();
        let (a, b, c) = (Dim::constant(5), Dim::constant(6), Dim::constant(7));
        let total = Dim::product([&a, &b, &c]);
        let space = IndexSpace::new(&symbols, &[total]);
        let x = space.variable(0);
        let s = space.symbols();
        let last = s.modulo(&x, &c);
        let rest = s.floor_div(&x, &c);
        let middle = s.modulo(&rest, &b);
        let first = s.floor_div(&rest, &b);
        let ravelled = &(&(&first * &Dim::product([&b, &c])) + &(&middle * &c)) + &last;
        assert_eq!(space.recombine(ravelled), x);
    }

    #[test]
    fn symbolic_divisors_recombine() {
        let mut symbols = Symbols::default();
        let seq = Dim::symbol(symbols.add("seq", 1, None, SymSource::Input));
        let batch = Dim::symbol(symbols.add("batch", 1, None, SymSource::Input));
        let space = IndexSpace::new(&symbols, &[&seq * &batch]);
        let x = space.variable(0);
        let s = space.symbols();
        let ravelled = &(&s.floor_div(&x, &seq) * &seq) + &s.modulo(&x, &seq);
        assert_eq!(space.recombine(ravelled), x);
    }

    #[test]
    fn affine_form_collects_coefficients() {
        let symbols = Symbols::default();
        let space = IndexSpace::new(&symbols, &[Dim::constant(4), Dim::constant(9)]);
        let dim = &(&(&space.variable(1) * &Dim::constant(3)) + &space.variable(0)) + &Dim::constant(7);
        let affine = space.affine(&dim).unwrap();
        assert_eq!(affine.constant, Dim::constant(7));
        assert_eq!(affine.coefs, vec![Dim::constant(1), Dim::constant(3)]);
        assert_eq!(space.affine(&(&space.variable(0) * &space.variable(1))), None);
    }
}
