//! Rebuilds the expressions of a node, simplified, without what nothing reaches.

use graph::builder::BuildError;
use graph::dim::Dim;
use graph::dtype::DType;
use graph::expr::{Expr, ExprError, ExprId, Exprs, Leaves};
use graph::graph::ValueId;
use graph::node::{Acc, Compute, Const, Extent, Node, Op, Scatter};
use graph::scalar::Scalar;
use graph::symbol::Symbols;

use super::RULES;
use crate::rewrite::Site;

/// An operand of the node.
pub(crate) struct Operand {
    pub(crate) shape: Vec<Dim>,
    /// What all its elements are, if it is a constant.
    pub(crate) element: Option<Scalar>,
}

/// Adds expressions to an arena in simplified form.
pub(crate) struct Simplifier<'a> {
    pub(crate) exprs: Exprs,
    pub(crate) operands: Vec<Operand>,
    pub(crate) symbols: &'a Symbols,
    dtypes: Vec<DType>,
    accs: Vec<DType>,
    error: Option<ExprError>,
    /// Rules within rules; bounded so that no set of rules can run away.
    depth: usize,
}

const MAX_DEPTH: usize = 64;

impl<'a> Simplifier<'a> {
    fn new(
        site: &'a Site<'_>,
        operands: &[ValueId],
        elements: Vec<Option<Scalar>>,
        accs: Vec<DType>,
    ) -> Result<Simplifier<'a>, BuildError> {
        let mut known = Vec::with_capacity(operands.len());
        let mut dtypes = Vec::with_capacity(operands.len());
        for (value, element) in operands.iter().zip(elements) {
            let ty = site.b.tensor(*value)?;
            dtypes.push(ty.dtype);
            known.push(Operand { shape: ty.shape.clone(), element });
        }
        let symbols = &site.b.model().symbols;
        Ok(Simplifier { exprs: Exprs::default(), operands: known, symbols, dtypes, accs, error: None, depth: 0 })
    }

    /// An expression in simplified form; its children must be.
    pub(crate) fn add(&mut self, expr: Expr) -> ExprId {
        if self.depth < MAX_DEPTH {
            self.depth += 1;
            let simpler = RULES.iter().find_map(|rule| rule(self, &expr));
            self.depth -= 1;
            if let Some(id) = simpler {
                return id;
            }
        }
        match self.exprs.add(expr, Leaves { operands: &self.dtypes, accs: &self.accs }) {
            Ok(id) => id,
            Err(error) => {
                self.error.get_or_insert(error);
                ExprId(0)
            }
        }
    }

    /// The expression at an id.
    pub(crate) fn get(&self, id: ExprId) -> Option<&Expr> {
        self.exprs.get(id)
    }

    /// The constant at an id, if it is one.
    pub(crate) fn constant(&self, id: ExprId) -> Option<Scalar> {
        match self.exprs.get(id) {
            Some(Expr::Const(scalar)) => Some(*scalar),
            _ => None,
        }
    }

    /// Expressions of another arena that the roots reach, in simplified form; for every old id, the new one.
    fn import(&mut self, old: &Exprs, roots: &[ExprId]) -> Result<Vec<ExprId>, BuildError> {
        let mut map = vec![ExprId(0); old.len()];
        for id in reached(old, roots) {
            let Some(expr) = old.get(id) else { continue };
            let expr = expr.map_children(&mut |child| map.get(child.0 as usize).copied().unwrap_or(ExprId(0)));
            map[id.0 as usize] = self.add(expr);
        }
        match self.error.take() {
            Some(error) => Err(error.into()),
            None => Ok(map),
        }
    }
}

/// Ids that the roots reach, children before their readers, in the order of a walk from the roots.
fn reached(exprs: &Exprs, roots: &[ExprId]) -> Vec<ExprId> {
    let mut seen = vec![false; exprs.len()];
    let mut out = Vec::new();
    let mut stack: Vec<(ExprId, bool)> = roots.iter().rev().map(|r| (*r, false)).collect();
    while let Some((id, done)) = stack.pop() {
        if done {
            out.push(id);
            continue;
        }
        let (Some(slot), Some(expr)) = (seen.get_mut(id.0 as usize), exprs.get(id)) else { continue };
        if std::mem::replace(slot, true) {
            continue;
        }
        stack.push((id, true));
        let mut children = Vec::new();
        expr.for_each_child(&mut |child| children.push(child));
        stack.extend(children.into_iter().rev().map(|child| (child, false)));
    }
    out
}

/// A Compute and its operands in simplified form; `None` if they are.
pub(super) fn compute(
    site: &mut Site<'_>,
    old: &Compute,
    node: &Node,
    operands: &[ValueId],
) -> Result<Option<(Compute, Vec<ValueId>)>, BuildError> {
    let elements = elements(site, node);
    let dtypes = old.accs.iter().map(|a| a.dtype).collect();
    let mut simplifier = Simplifier::new(site, operands, elements, dtypes)?;
    let sizes = old.reduce.iter().filter_map(|e| e.size);
    let roots: Vec<ExprId> = sizes.chain(old.accs.iter().map(|a| a.value)).chain(old.outs.iter().copied()).collect();
    let map = simplifier.import(&old.exprs, &roots)?;
    let simple = simplifier.exprs;
    let at = |id: ExprId| map.get(id.0 as usize).copied().unwrap_or(id);
    let outs: Vec<ExprId> = old.outs.iter().map(|o| at(*o)).collect();

    let accs_read = accs_read(&simple, &outs);
    let kept_accs: Vec<&Acc> = old.accs.iter().zip(&accs_read).filter(|(_, read)| **read).map(|(a, _)| a).collect();
    let reduce: &[Extent] = if kept_accs.is_empty() { &[] } else { &old.reduce };
    let mut roots: Vec<ExprId> = reduce.iter().filter_map(|e| e.size).map(at).collect();
    roots.extend(kept_accs.iter().map(|a| at(a.value)));
    roots.extend(&outs);

    let mut clean = Cleaner::new(site, operands, kept_accs.iter().map(|a| a.dtype).collect(), accs_read);
    let map = clean.import(&simple, &roots)?;
    let again = |id: ExprId| map.get(at(id).0 as usize).copied().unwrap_or(id);
    let new = Compute {
        shape: old.shape.clone(),
        reduce: reduce.iter().map(|e| Extent { bound: e.bound.clone(), size: e.size.map(again) }).collect(),
        accs: kept_accs.iter().map(|a| Acc { value: again(a.value), ..(*a).clone() }).collect(),
        outs: old.outs.iter().map(|o| again(*o)).collect(),
        exprs: clean.exprs,
    };
    Ok((new != *old || clean.kept != operands).then_some((new, clean.kept)))
}

/// A Scatter and its operands in simplified form; `None` if they are.
pub(super) fn scatter(
    site: &mut Site<'_>,
    old: &Scatter,
    node: &Node,
    operands: &[ValueId],
) -> Result<Option<(Scatter, Vec<ValueId>)>, BuildError> {
    let elements = elements(site, node);
    let mut simplifier = Simplifier::new(site, operands, elements, Vec::new())?;
    let mut roots = old.index.clone();
    roots.push(old.value);
    let map = simplifier.import(&old.exprs, &roots)?;
    let simple = simplifier.exprs;
    let at = |id: ExprId| map.get(id.0 as usize).copied().unwrap_or(id);
    let roots: Vec<ExprId> = roots.into_iter().map(at).collect();
    let mut clean = Cleaner::new(site, operands, Vec::new(), Vec::new());
    clean.keep(0);
    let map = clean.import(&simple, &roots)?;
    let again = |id: ExprId| map.get(at(id).0 as usize).copied().unwrap_or(id);
    let new = Scatter {
        domain: old.domain.clone(),
        index: old.index.iter().map(|i| again(*i)).collect(),
        value: again(old.value),
        mode: old.mode,
        exprs: clean.exprs,
    };
    Ok((new != *old || clean.kept != operands).then_some((new, clean.kept)))
}

/// The element that all of each operand are, where that is a constant.
fn elements(site: &mut Site<'_>, node: &Node) -> Vec<Option<Scalar>> {
    node.operands.iter().map(|value| element(site, *value)).collect()
}

fn element(site: &mut Site<'_>, value: ValueId) -> Option<Scalar> {
    if let Some((Node { op: Op::Const(Const::Splat(scalar)), .. }, _)) = site.definition(value) {
        return Some(*scalar);
    }
    let ty = site.tensor(value)?;
    let single = ty.shape.iter().all(|extent| extent.is(1)) && ty.dtype != DType::Str;
    let value = site.get(value).ok()?;
    if single { site.b.const_tensor(value)?.get(0) } else { None }
}

/// Which accumulators the results read.
fn accs_read(exprs: &Exprs, outs: &[ExprId]) -> Vec<bool> {
    let mut read = Vec::new();
    for id in reached(exprs, outs) {
        if let Some(Expr::Acc(k)) = exprs.get(id) {
            read.resize(read.len().max(*k as usize + 1), false);
            read[*k as usize] = true;
        }
    }
    read
}

/// Copies what roots reach, and numbers operands and accumulators anew.
struct Cleaner<'a> {
    exprs: Exprs,
    operands: &'a [ValueId],
    dtypes: Vec<DType>,
    kept: Vec<ValueId>,
    kept_dtypes: Vec<DType>,
    accs: Vec<DType>,
    accs_read: Vec<bool>,
}

impl<'a> Cleaner<'a> {
    fn new(site: &Site<'_>, operands: &'a [ValueId], accs: Vec<DType>, accs_read: Vec<bool>) -> Cleaner<'a> {
        let dtypes = operands.iter().map(|v| site.b.dtype(*v).unwrap_or(DType::Bool)).collect();
        let (kept, kept_dtypes) = (Vec::new(), Vec::new());
        Cleaner { exprs: Exprs::default(), operands, dtypes, kept, kept_dtypes, accs, accs_read }
    }

    /// The new position of an operand.
    fn keep(&mut self, operand: u32) -> u32 {
        let Some(value) = self.operands.get(operand as usize) else { return operand };
        let known = self.kept.iter().position(|v| v == value);
        known.unwrap_or_else(|| {
            self.kept.push(*value);
            self.kept_dtypes.push(self.dtypes.get(operand as usize).copied().unwrap_or(DType::Bool));
            self.kept.len() - 1
        }) as u32
    }

    fn import(&mut self, old: &Exprs, roots: &[ExprId]) -> Result<Vec<ExprId>, BuildError> {
        let mut map = vec![ExprId(0); old.len()];
        for id in reached(old, roots) {
            let Some(expr) = old.get(id) else { continue };
            let mut expr = expr.map_children(&mut |child| map.get(child.0 as usize).copied().unwrap_or(ExprId(0)));
            match &mut expr {
                Expr::Load { operand, .. } => *operand = self.keep(*operand),
                Expr::Acc(k) => *k = self.accs_read.iter().take(*k as usize).filter(|read| **read).count() as u32,
                _ => {}
            }
            map[id.0 as usize] = self.exprs.add(expr, Leaves { operands: &self.kept_dtypes, accs: &self.accs })?;
        }
        Ok(map)
    }
}
