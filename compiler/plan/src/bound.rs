//! Bounds of sizes before anything runs: symbols that are found while a model runs give way to the ends of their ranges.
//!
//! ```text
//! n: input symbol, k in 0..=8 found while running
//! upper(n - k) = n        upper(min(5, k + n)) = min(5, n + 8)        upper(n*k) = 8*n
//! ```

use graph::dim::{Atom, Dim, Pred, SymId};
use graph::symbol::{SymSource, Symbols};

/// A size over input symbols that the size never exceeds; `None` if there is none.
pub fn upper(symbols: &Symbols, dim: &Dim) -> Option<Dim> {
    Bounds { symbols }.of(dim).hi
}

/// Ends of what a size may be, where there are any.
struct Ends {
    lo: Option<Dim>,
    hi: Option<Dim>,
}

struct Bounds<'a> {
    symbols: &'a Symbols,
}

impl Bounds<'_> {
    fn is_late(&self, id: SymId) -> bool {
        self.symbols.get(id).is_none_or(|s| s.source == SymSource::Bind)
    }

    fn is_bounded(&self, dim: &Dim) -> bool {
        let mut bounded = true;
        dim.for_each_symbol(&mut |id| bounded &= self.symbols.get(id).is_some_and(|s| s.hi.is_some()));
        bounded
    }

    fn depends(&self, dim: &Dim) -> bool {
        let mut found = false;
        dim.for_each_symbol(&mut |id| found |= self.is_late(id));
        found
    }

    fn pred_depends(&self, pred: &Pred) -> bool {
        let mut found = false;
        pred.for_each_symbol(&mut |id| found |= self.is_late(id));
        found
    }

    /// Bounds of a sum, term by term; constants from the ranges where that gives none.
    fn of(&self, dim: &Dim) -> Ends {
        if !self.depends(dim) {
            return Ends { lo: Some(dim.clone()), hi: Some(dim.clone()) };
        }
        let mut sum = Ends { lo: Some(Dim::constant(0)), hi: Some(Dim::constant(0)) };
        for term in dim.terms() {
            let single = Dim::from_terms(vec![term.clone()]);
            let part = if self.depends(&single) {
                self.product(&term.factors, term.coef)
            } else {
                Ends { lo: Some(single.clone()), hi: Some(single) }
            };
            sum.lo = sum.lo.zip(part.lo).map(|(a, b)| &a + &b);
            sum.hi = sum.hi.zip(part.hi).map(|(a, b)| &a + &b);
        }
        // Ranges of sizes over unbounded symbols end where integers do, which is no bound.
        let range = Some(self.symbols.range(dim)).filter(|_| self.is_bounded(dim));
        let constant = |end: i128| i64::try_from(end).ok().map(Dim::constant);
        Ends { lo: sum.lo.or(range.and_then(|r| constant(r.lo))), hi: sum.hi.or(range.and_then(|r| constant(r.hi))) }
    }

    fn product(&self, factors: &[Atom], coef: i64) -> Ends {
        let (mut lo, mut hi) = (Some(Dim::constant(1)), Some(Dim::constant(1)));
        for factor in factors {
            let ends = self.atom(factor);
            // Only of factors that are not negative do the ends multiply.
            let positive = ends.lo.as_ref().is_some_and(|lo| self.symbols.range(lo).lo >= 0);
            if !positive && factors.len() > 1 {
                return Ends { lo: None, hi: None };
            }
            lo = lo.zip(ends.lo).map(|(a, b)| &a * &b);
            hi = hi.zip(ends.hi).map(|(a, b)| &a * &b);
        }
        let scaled = |end: Option<Dim>| end.map(|d| &d * &Dim::constant(coef));
        if coef >= 0 { Ends { lo: scaled(lo), hi: scaled(hi) } } else { Ends { lo: scaled(hi), hi: scaled(lo) } }
    }

    fn atom(&self, atom: &Atom) -> Ends {
        let s = self.symbols;
        let positive = |d: &Dim, least: i128| s.range(d).lo >= least;
        match atom {
            Atom::Sym(id) if !self.is_late(*id) => Ends { lo: Some(Dim::symbol(*id)), hi: Some(Dim::symbol(*id)) },
            Atom::Sym(id) => match s.get(*id) {
                Some(symbol) => Ends { lo: Some(Dim::constant(symbol.lo)), hi: symbol.hi.map(Dim::constant) },
                None => Ends { lo: None, hi: None },
            },
            Atom::FloorDiv(a, b) | Atom::CeilDiv(a, b) => {
                let (a, b) = (self.of(a), self.of(b));
                let divide = |a: &Dim, b: &Dim| match atom {
                    Atom::CeilDiv(..) => s.ceil_div(a, b),
                    _ => s.floor_div(a, b),
                };
                let good =
                    a.lo.as_ref().is_some_and(|d| positive(d, 0)) && b.lo.as_ref().is_some_and(|d| positive(d, 1));
                if !good {
                    return Ends { lo: None, hi: None };
                }
                let hi = a.hi.zip(b.lo).map(|(a, b)| divide(&a, &b));
                let lo = a.lo.zip(b.hi).map_or(Dim::constant(0), |(a, b)| divide(&a, &b));
                Ends { lo: Some(lo), hi }
            }
            Atom::Mod(a, b) => {
                let (a, b) = (self.of(a), self.of(b));
                if !b.lo.as_ref().is_some_and(|d| positive(d, 1)) {
                    return Ends { lo: None, hi: None };
                }
                let below = b.hi.map(|b| &b - &Dim::constant(1));
                let own = a.hi.filter(|_| a.lo.as_ref().is_some_and(|d| positive(d, 0)));
                Ends { lo: Some(Dim::constant(0)), hi: self.either(own, below, Symbols::min) }
            }
            Atom::Min(a, b) => {
                let (a, b) = (self.of(a), self.of(b));
                let lo = a.lo.zip(b.lo).map(|(a, b)| s.min(&a, &b));
                Ends { lo, hi: self.either(a.hi, b.hi, Symbols::min) }
            }
            Atom::Max(a, b) => {
                let (a, b) = (self.of(a), self.of(b));
                let hi = a.hi.zip(b.hi).map(|(a, b)| s.max(&a, &b));
                Ends { lo: self.either(a.lo, b.lo, Symbols::max), hi }
            }
            Atom::Select(p, a, b) => {
                let (a, b) = (self.of(a), self.of(b));
                let depends = self.pred_depends(p);
                let lo = a.lo.zip(b.lo).map(|(a, b)| if depends { s.min(&a, &b) } else { s.select(p, &a, &b) });
                let hi = a.hi.zip(b.hi).map(|(a, b)| if depends { s.max(&a, &b) } else { s.select(p, &a, &b) });
                Ends { lo, hi }
            }
        }
    }

    /// The sharper of two bounds that both hold.
    fn either(&self, a: Option<Dim>, b: Option<Dim>, sharper: fn(&Symbols, &Dim, &Dim) -> Dim) -> Option<Dim> {
        match (a, b) {
            (Some(a), Some(b)) => Some(sharper(self.symbols, &a, &b)),
            (a, b) => a.or(b),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use graph::text::cursor::Cursor;
    use graph::text::dim::{Names, parse_dim, print_dim};

    fn check(text: &str, expected: &str) {
        let mut symbols = Symbols::default();
        symbols.add("n", 1, None, SymSource::Input);
        symbols.add("k", 0, Some(8), SymSource::Bind);
        symbols.add("i", -3, Some(2), SymSource::Bind);
        symbols.add("u", 0, None, SymSource::Bind);
        let names = Names::new(&symbols);
        let dim = parse_dim(&mut Cursor::new(text).unwrap(), &names).unwrap();
        let found = upper(&symbols, &dim).map_or("none".to_string(), |d| print_dim(&d, &names));
        assert_eq!(found, expected);
    }

    #[test]
    fn late_symbols_give_way_to_their_ends() {
        check("n", "n");
        check("4*n*k", "32*n");
        check("n - k", "n");
        check("n + 2 - i", "n + 5");
        check("k*i", "16");
        check("u", "none");
    }

    #[test]
    fn atoms_are_bounded_where_their_parts_are() {
        check("min(5, u)", "5");
        check("max(0, -max(0, min(5, u)) + max(0, min(5, u - 3)))", "5");
        check("select(eq(i, 0), 1, 4)*select(eq(i, 1), 2, n + 1)", "4*n + 4");
        check("floordiv(k + n, 2)", "floordiv(n, 2) + 4");
        check("mod(u, 4)", "3");
        check("mod(k, n)", "min(n - 1, 8)");
        check("max(k, u)", "none");
        check("floordiv(select(le(u, n), 2, 4) + 4*u, 2*select(le(u, n), 2, 4))", "none");
    }
}
