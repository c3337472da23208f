//! What may be taken for equal: sizes under the model's guards, and types made of them.

use std::collections::{BTreeMap, BTreeSet};

use crate::dim::{Dim, Pred, SymId};
use crate::graph::Model;
use crate::symbol::Symbols;
use crate::ty::{TensorType, Type};

/// Equalities that the guards of a model assert.
pub(super) struct Facts<'a> {
    symbols: &'a Symbols,
    /// Symbols that are always another symbol or a constant.
    replace: BTreeMap<SymId, Dim>,
    /// Differences that are always 0.
    zero: BTreeSet<Dim>,
}

impl<'a> Facts<'a> {
    pub(super) fn new(model: &'a Model) -> Facts<'a> {
        let mut facts = Facts { symbols: &model.symbols, replace: BTreeMap::new(), zero: BTreeSet::new() };
        for guard in &model.guards {
            facts.assume(&guard.pred);
        }
        facts
    }

    fn assume(&mut self, pred: &Pred) {
        match pred {
            Pred::Eq(a, b) => self.assume_equal(&self.reduced(a), &self.reduced(b)),
            Pred::And(ps) => ps.iter().for_each(|p| self.assume(p)),
            Pred::Const(_) | Pred::Le(..) | Pred::Divides(..) | Pred::Not(_) | Pred::Or(_) => {}
        }
    }

    fn assume_equal(&mut self, a: &Dim, b: &Dim) {
        let simple = |d: &Dim| d.as_symbol().is_some() || d.as_const().is_some();
        let (symbol, value) = match (a.as_symbol(), b.as_symbol()) {
            (Some(s), _) if simple(b) && a != b => (s, b),
            (_, Some(s)) if simple(a) && a != b => (s, a),
            _ => {
                self.zero.insert(a - b);
                self.zero.insert(b - a);
                return;
            }
        };
        for known in self.replace.values_mut().filter(|known| known.as_symbol() == Some(symbol)) {
            *known = value.clone();
        }
        self.replace.insert(symbol, value.clone());
    }

    fn reduced(&self, dim: &Dim) -> Dim {
        if self.replace.is_empty() {
            return dim.clone();
        }
        self.symbols.substitute(dim, &|id| self.replace.get(&id).cloned())
    }

    /// Whether two sizes are the same.
    pub(super) fn same(&self, a: &Dim, b: &Dim) -> bool {
        a == b || self.zero.contains(&(a - b)) || {
            let (a, b) = (self.reduced(a), self.reduced(b));
            a == b || self.zero.contains(&(&a - &b))
        }
    }

    /// Whether two types are the same.
    pub(super) fn same_type(&self, a: &Type, b: &Type) -> bool {
        self.fits(a, b, &BTreeSet::new())
    }

    /// Whether two shapes are the same.
    pub(super) fn same_shape(&self, a: &[Dim], b: &[Dim]) -> bool {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| self.same(a, b))
    }

    /// Whether a value of type `found` can be had as `expected`, whose extents that mention a symbol of `free` take any size.
    pub(super) fn fits(&self, expected: &Type, found: &Type, free: &BTreeSet<SymId>) -> bool {
        match (expected, found) {
            (Type::Tensor(a), Type::Tensor(b)) => self.tensor_fits(a, b, free),
            (Type::Seq(a), Type::Seq(b)) | (Type::Opt(a), Type::Opt(b)) => self.fits(a, b, free),
            (Type::Map { key: k, value: a }, Type::Map { key: l, value: b }) => k == l && self.fits(a, b, free),
            (Type::Ragged { dtype, rank }, Type::Tensor(t)) => {
                *dtype == t.dtype && rank.is_none_or(|rank| rank == t.rank())
            }
            (Type::Ragged { dtype, rank }, Type::Ragged { dtype: other, rank: found }) => {
                dtype == other && (rank.is_none() || rank == found)
            }
            (Type::Tensor(_) | Type::Seq(_) | Type::Opt(_) | Type::Map { .. } | Type::Ragged { .. }, _) => false,
        }
    }

    fn tensor_fits(&self, expected: &TensorType, found: &TensorType, free: &BTreeSet<SymId>) -> bool {
        expected.dtype == found.dtype
            && expected.rank() == found.rank()
            && expected.shape.iter().zip(&found.shape).all(|(a, b)| self.same(a, b) || mentions(a, free))
    }
}

/// Whether a size mentions a symbol of a set.
pub(super) fn mentions(dim: &Dim, set: &BTreeSet<SymId>) -> bool {
    let mut found = false;
    if !set.is_empty() {
        dim.for_each_symbol(&mut |id| found |= set.contains(&id));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Guard;
    use crate::symbol::SymSource;

    #[test]
    fn guards_make_sizes_the_same() {
        let mut model = Model::default();
        let [a, b, c] = ["a", "b", "c"].map(|n| Dim::symbol(model.symbols.add(n, 0, None, SymSource::Input)));
        let guard =
            |x: &Dim, y: &Dim| Guard { pred: Pred::Eq(x.clone(), y.clone()), origin: None, what: String::new() };
        model.guards = vec![guard(&a, &b), guard(&b, &Dim::constant(4)), guard(&(&c * &c), &(&a + &c))];
        let facts = Facts::new(&model);
        assert!(facts.same(&a, &Dim::constant(4)));
        assert!(facts.same(&(&a + &c), &(&b + &c)));
        assert!(facts.same(&(&c * &c), &(&Dim::constant(4) + &c)));
        assert!(!facts.same(&c, &a));
    }
}
