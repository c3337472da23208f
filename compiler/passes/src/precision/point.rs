//! Computes over narrow operands and results: loads widen, outputs round, and what only moves elements moves narrow ones.

use std::collections::BTreeMap;

use graph::builder::BuildError;
use graph::dtype::DType;
use graph::expr::{Expr, ExprError, ExprId, Exprs, Leaves, Rounding};
use graph::graph::ValueId;
use graph::node::{Compute, Extent, Node};
use graph::scalar::Scalar;

use super::bounds;
use super::choose::Choice;
use crate::algebra::arena::reached;
use crate::rewrite::Site;

/// Whether a Compute computes nothing with the f32 values that it yields: they are elements of operands, or constants,
/// chosen by what is no f32.
pub(super) fn moves(compute: &Compute) -> bool {
    let is_f32 = |id: ExprId| compute.exprs.dtype(id) == DType::F32;
    let mut any = false;
    let plain = reached(&compute.exprs, &compute.outs).into_iter().all(|id| {
        let Some(expr) = compute.exprs.get(id) else { return false };
        any |= is_f32(id);
        match expr {
            Expr::Load { .. } | Expr::Const(_) | Expr::Select(..) => true,
            other => {
                let mut apart = !is_f32(id);
                other.for_each_child(&mut |child| apart &= !is_f32(child));
                apart
            }
        }
    });
    any && plain && compute.reduce.is_empty()
}

/// The node over the new operands, of which some are narrow, with the results narrow that are to be.
pub(super) fn rebuild(
    site: &mut Site<'_>,
    choice: &Choice,
    to: DType,
    node: &Node,
    compute: &Compute,
) -> Result<Vec<ValueId>, BuildError> {
    let operands = site.get_all(&node.operands)?;
    let narrow: Vec<bool> = node.operands.iter().map(|o| choice.is_narrow(*o)).collect();
    let dtypes = operands.iter().map(|o| site.b.dtype(*o)).collect::<Result<Vec<_>, _>>()?;
    let accs = compute.accs.iter().map(|a| a.dtype).collect();
    let mut point = Rebuilt {
        from: &compute.exprs,
        to,
        narrow,
        dtypes,
        accs,
        exprs: Exprs::default(),
        wide: BTreeMap::new(),
        half: BTreeMap::new(),
    };
    let mut new = compute.clone();
    for acc in &mut new.accs {
        acc.value = point.wide(acc.value)?;
    }
    for Extent { size, .. } in &mut new.reduce {
        *size = size.map(|size| point.wide(size)).transpose()?;
    }
    for (out, result) in new.outs.iter_mut().zip(&node.results) {
        *out = if choice.is_narrow(*result) { point.half(*out)? } else { point.wide(*out)? };
    }
    new.exprs = point.exprs;
    site.b.add_compute(new, operands)
}

struct Rebuilt<'a> {
    from: &'a Exprs,
    to: DType,
    /// Which operands are narrow now.
    narrow: Vec<bool>,
    dtypes: Vec<DType>,
    accs: Vec<DType>,
    exprs: Exprs,
    /// New expressions of the old dtype, and of the narrow one.
    wide: BTreeMap<ExprId, ExprId>,
    half: BTreeMap<ExprId, ExprId>,
}

impl Rebuilt<'_> {
    fn add(&mut self, expr: Expr) -> Result<ExprId, ExprError> {
        self.exprs.add(expr, Leaves { operands: &self.dtypes, accs: &self.accs })
    }

    fn cast(&mut self, to: DType, saturate: bool, value: ExprId) -> Result<ExprId, ExprError> {
        self.add(Expr::Cast { to, saturate, rounding: Rounding::Nearest, value })
    }

    /// The expression in its own dtype.
    fn wide(&mut self, root: ExprId) -> Result<ExprId, ExprError> {
        for id in reached(self.from, &[root]) {
            if self.wide.contains_key(&id) {
                continue;
            }
            let Some(expr) = self.from.get(id) else { continue };
            let new = match expr {
                Expr::Load { operand, .. } if self.is_narrow(*operand) => {
                    let load = self.half(id)?;
                    self.cast(DType::F32, false, load)?
                }
                other => {
                    let copy = other.map_children(&mut |child| self.wide.get(&child).copied().unwrap_or(child));
                    self.add(copy)?
                }
            };
            self.wide.insert(id, new);
        }
        self.wide.get(&root).copied().ok_or(ExprError::Order { id: root.0, to: root.0 })
    }

    /// The f32 expression in the narrow dtype: moved where it is moved, rounded where it is computed.
    fn half(&mut self, root: ExprId) -> Result<ExprId, ExprError> {
        if let Some(known) = self.half.get(&root) {
            return Ok(*known);
        }
        let new = match self.from.get(root) {
            Some(Expr::Load { operand, index, or }) if self.is_narrow(*operand) => {
                let index = index.iter().map(|at| self.wide(*at)).collect::<Result<_, _>>()?;
                let or = or.map(|or| self.half(or)).transpose()?;
                self.add(Expr::Load { operand: *operand, index, or })?
            }
            Some(Expr::Select(condition, yes, no)) => {
                let (condition, yes, no) = (self.wide(*condition)?, self.half(*yes)?, self.half(*no)?);
                self.add(Expr::Select(condition, yes, no))?
            }
            Some(Expr::Const(value)) => self.add(Expr::Const(Scalar::from_f64(self.to, value.as_f64())))?,
            _ => {
                let value = self.wide(root)?;
                let saturate = bounds::saturates(self.to) && !bounds::fits(&self.exprs, value, self.to);
                self.cast(self.to, saturate, value)?
            }
        };
        self.half.insert(root, new);
        Ok(new)
    }

    fn is_narrow(&self, operand: u32) -> bool {
        self.narrow.get(operand as usize).copied().unwrap_or(false)
    }
}
