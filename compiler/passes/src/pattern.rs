//! Looking for what exporters spell out over several nodes: terms that are followed through pointwise Computes.

use graph::expr::{BinOp, Expr, ExprId, UnOp};
use graph::graph::ValueId;
use graph::node::{Combiner, Compute, Node, Op};

use crate::rewrite::Site;

/// An expression of a node.
#[derive(Clone, Copy)]
pub(crate) struct Term<'a> {
    pub(crate) node: &'a Node,
    pub(crate) compute: &'a Compute,
    pub(crate) id: ExprId,
}

/// A reduction that keeps its dims: one accumulator over some axes of a value of the same rank.
pub(crate) struct Reduction<'a> {
    pub(crate) axes: Vec<usize>,
    /// What is accumulated, at the index of the value.
    pub(crate) value: Term<'a>,
    /// The result.
    pub(crate) out: Term<'a>,
}

impl<'a> Term<'a> {
    /// What a pointwise node computes, if it has one result.
    pub(crate) fn of_node(node: &'a Node) -> Option<Term<'a>> {
        let Op::Compute(compute) = &node.op else { return None };
        let [id] = compute.outs[..] else { return None };
        compute.reduce.is_empty().then_some(Term { node, compute, id })
    }

    /// What computes a value, if that is pointwise.
    pub(crate) fn of_value(site: &Site<'a>, value: ValueId) -> Option<Term<'a>> {
        site.definition(value).and_then(|(node, _)| Term::of_node(node))
    }

    /// The expression.
    pub(crate) fn expr(&self) -> Option<&'a Expr> {
        self.compute.exprs.get(self.id)
    }

    fn child(&self, id: ExprId) -> Term<'a> {
        Term { id, ..*self }
    }

    /// The value that this is an element of, in place: at the index of the result, or at 0 where the value repeats.
    pub(crate) fn value(&self, site: &Site<'a>) -> Option<ValueId> {
        let Some(Expr::Load { operand, index, or: None }) = self.expr() else { return None };
        let value = *self.node.operands.get(*operand as usize)?;
        let shape = &site.tensor(value)?.shape;
        let aligned = index.iter().enumerate().all(|(d, at)| match self.compute.exprs.get(*at) {
            Some(Expr::Index(k)) => *k as usize == d,
            Some(Expr::Const(c)) => c.as_i64() == 0 && shape.get(d).is_some_and(|e| e.is(1)),
            _ => false,
        });
        (aligned && index.len() == self.compute.shape.len()).then_some(value)
    }

    /// The same term, or what the pointwise node behind the value it loads computes.
    pub(crate) fn followed(&self, site: &Site<'a>) -> Term<'a> {
        let behind = self.value(site).and_then(|value| Term::of_value(site, value));
        behind.filter(|t| !matches!(t.expr(), Some(Expr::Load { .. }))).unwrap_or(*self)
    }

    pub(crate) fn unary(&self, site: &Site<'a>, op: UnOp) -> Option<Term<'a>> {
        let term = self.followed(site);
        match term.expr() {
            Some(Expr::Unary(found, a)) if *found == op => Some(term.child(*a)),
            _ => None,
        }
    }

    pub(crate) fn binary(&self, site: &Site<'a>, op: BinOp) -> Option<(Term<'a>, Term<'a>)> {
        let term = self.followed(site);
        match term.expr() {
            Some(Expr::Binary(found, a, b)) if *found == op => Some((term.child(*a), term.child(*b))),
            _ => None,
        }
    }

    /// The value if this is a constant.
    pub(crate) fn constant(&self) -> Option<f64> {
        match self.expr() {
            Some(Expr::Const(scalar)) if scalar.dtype.is_float() => Some(scalar.as_f64()),
            _ => None,
        }
    }

    /// The accumulator if this is one.
    pub(crate) fn is_acc(&self) -> bool {
        matches!(self.expr(), Some(Expr::Acc(0)))
    }
}

impl<'a> Reduction<'a> {
    /// The reduction that computes a value.
    pub(crate) fn of_value(site: &Site<'a>, value: ValueId, combiner: Combiner) -> Option<Reduction<'a>> {
        let (node, _) = site.definition(value)?;
        let Op::Compute(compute) = &node.op else { return None };
        let ([acc], [out]) = (&compute.accs[..], &compute.outs[..]) else { return None };
        if acc.combiner != combiner || compute.reduce.iter().any(|e| e.size.is_some()) {
            return None;
        }
        let (value, out) = (Term { node, compute, id: acc.value }, Term { node, compute, id: *out });
        let axes = value.reduced_axes()?;
        Some(Reduction { axes, value, out })
    }
}

impl<'a> Term<'a> {
    /// Dims of the loads that are reduced, where all loads count through the same dims in order and the reduced ones stay
    /// with extent 1.
    fn reduced_axes(&self) -> Option<Vec<usize>> {
        let rank = self.compute.shape.len();
        let mut axes: Option<Vec<usize>> = None;
        for id in crate::algebra::arena::reached(&self.compute.exprs, &[self.id]) {
            let Some(Expr::Load { index, or, .. }) = self.compute.exprs.get(id) else { continue };
            let mut found = Vec::new();
            for (d, at) in index.iter().enumerate() {
                match self.compute.exprs.get(*at)? {
                    Expr::Index(k) if *k as usize == d => {}
                    Expr::Index(k) if *k as usize == rank + found.len() => found.push(d),
                    Expr::Const(c) if c.as_i64() == 0 && self.compute.shape.get(d).is_some_and(|e| e.is(1)) => {}
                    _ => return None,
                }
            }
            let kept = found.iter().all(|d| self.compute.shape.get(*d).is_some_and(|e| e.is(1)));
            let whole = found.len() == self.compute.reduce.len() && index.len() == rank;
            if or.is_some() || !kept || !whole || axes.as_ref().is_some_and(|known| *known != found) {
                return None;
            }
            axes = Some(found);
        }
        axes
    }

    /// The value whose element this is, in a reduction: loads are checked by [`Reduction::of_value`].
    pub(crate) fn reduced_value(&self) -> Option<ValueId> {
        match self.expr()? {
            Expr::Load { operand, .. } => self.node.operands.get(*operand as usize).copied(),
            _ => None,
        }
    }
}
