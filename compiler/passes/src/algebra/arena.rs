//! Rebuilds the expressions of a node, simplified, without what nothing reaches.

use graph::builder::BuildError;
use graph::dim::Dim;
use graph::dtype::DType;
use graph::expr::{Expr, ExprError, ExprId, Exprs, Leaves};
use graph::graph::ValueId;
use graph::node::{Acc, Compute, Const, Extent, Node, Op, Scatter};
use graph::scalar::Scalar;
use graph::tensor::Tensor;

use super::operand::Count;
use super::space::Space;
use super::{RULES, index, operand};
use crate::rewrite::Site;

/// An operand of the node.
pub(crate) struct Operand {
    pub(crate) shape: Vec<Dim>,
    /// What all its elements are, if it is a constant.
    pub(crate) element: Option<Scalar>,
    /// How its elements count up, if it is such a constant.
    pub(super) count: Option<Count>,
    /// Its element at an index, if that reads nothing.
    pub(super) body: Option<(Exprs, ExprId)>,
}

/// Adds expressions to an arena in simplified form.
pub(crate) struct Simplifier {
    pub(crate) exprs: Exprs,
    pub(crate) operands: Vec<Operand>,
    pub(super) space: Space,
    /// For every expression, its polynomial and the work that computes it.
    polynomials: Vec<(Option<Dim>, usize)>,
    dtypes: Vec<DType>,
    accs: Vec<DType>,
    error: Option<ExprError>,
    /// Rules within rules; bounded so that no set of rules can run away.
    depth: usize,
}

const MAX_DEPTH: usize = 64;

impl Simplifier {
    fn new(site: &Site<'_>, operands: Vec<(DType, Operand)>, accs: Vec<DType>, extents: Vec<Dim>) -> Simplifier {
        let symbols = &site.b.model().symbols;
        let (dtypes, operands) = operands.into_iter().unzip();
        Simplifier {
            exprs: Exprs::default(),
            operands,
            space: Space::new(symbols, extents),
            polynomials: Vec::new(),
            dtypes,
            accs,
            error: None,
            depth: 0,
        }
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
        self.add_plain(expr)
    }

    /// An expression as it is.
    pub(super) fn add_plain(&mut self, expr: Expr) -> ExprId {
        match self.exprs.add(expr, Leaves { operands: &self.dtypes, accs: &self.accs }) {
            Ok(id) => {
                if id.0 as usize == self.polynomials.len() {
                    let known = self.measure(id);
                    self.polynomials.push(known);
                }
                id
            }
            Err(error) => {
                self.error.get_or_insert(error);
                ExprId(0)
            }
        }
    }

    /// Polynomial and work of a new expression.
    fn measure(&self, id: ExprId) -> (Option<Dim>, usize) {
        match self.exprs.get(id) {
            Some(Expr::Const(value)) if value.dtype == DType::I64 => (Some(Dim::constant(value.as_i64())), 0),
            Some(Expr::Index(k)) => (Some(self.space.index(*k)), 0),
            Some(Expr::Dim(dim)) => (Some(dim.clone()), 0),
            Some(Expr::Binary(op, a, b)) => {
                let dim = match (self.polynomial(*a), self.polynomial(*b)) {
                    (Some(a), Some(b)) => self.space.binary(*op, &a, &b),
                    _ => None,
                };
                (dim, index::work(*op) + self.work(*a) + self.work(*b))
            }
            _ => (None, 0),
        }
    }

    /// The polynomial of an index expression.
    pub(super) fn polynomial(&self, id: ExprId) -> Option<Dim> {
        self.polynomials.get(id.0 as usize).and_then(|(dim, _)| dim.clone())
    }

    /// The work that computes an index expression.
    pub(super) fn work(&self, id: ExprId) -> usize {
        self.polynomials.get(id.0 as usize).map_or(0, |(_, work)| *work)
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
pub(crate) fn reached(exprs: &Exprs, roots: &[ExprId]) -> Vec<ExprId> {
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

/// A Compute and its new operands in simplified form; `None` if they are.
pub(crate) fn compute(
    site: &mut Site<'_>,
    old: &Compute,
    old_operands: &[ValueId],
) -> Result<Option<(Compute, Vec<ValueId>)>, BuildError> {
    let operands = &site.get_all(old_operands)?[..];
    let known = known_operands(site, old_operands);
    let dtypes = old.accs.iter().map(|a| a.dtype).collect();
    let extents = old.shape.iter().chain(old.reduce.iter().map(|e| &e.bound)).cloned().collect();
    let mut simplifier = Simplifier::new(site, known, dtypes, extents);
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

/// A Scatter and its new operands in simplified form; `None` if they are.
pub(super) fn scatter(
    site: &mut Site<'_>,
    old: &Scatter,
    old_operands: &[ValueId],
) -> Result<Option<(Scatter, Vec<ValueId>)>, BuildError> {
    let operands = &site.get_all(old_operands)?[..];
    let known = known_operands(site, old_operands);
    let mut simplifier = Simplifier::new(site, known, Vec::new(), old.domain.clone());
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

/// What is known of the operands.
fn known_operands(site: &mut Site<'_>, operands: &[ValueId]) -> Vec<(DType, Operand)> {
    operands
        .iter()
        .map(|value| {
            let ty = site.tensor(*value);
            let (dtype, shape) = ty.map_or((DType::Bool, Vec::new()), |t| (t.dtype, t.shape.clone()));
            let tensor = small_constant(site, *value, dtype, &shape);
            let element = tensor.as_ref().and_then(Tensor::as_splat).or_else(|| splat(site, *value));
            let count = tensor.as_ref().filter(|_| element.is_none()).and_then(Count::of);
            (dtype, Operand { shape, element, count, body: body(site, *value) })
        })
        .collect()
}

/// A constant that is small enough to look at every element.
fn small_constant(site: &mut Site<'_>, value: ValueId, dtype: DType, shape: &[Dim]) -> Option<Tensor> {
    let count = Dim::product(shape).as_size()?;
    let worth = count == 1 || (dtype == DType::I64 && count <= operand::COUNTED);
    if !worth || dtype == DType::Str {
        return None;
    }
    let value = site.get(value).ok()?;
    site.b.const_tensor(value)
}

fn splat(site: &Site<'_>, value: ValueId) -> Option<Scalar> {
    match site.definition(value)? {
        (Node { op: Op::Const(Const::Splat(scalar)), .. }, _) => Some(*scalar),
        _ => None,
    }
}

/// The expression of a value that reads nothing, if computing it again is little work.
fn body(site: &Site<'_>, value: ValueId) -> Option<(Exprs, ExprId)> {
    let (node, position) = site.definition(value)?;
    let Op::Compute(compute) = &node.op else { return None };
    let root = *compute.outs.get(position)?;
    let small = node.operands.is_empty() && compute.reduce.is_empty() && compute.accs.is_empty();
    (small && reached(&compute.exprs, &[root]).len() <= operand::INLINED).then(|| (compute.exprs.clone(), root))
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
