//! Reductions over a dim that a reshape made of several, in another order than memory has them: each of these becomes a dim of its
//! own, the one whose elements lie next to each other last, so that addresses are linear.
//!
//! ```text
//! reduce [24]   load 0 [q / 6, q % 6 / 3, q % 3] of [4, 2, 3], channels innermost   ->   reduce [2, 3, 4]   load 0 [r2, r0, r1]
//! ```

use std::collections::{BTreeSet, HashMap};

use graph::dim::{Atom, Dim, SymId, Term};
use graph::expr::{BinOp, Expr, ExprError};
use graph::node::{Combiner, Extent};
use graph::symbol::Symbols;

use crate::fuse::{Fused, FusedOperand, Rewriter};
use crate::layout::Access;

impl Fused {
    /// Splits reductions where all indices of loads are made of digits of them; `access` says where an operand lies. Only sums, products
    /// and extremes, whose steps may come in any order.
    pub fn straighten(&mut self, symbols: &Symbols, access: &dyn Fn(&FusedOperand) -> Access) -> Result<(), ExprError> {
        let ordered = |c: Combiner| {
            matches!(c, Combiner::ArgMax { .. } | Combiner::ArgMin { .. } | Combiner::Any | Combiner::All)
        };
        if self.reduce.is_empty() || self.accs.iter().any(|a| ordered(a.combiner)) {
            return Ok(());
        }
        if self.reduce.iter().any(|e| e.size.is_some() || e.bound.as_const().is_none()) {
            return Ok(());
        }
        if self.is_linear(symbols, access) {
            return Ok(());
        }
        let digits: Option<Vec<Vec<i64>>> = (0..self.reduce.len()).map(|k| self.digits(k, symbols)).collect();
        let Some(digits) = digits.filter(|d| d.iter().any(|own| own.len() > 1)) else { return Ok(()) };
        let mut sums: Vec<Vec<(i64, usize)>> = Vec::new();
        let mut extents: Vec<i64> = Vec::new();
        for own in &digits {
            let strides = own.iter().rev().scan(1, |stride, extent| {
                let here = *stride;
                *stride *= extent;
                Some(here)
            });
            let mut strides: Vec<i64> = strides.collect();
            strides.reverse();
            sums.push(strides.into_iter().enumerate().map(|(d, stride)| (stride, extents.len() + d)).collect());
            extents.extend(own);
        }
        let mut new = self.over(&sums, &extents)?;
        new.simplify(symbols)?;
        let order = new.order(symbols, access);
        let moved: Vec<Vec<(i64, usize)>> = (0..extents.len())
            .map(|k| order.iter().position(|from| *from == k).map(|to| (1, to)).into_iter().collect())
            .collect();
        let extents: Vec<i64> = order.iter().filter_map(|k| extents.get(*k).copied()).collect();
        *self = new.over(&moved, &extents)?;
        self.simplify(symbols)
    }

    /// Whether all addresses are linear.
    fn is_linear(&self, symbols: &Symbols, access: &dyn Fn(&FusedOperand) -> Access) -> bool {
        let space = self.space(symbols);
        self.exprs.iter().all(|(_, expr)| {
            let Expr::Load { operand, index, .. } = expr else { return true };
            let at = index.iter().map(|i| space.polynomial(&self.exprs, *i)).collect::<Option<Vec<Dim>>>();
            self.operands.get(*operand as usize).zip(at).is_none_or(|(operand, at)| {
                space.affine(&space.recombine(access(operand).address(&at, space.symbols()))).is_some()
            })
        })
    }

    /// The extents of the digits of reduction `k` that indices of loads are made of, the last one fastest; `None`, if they use it in
    /// another way.
    fn digits(&self, k: usize, symbols: &Symbols) -> Option<Vec<i64>> {
        let extent = self.reduce.get(k)?.bound.as_const()?;
        let space = self.space(symbols);
        let variable = space.variable(self.shape.len() + k).as_symbol()?;
        let mut cuts = BTreeSet::new();
        for (_, expr) in self.exprs.iter() {
            let Expr::Load { index, .. } = expr else { continue };
            for at in index {
                cut(&space.polynomial(&self.exprs, *at)?, variable, &mut cuts)?;
            }
        }
        let (mut out, mut below) = (Vec::new(), 1);
        for cut in cuts.into_iter().filter(|c| *c > 1 && *c < extent).chain([extent]) {
            if cut % below != 0 {
                return None;
            }
            out.push(cut / below);
            below = cut;
        }
        out.reverse();
        Some(out)
    }

    /// The reductions in the order in which the largest operand lies, those far apart first.
    fn order(&self, symbols: &Symbols, access: &dyn Fn(&FusedOperand) -> Access) -> Vec<usize> {
        let size = |o: &&FusedOperand| Dim::product(&o.shape).as_const();
        let mut order: Vec<usize> = (0..self.reduce.len()).collect();
        let Some(largest) = self.operands.iter().max_by_key(size) else { return order };
        let (space, access) = (self.space(symbols), access(largest));
        let strides = self.exprs.iter().find_map(|(_, expr)| {
            let Expr::Load { operand, index, .. } = expr else { return None };
            self.operands.get(*operand as usize).filter(|o| *o == largest)?;
            let at = index.iter().map(|i| space.polynomial(&self.exprs, *i)).collect::<Option<Vec<Dim>>>()?;
            let affine = space.affine(&space.recombine(access.address(&at, space.symbols())))?;
            affine.coefs.iter().skip(self.shape.len()).map(Dim::as_const).collect::<Option<Vec<i64>>>()
        });
        if let Some(strides) = strides {
            order.sort_by_key(|k| std::cmp::Reverse(strides.get(*k).copied()));
        }
        order
    }

    /// The same group over other reductions: reduction `k` is the sum of so many times each of the new ones.
    fn over(&self, sums: &[Vec<(i64, usize)>], extents: &[i64]) -> Result<Fused, ExprError> {
        let rank = self.shape.len();
        let mut rewriter = Rewriter::new(self.operands.clone(), self.accs.iter().map(|a| a.dtype).collect());
        let mut map = HashMap::new();
        for (id, expr) in self.exprs.iter() {
            let new = match expr {
                Expr::Index(k) if *k as usize >= rank => {
                    let mut sum = rewriter.int(0)?;
                    for (stride, to) in sums.get(*k as usize - rank).into_iter().flatten() {
                        let (index, stride) = (rewriter.add(Expr::Index((rank + to) as u32))?, rewriter.int(*stride)?);
                        let part = rewriter.add(Expr::Binary(BinOp::Mul, index, stride))?;
                        sum = rewriter.add(Expr::Binary(BinOp::Add, sum, part))?;
                    }
                    sum
                }
                other => {
                    let copy = other.map_children(&mut |e| map.get(&e).copied().unwrap_or(e));
                    rewriter.add(copy)?
                }
            };
            map.insert(id, new);
        }
        let mut out = self.clone();
        out.install(rewriter, &map);
        out.reduce = extents.iter().map(|e| Extent { bound: Dim::constant(*e), size: None }).collect();
        Ok(out)
    }
}

/// Adds where the digits of a variable meet; `None`, if it is used in another way than by digits.
fn cut(dim: &Dim, variable: SymId, cuts: &mut BTreeSet<i64>) -> Option<()> {
    let mentions = |dim: &Dim| {
        let mut found = false;
        dim.for_each_symbol(&mut |s| found |= s == variable);
        found
    };
    for atom in dim.terms().iter().flat_map(|t| &t.factors) {
        if !mentions(&Dim::atom(atom.clone())) {
            continue;
        }
        match atom {
            Atom::Sym(_) => {}
            Atom::FloorDiv(x, by) if x.as_symbol() == Some(variable) => {
                cuts.insert(by.as_const()?);
            }
            Atom::Mod(x, by) if x.as_symbol() == Some(variable) => {
                cuts.insert(by.as_const()?);
            }
            Atom::Mod(x, by) => {
                let [Term { factors, coef: 1 }] = x.terms() else { return None };
                let [Atom::FloorDiv(x, below)] = factors.as_slice() else { return None };
                let below = below.as_const().filter(|_| x.as_symbol() == Some(variable))?;
                cuts.insert(below);
                cuts.insert(below.checked_mul(by.as_const()?)?);
            }
            Atom::FloorDiv(..) | Atom::CeilDiv(..) | Atom::Min(..) | Atom::Max(..) | Atom::Select(..) => return None,
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use graph::dtype::DType;
    use graph::expr::{ExprId, Exprs, Leaves};
    use graph::graph::ValueId;
    use graph::node::Acc;
    use graph::scalar::Scalar;

    use super::*;

    fn dims(shape: &[i64]) -> Vec<Dim> {
        shape.iter().copied().map(Dim::constant).collect()
    }

    /// A reduction of `[4, 2, 3]` (channels, height, width) to one element over one dim of 24, whose last digits are columns.
    fn group(combiner: Combiner) -> Fused {
        let leaves = Leaves { operands: &[DType::F32], accs: &[DType::F32] };
        let mut exprs = Exprs::default();
        let q = exprs.add(Expr::Index(1), leaves).unwrap();
        let number = |exprs: &mut Exprs, n: i64| exprs.add(Expr::Const(Scalar::i64(n)), leaves).unwrap();
        let (three, six, two) = (number(&mut exprs, 3), number(&mut exprs, 6), number(&mut exprs, 2));
        let binary = |exprs: &mut Exprs, op, a: ExprId, b: ExprId| exprs.add(Expr::Binary(op, a, b), leaves).unwrap();
        let c = binary(&mut exprs, BinOp::FloorDiv, q, six);
        let rows = binary(&mut exprs, BinOp::FloorDiv, q, three);
        let h = binary(&mut exprs, BinOp::Mod, rows, two);
        let w = binary(&mut exprs, BinOp::Mod, q, three);
        let value = exprs.add(Expr::Load { operand: 0, index: vec![c, h, w], or: None }, leaves).unwrap();
        let out = exprs.add(Expr::Acc(0), leaves).unwrap();
        Fused {
            shape: dims(&[1]),
            operands: vec![FusedOperand { value: ValueId(0), dtype: DType::F32, shape: dims(&[4, 2, 3]) }],
            reduce: vec![Extent { bound: Dim::constant(24), size: None }],
            exprs,
            accs: vec![Acc { combiner, dtype: DType::F32, value }],
            outs: vec![out],
            results: vec![ValueId(1)],
            origins: Vec::new(),
        }
    }

    /// The extents after straightening, and the strides of the operand along them.
    fn check(combiner: Combiner, strides: [i64; 3], extents: &[i64], walked: Option<&[i64]>) {
        let symbols = Symbols::default();
        let mut fused = group(combiner);
        let access = Access { offset: Dim::constant(0), strides: dims(&strides), block: None };
        fused.straighten(&symbols, &|_| access.clone()).unwrap();
        let found: Vec<i64> = fused.reduce.iter().filter_map(|e| e.bound.as_const()).collect();
        assert_eq!(found, extents);
        let space = fused.space(&symbols);
        let found = fused.exprs.iter().find_map(|(_, expr)| {
            let Expr::Load { index, .. } = expr else { return None };
            let at: Vec<Dim> = index.iter().filter_map(|i| space.polynomial(&fused.exprs, *i)).collect();
            let affine = space.affine(&space.recombine(access.address(&at, space.symbols())))?;
            affine.coefs.iter().skip(1).map(Dim::as_const).collect::<Option<Vec<i64>>>()
        });
        assert_eq!(found.as_deref(), walked);
    }

    #[test]
    fn digits_become_dims_in_the_order_of_memory() {
        check(Combiner::Sum, [6, 3, 1], &[24], Some(&[1]));
        check(Combiner::Sum, [1, 12, 4], &[2, 3, 4], Some(&[12, 4, 1]));
    }

    #[test]
    fn positions_keep_their_order() {
        check(Combiner::ArgMax { last: false }, [1, 12, 4], &[24], None);
    }
}
