//! Sizes and addresses as `i64` expressions of Rust.

use graph::dim::{Atom, Dim, Pred, SymId, Term};
use graph::symbol::Symbols;
use proc_macro2::{Literal, TokenStream};
use quote::quote;

/// Prints polynomials; `name` gives the Rust expression of a symbol.
pub struct SizePrinter<'a> {
    pub symbols: &'a Symbols,
    pub name: &'a dyn Fn(SymId) -> TokenStream,
}

impl SizePrinter<'_> {
    /// An `i64` expression, in parentheses where it needs them.
    pub fn size(&self, dim: &Dim) -> TokenStream {
        if let Some(value) = dim.as_const() {
            return integer(value);
        }
        let mut out = TokenStream::new();
        // Positive terms first, so that an expression does not begin with a minus.
        let (plus, minus): (Vec<&Term>, Vec<&Term>) = dim.terms().iter().partition(|t| t.coef > 0);
        for (n, term) in plus.iter().chain(&minus).enumerate() {
            let negative = term.coef < 0;
            let value = self.term(term, term.coef.wrapping_abs());
            out = match (n, negative) {
                (0, false) => value,
                (0, true) => quote!(-#value),
                (_, false) => quote!(#out + #value),
                (_, true) => quote!(#out - #value),
            };
        }
        if dim.terms().len() > 1 || dim.terms().iter().any(|t| t.coef < 0) { quote!((#out)) } else { out }
    }

    fn term(&self, term: &Term, coef: i64) -> TokenStream {
        let factors: Vec<TokenStream> = term.factors.iter().map(|a| self.atom(a)).collect();
        let Some((first, rest)) = factors.split_first() else { return integer(coef) };
        if coef == 1 {
            return quote!(#first #(* #rest)*);
        }
        let coef = integer(coef);
        quote!(#coef * #first #(* #rest)*)
    }

    fn atom(&self, atom: &Atom) -> TokenStream {
        match atom {
            Atom::Sym(id) => (self.name)(*id),
            Atom::FloorDiv(a, b) => {
                let natural = self.natural(a, b);
                let (a, b) = (self.size(a), self.size(b));
                if natural { quote!((#a / #b)) } else { quote!(size::floor_div(#a, #b)) }
            }
            Atom::Mod(a, b) => {
                let natural = self.natural(a, b);
                let (a, b) = (self.size(a), self.size(b));
                if natural { quote!((#a % #b)) } else { quote!(size::floor_mod(#a, #b)) }
            }
            Atom::CeilDiv(a, b) => {
                let (a, b) = (self.size(a), self.size(b));
                quote!(size::ceil_div(#a, #b))
            }
            Atom::Min(a, b) => {
                let (a, b) = (self.size(a), self.size(b));
                quote!(i64::min(#a, #b))
            }
            Atom::Max(a, b) => {
                let (a, b) = (self.size(a), self.size(b));
                quote!(i64::max(#a, #b))
            }
            Atom::Select(p, a, b) => {
                let (p, a, b) = (self.condition(p), self.size(a), self.size(b));
                quote!((if #p { #a } else { #b }))
            }
        }
    }

    /// Whether `/` and `%` do what floor division does: dividend not negative, divisor positive.
    fn natural(&self, a: &Dim, b: &Dim) -> bool {
        self.symbols.range(a).lo >= 0 && self.symbols.range(b).lo > 0
    }

    /// A `bool` expression.
    pub fn condition(&self, pred: &Pred) -> TokenStream {
        match pred {
            Pred::Const(b) => quote!(#b),
            Pred::Eq(a, b) => {
                let (a, b) = (self.size(a), self.size(b));
                quote!((#a == #b))
            }
            Pred::Le(a, b) => {
                let (a, b) = (self.size(a), self.size(b));
                quote!((#a <= #b))
            }
            Pred::Divides(a, b) => {
                let (a, b) = (self.size(a), self.size(b));
                quote!(size::divides(#a, #b))
            }
            Pred::Not(p) => {
                let p = self.condition(p);
                quote!((!#p))
            }
            Pred::And(ps) => joined(ps.iter().map(|p| self.condition(p)).collect(), true),
            Pred::Or(ps) => joined(ps.iter().map(|p| self.condition(p)).collect(), false),
        }
    }
}

fn joined(parts: Vec<TokenStream>, and: bool) -> TokenStream {
    let Some((first, rest)) = parts.split_first() else { return quote!(#and) };
    if and { quote!((#first #(&& #rest)*)) } else { quote!((#first #(|| #rest)*)) }
}

/// An unsuffixed integer literal, in parentheses if negative.
pub fn integer(value: i64) -> TokenStream {
    if value == i64::MIN {
        return quote!(i64::MIN);
    }
    let literal = Literal::i64_unsuffixed(value.wrapping_abs());
    if value < 0 { quote!((-#literal)) } else { quote!(#literal) }
}
