//! What is linear in a stage, and which of its dims become one.

use graph::dim::Dim;
use graph::expr::{BinOp, Expr, ExprId, UnOp};
use nest::index::{Affine, IndexSpace};
use nest::kernel::{Port, Stage, Target};
use nest::layout::Access;

use crate::error::PtxError;
use crate::flat::{Memory, Merge, Reads};

/// The load at an expression, or the store of an output, as a linear map.
pub(super) struct Linear {
    /// The load's expression; `Err(k)`: output `k`.
    pub at: Result<ExprId, usize>,
    pub map: Sum,
    pub checks: Vec<(Sum, Dim)>,
}

/// A linear map over the stage's own dims and expressions.
#[derive(Clone)]
pub(super) struct Sum {
    pub affine: Affine,
    pub terms: Vec<(Dim, ExprId)>,
}

impl Sum {
    fn add(mut self, other: &Sum, scale: &Dim) -> Sum {
        self.affine.constant = &self.affine.constant + &(&other.affine.constant * scale);
        for (own, coef) in self.affine.coefs.iter_mut().zip(&other.affine.coefs) {
            *own = &*own + &(coef * scale);
        }
        for (coef, id) in &other.terms {
            let coef = coef * scale;
            match self.terms.iter_mut().find(|(_, known)| known == id) {
                Some((own, _)) => *own = &*own + &coef,
                None => self.terms.push((coef, *id)),
            }
        }
        self.terms.retain(|(coef, _)| !coef.is(0));
        self
    }
}

pub(super) struct Analysis<'a> {
    pub stage: &'a Stage,
    pub reads: Reads<'a>,
    pub results: &'a [Port],
    pub space: &'a IndexSpace,
    pub extents: &'a [Dim],
    pub views: Vec<Linear>,
}

impl Analysis<'_> {
    pub fn port(&self, operand: usize) -> Result<(Memory, Port), PtxError> {
        if let Some(port) = self.reads.operands.get(operand) {
            return Ok((Memory::Operand(operand), port.clone()));
        }
        let kept = operand - self.reads.operands.len();
        let (dtype, shape) = self.reads.kept.get(kept).ok_or(PtxError::Malformed("no such operand"))?;
        let access = Access::dense(shape);
        Ok((Memory::Kept(kept), Port { dtype: *dtype, shape: shape.clone(), access }))
    }

    pub fn find_views(&mut self, parallel: usize, merge: Merge) -> Result<(), PtxError> {
        for (id, expr) in self.stage.exprs.iter() {
            let Expr::Load { operand, index, or } = expr else { continue };
            let (_, port) = self.port(*operand as usize)?;
            if let Some((map, checks)) = self.load(&port, index, or.is_some()) {
                self.views.push(Linear { at: Ok(id), map, checks });
            }
        }
        let outs = if merge == Merge::Updates { &[] } else { self.stage.outs.as_slice() };
        for (k, out) in outs.iter().enumerate() {
            let map = match &out.target {
                Target::Store { result, index } => {
                    let port = self.results.get(*result).ok_or(PtxError::Malformed("no such result"))?;
                    self.linear(port, index)
                }
                Target::Keep => {
                    let first = parallel - self.stage.inner.len();
                    let index: Vec<Dim> = (first..parallel).map(|d| self.space.variable(d)).collect();
                    self.space.affine(&Access::dense(&self.stage.inner).address(&index, self.space.symbols()))
                }
            };
            if let Some(map) = map.filter(|m| m.coefs.iter().skip(parallel).all(|c| c.is(0))) {
                let map = Sum { affine: map, terms: Vec::new() };
                self.views.push(Linear { at: Err(k), map, checks: Vec::new() });
            }
        }
        Ok(())
    }

    /// The address as a linear map of the index variables, where it is one.
    fn linear(&self, port: &Port, index: &[ExprId]) -> Option<Affine> {
        let at = index.iter().map(|i| self.space.polynomial(&self.stage.exprs, *i)).collect::<Option<Vec<_>>>()?;
        let address = self.space.recombine(port.access.address(&at, self.space.symbols()));
        self.space.affine(&address)
    }

    /// The address of a load, and what must be checked before it.
    fn load(&self, port: &Port, index: &[ExprId], bounded: bool) -> Option<(Sum, Vec<(Sum, Dim)>)> {
        let map = match self.linear(port, index) {
            Some(affine) => Sum { affine, terms: Vec::new() },
            None if port.access.block.is_some() => return None,
            None => {
                let mut sum = self.constant(port.access.offset.clone());
                for (i, stride) in index.iter().zip(&port.access.strides) {
                    sum = sum.add(&self.split(*i), stride);
                }
                sum
            }
        };
        let mut checks = Vec::new();
        for (i, extent) in index.iter().zip(&port.shape).filter(|_| bounded) {
            let inside = self.space.polynomial(&self.stage.exprs, *i).is_some_and(|i| {
                let rest = &(extent - &i) - &Dim::constant(1);
                self.space.nonnegative(&i) && self.space.nonnegative(&rest)
            });
            if !inside {
                checks.push((self.split(*i), extent.clone()));
            }
        }
        Some((map, checks))
    }

    fn constant(&self, constant: Dim) -> Sum {
        Sum { affine: Affine { constant, coefs: vec![Dim::constant(0); self.extents.len()] }, terms: Vec::new() }
    }

    /// An i64 expression as a linear map; what is not linear in it becomes a term.
    fn split(&self, id: ExprId) -> Sum {
        let exprs = &self.stage.exprs;
        let known = |id: ExprId| self.space.polynomial(exprs, id);
        if let Some(affine) = known(id).and_then(|dim| self.space.affine(&dim)) {
            return Sum { affine, terms: Vec::new() };
        }
        let fixed = |id: ExprId| known(id).filter(|dim| !self.space.has_variable(dim));
        let zero = self.constant(Dim::constant(0));
        match exprs.get(id) {
            Some(Expr::Unary(UnOp::Neg, a)) => zero.add(&self.split(*a), &Dim::constant(-1)),
            Some(Expr::Binary(BinOp::Add, a, b)) => self.split(*a).add(&self.split(*b), &Dim::constant(1)),
            Some(Expr::Binary(BinOp::Sub, a, b)) => self.split(*a).add(&self.split(*b), &Dim::constant(-1)),
            Some(Expr::Binary(BinOp::Mul, a, b)) => match (fixed(*a), fixed(*b)) {
                (Some(scale), _) => zero.add(&self.split(*b), &scale),
                (_, Some(scale)) => zero.add(&self.split(*a), &scale),
                (None, None) => Sum { terms: vec![(Dim::constant(1), id)], ..zero },
            },
            _ => Sum { terms: vec![(Dim::constant(1), id)], ..zero },
        }
    }

    pub fn view_of(&self, at: Result<ExprId, usize>) -> Option<&Linear> {
        self.views.iter().find(|v| v.at == at)
    }

    /// Index variables that something other than a view looks at.
    fn fixed(&self) -> Vec<bool> {
        let mut fixed = vec![false; self.extents.len()];
        let mut seen = vec![false; self.stage.exprs.len()];
        let mut stack: Vec<ExprId> = self.stage.accs.iter().map(|a| a.value).collect();
        stack.extend(self.stage.reduce.iter().filter_map(|e| e.size));
        for (k, out) in self.stage.outs.iter().enumerate() {
            stack.push(out.value);
            match &out.target {
                Target::Store { index, .. } if self.view_of(Err(k)).is_none() => stack.extend(index),
                Target::Store { .. } | Target::Keep => {}
            }
        }
        while let Some(id) = stack.pop() {
            match seen.get_mut(id.0 as usize) {
                Some(seen) if !*seen => *seen = true,
                Some(_) | None => continue,
            }
            match self.stage.exprs.get(id) {
                Some(Expr::Index(k)) => {
                    if let Some(slot) = fixed.get_mut(*k as usize) {
                        *slot = true;
                    }
                }
                Some(Expr::Load { or, .. }) if let Some(view) = self.view_of(Ok(id)) => {
                    stack.extend(or);
                    let sums = view.checks.iter().map(|(sum, _)| sum);
                    for sum in sums.clone() {
                        for (slot, coef) in fixed.iter_mut().zip(&sum.affine.coefs) {
                            *slot |= !coef.is(0);
                        }
                    }
                    stack.extend(sums.chain([&view.map]).flat_map(|sum| sum.terms.iter().map(|(_, id)| *id)));
                }
                Some(other) => other.for_each_child(&mut |c| stack.push(c)),
                None => {}
            }
        }
        for (slot, extent) in fixed.iter_mut().rev().zip(self.stage.reduce.iter().rev()) {
            *slot |= extent.size.is_some();
        }
        fixed
    }

    /// The parallel dims behind the outer ones in the order in which the first output lies in memory, then the reductions.
    fn order(&self, parallel: usize, outer: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.extents.len()).collect();
        let Some(map) = self.view_of(Err(0)).map(|v| &v.map.affine) else { return order };
        let weight = |d: &usize| {
            let coef = map.coefs.get(*d).cloned().unwrap_or_default();
            let factors = coef.terms().iter().map(|t| t.factors.len()).max().unwrap_or(0);
            let number = coef.terms().iter().map(|t| t.coef.unsigned_abs()).max().unwrap_or(0);
            std::cmp::Reverse((factors, number))
        };
        if let Some(inner) = order.get_mut(outer..parallel) {
            let known = inner.iter().all(|d| map.coefs.get(*d).is_some_and(|c| !c.is(0)) || self.extents[*d].is(1));
            if known {
                inner.sort_by_key(weight);
            }
        }
        order
    }

    /// Dims in runs that become one dim each, in order; extents of 1 that nothing looks at are in no run.
    pub fn groups(&self, parallel: usize, outer: usize) -> Vec<Vec<usize>> {
        let fixed = self.fixed();
        let part = |d: usize| if d < outer { 0 } else { 1 + usize::from(d >= parallel) };
        let mut groups: Vec<Vec<usize>> = Vec::new();
        for d in self.order(parallel, outer) {
            let free = !fixed[d];
            if free && part(d) > 0 && self.extents[d].is(1) {
                continue;
            }
            match groups.last_mut() {
                Some(group) if free && part(d) > 0 && self.joins(group, d, &part, &fixed) => group.push(d),
                _ => groups.push(vec![d]),
            }
        }
        groups
    }

    /// Whether dim `d` continues a run.
    fn joins(&self, group: &[usize], d: usize, part: &dyn Fn(usize) -> usize, fixed: &[bool]) -> bool {
        let Some(last) = group.last().copied() else { return false };
        part(last) == part(d)
            && !fixed[last]
            && self.views.iter().all(|v| {
                let (Some(high), Some(low)) = (v.map.affine.coefs.get(last), v.map.affine.coefs.get(d)) else {
                    return false;
                };
                *high == low * &self.extents[d]
            })
    }
}
