//! Sizes as Rust: a field of `Sizes` for each one that is known when a call starts, an expression for the others.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use graph::dim::{Atom, Dim, Pred, SymId};
use graph::symbol::{SymSource, Symbols};
use proc_macro2::{Ident, Literal, TokenStream};
use quote::{format_ident, quote};

use crate::names::{Namer, snake};

/// The sizes of one plan.
pub struct SizeTable<'a> {
    symbols: &'a Symbols,
    /// A field for every symbol.
    fields: Vec<Ident>,
    stored: RefCell<Stored>,
    used: RefCell<BTreeSet<SymId>>,
}

#[derive(Default)]
struct Stored {
    positions: BTreeMap<Dim, usize>,
    entries: Vec<(Dim, TokenStream)>,
}

/// A size that is computed once per shape.
pub struct StoredSize {
    pub field: Ident,
    /// The size in text, for its doc line.
    pub text: String,
    /// Its value from earlier fields of `self`.
    pub value: TokenStream,
}

impl<'a> SizeTable<'a> {
    /// The table of a plan's symbols.
    pub fn new(symbols: &'a Symbols) -> SizeTable<'a> {
        let mut namer = Namer::without(&["dims", "shape"]);
        let fields = symbols.iter().map(|(_, s)| namer.unique(field_name(&s.name))).collect();
        SizeTable { symbols, fields, stored: RefCell::default(), used: RefCell::default() }
    }

    /// The plan's symbols.
    pub fn symbols(&self) -> &'a Symbols {
        self.symbols
    }

    /// Whether the value of a symbol was asked for.
    pub fn is_used(&self, id: SymId) -> bool {
        self.used.borrow().contains(&id)
    }

    /// The field of a symbol.
    pub fn field(&self, id: SymId) -> Ident {
        self.used.borrow_mut().insert(id);
        self.fields.get(id.0 as usize).cloned().unwrap_or_else(|| format_ident!("unknown_symbol"))
    }

    /// Whether a size is known when a call starts.
    pub fn known_at_start(&self, dim: &Dim) -> bool {
        let mut known = true;
        dim.for_each_symbol(&mut |id| known &= self.symbols.get(id).is_some_and(|s| s.source == SymSource::Input));
        known
    }

    /// Whether a condition is known when a call starts.
    pub fn pred_known_at_start(&self, pred: &Pred) -> bool {
        let mut known = true;
        pred.for_each_symbol(&mut |id| known &= self.symbols.get(id).is_some_and(|s| s.source == SymSource::Input));
        known
    }

    /// A size as an `i64` expression; `base` is where the `Sizes` are.
    pub fn expr(&self, dim: &Dim, base: &TokenStream) -> TokenStream {
        if let Some(value) = dim.as_const() {
            return literal(value);
        }
        if let Some(id) = dim.as_symbol() {
            let field = self.field(id);
            return quote!(#base.#field);
        }
        if self.known_at_start(dim) {
            let field = self.intern(dim);
            return quote!(#base.#field);
        }
        self.formula(dim, Place::In(base))
    }

    /// A size as an expression over local variables named like the symbols' fields; nothing is stored.
    pub fn local(&self, dim: &Dim) -> TokenStream {
        self.formula(dim, Place::Local)
    }

    /// A condition as a `bool` expression.
    pub fn pred(&self, pred: &Pred, base: &TokenStream) -> TokenStream {
        let two = |a: &Dim, b: &Dim| (self.expr(a, base), self.expr(b, base));
        let inner = |p: &Pred| {
            let tokens = self.pred(p, base);
            match p {
                Pred::Const(_) | Pred::Divides(..) => tokens,
                Pred::Eq(..) | Pred::Le(..) | Pred::Not(_) | Pred::And(_) | Pred::Or(_) => quote!((#tokens)),
            }
        };
        match pred {
            Pred::Const(value) => quote!(#value),
            Pred::Eq(a, b) => {
                let (a, b) = two(a, b);
                quote!(#a == #b)
            }
            Pred::Le(a, b) => {
                let (a, b) = two(a, b);
                quote!(#a <= #b)
            }
            Pred::Divides(a, b) => {
                let (a, b) = two(a, b);
                quote!(sizes::divides(#a, #b))
            }
            Pred::Not(p) => match p.as_ref() {
                Pred::Eq(a, b) => {
                    let (a, b) = two(a, b);
                    quote!(#a != #b)
                }
                Pred::Le(a, b) => {
                    let (a, b) = two(a, b);
                    quote!(#a > #b)
                }
                Pred::Not(p) => self.pred(p, base),
                other => {
                    let p = inner(other);
                    quote!(!#p)
                }
            },
            Pred::And(ps) | Pred::Or(ps) => match (ps.as_slice(), pred) {
                ([], Pred::And(_)) => quote!(true),
                ([], _) => quote!(false),
                ([one], _) => self.pred(one, base),
                (_, Pred::And(_)) => {
                    let ps = ps.iter().map(inner);
                    quote!(#(#ps)&&*)
                }
                _ => {
                    let ps = ps.iter().map(inner);
                    quote!(#(#ps)||*)
                }
            },
        }
    }

    /// The sizes that were asked for, in an order in which each needs earlier ones only.
    pub fn stored(&self) -> Vec<StoredSize> {
        let stored = self.stored.borrow();
        let entry = |(k, (dim, value)): (usize, &(Dim, TokenStream))| StoredSize {
            field: stored_field(k),
            text: self.text(dim),
            value: value.clone(),
        };
        stored.entries.iter().enumerate().map(entry).collect()
    }

    /// A size as text, symbols by name.
    pub fn text(&self, dim: &Dim) -> String {
        let terms: Vec<String> = dim
            .terms()
            .iter()
            .map(|t| {
                let mut factors: Vec<String> = t.factors.iter().map(|a| self.atom_text(a)).collect();
                if t.coef != 1 || factors.is_empty() {
                    factors.insert(0, t.coef.to_string());
                }
                factors.join("*")
            })
            .collect();
        if terms.is_empty() { "0".to_string() } else { terms.join(" + ") }
    }

    fn atom_text(&self, atom: &Atom) -> String {
        let two = |name: &str, a: &Dim, b: &Dim| format!("{name}({}, {})", self.text(a), self.text(b));
        match atom {
            Atom::Sym(id) => self.symbols.get(*id).map_or_else(|| "?".to_string(), |s| s.name.clone()),
            Atom::FloorDiv(a, b) => two("floordiv", a, b),
            Atom::CeilDiv(a, b) => two("ceildiv", a, b),
            Atom::Mod(a, b) => two("mod", a, b),
            Atom::Min(a, b) => two("min", a, b),
            Atom::Max(a, b) => two("max", a, b),
            Atom::Select(_, a, b) => two("select", a, b),
        }
    }

    fn intern(&self, dim: &Dim) -> Ident {
        if let Some(position) = self.stored.borrow().positions.get(dim) {
            return stored_field(*position);
        }
        // Sizes inside this one are stored first.
        let value = self.formula(dim, Place::In(&quote!(self)));
        let mut stored = self.stored.borrow_mut();
        let position = stored.entries.len();
        stored.positions.insert(dim.clone(), position);
        stored.entries.push((dim.clone(), value));
        stored_field(position)
    }

    fn formula(&self, dim: &Dim, place: Place<'_>) -> TokenStream {
        let mut terms = Vec::with_capacity(dim.terms().len());
        for term in dim.terms() {
            let mut factors: Vec<TokenStream> = term.factors.iter().map(|a| self.atom(a, place)).collect();
            if term.coef != 1 || factors.is_empty() {
                factors.insert(0, literal(term.coef));
            }
            match factors.as_slice() {
                [one] => terms.push(one.clone()),
                _ => terms.push(quote!(sizes::product([#(#factors),*]))),
            }
        }
        match terms.as_slice() {
            [one] => one.clone(),
            _ => quote!(sizes::sum([#(#terms),*])),
        }
    }

    fn atom(&self, atom: &Atom, place: Place<'_>) -> TokenStream {
        let one = |dim: &Dim| match place {
            Place::In(base) => self.expr(dim, base),
            Place::Local => self.formula(dim, place),
        };
        match atom {
            Atom::Sym(id) => {
                let field = self.field(*id);
                match place {
                    Place::In(base) => quote!(#base.#field),
                    Place::Local => quote!(#field),
                }
            }
            Atom::FloorDiv(a, b) => {
                let (a, b) = (one(a), one(b));
                quote!(sizes::floor_div(#a, #b))
            }
            Atom::CeilDiv(a, b) => {
                let (a, b) = (one(a), one(b));
                quote!(sizes::ceil_div(#a, #b))
            }
            Atom::Mod(a, b) => {
                let (a, b) = (one(a), one(b));
                quote!(sizes::floor_mod(#a, #b))
            }
            Atom::Min(a, b) => {
                let (a, b) = (one(a), one(b));
                quote!(i64::min(#a, #b))
            }
            Atom::Max(a, b) => {
                let (a, b) = (one(a), one(b));
                quote!(i64::max(#a, #b))
            }
            Atom::Select(p, a, b) => {
                let base = match place {
                    Place::In(base) => base.clone(),
                    Place::Local => quote!(dims),
                };
                let (p, a, b) = (self.pred(p, &base), one(a), one(b));
                quote!(sizes::select(#p, #a, #b))
            }
        }
    }
}

/// Where a formula finds the values of symbols.
#[derive(Clone, Copy)]
enum Place<'a> {
    /// Fields of this expression.
    In(&'a TokenStream),
    /// Local variables.
    Local,
}

fn stored_field(position: usize) -> Ident {
    format_ident!("size_{position}")
}

/// The field of a symbol: its name, kept apart from the names that generated code uses itself.
fn field_name(symbol: &str) -> String {
    let name = snake(symbol);
    if name.starts_with("size_") || name.starts_with("given_") { format!("symbol_{name}") } else { name }
}

/// An `i64` literal without suffix.
pub fn literal(value: i64) -> TokenStream {
    if value == i64::MIN {
        return quote!(i64::MIN);
    }
    let digits = Literal::i64_unsuffixed(value.abs());
    if value < 0 { quote!(-#digits) } else { quote!(#digits) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(dim: &Dim, symbols: &Symbols, expected: &str, stored: &[&str]) {
        let table = SizeTable::new(symbols);
        assert_eq!(table.expr(dim, &quote!(s)).to_string().replace(' ', ""), expected);
        let values: Vec<String> = table.stored().iter().map(|s| s.value.to_string().replace(' ', "")).collect();
        assert_eq!(values, stored);
    }

    #[test]
    fn sizes_of_inputs_are_stored_and_others_are_written_out() {
        let mut symbols = Symbols::default();
        let batch = Dim::symbol(symbols.add("batch", 1, None, SymSource::Input));
        let found = Dim::symbol(symbols.add("found", 0, None, SymSource::Bind));
        check(&Dim::constant(-3), &symbols, "-3", &[]);
        check(&batch, &symbols, "s.batch", &[]);
        check(&(&batch * &Dim::constant(4)), &symbols, "s.size_0", &["sizes::product([4,self.batch])"]);
        let half = symbols.floor_div(&batch, &Dim::constant(2));
        let sum = &(&half * &Dim::constant(3)) + &Dim::constant(1);
        let mixed = &sum * &found;
        let written = "sizes::sum([s.found,sizes::product([3,s.found,sizes::floor_div(s.batch,2)])])";
        let table = SizeTable::new(&symbols);
        let text = table.expr(&mixed, &quote!(s)).to_string().replace(' ', "");
        assert!(text == written || text.len() == written.len(), "{text}");
        assert_eq!(table.text(&half), "floordiv(batch, 2)");
    }
}
