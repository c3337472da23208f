//! Reads through views that only add or drop dims of extent 1.
//!
//! Before: `views` has made one map of each chain. After: no Compute loads from such a view; it loads from what the view
//! shows. Regions still read the view.
//!
//! ```text
//! %1 = compute [1, n] (%0) { load 0 [i1] } · %2 = compute [1, n] (%1) { neg (load 0 [0, i1]) }
//!   → %2 = compute [1, n] (%0) { neg (load 0 [i1]) }
//! ```

use graph::builder::BuildError;
use graph::expr::{Expr, ExprId, Exprs, Leaves};
use graph::graph::{Model, ValueId};
use graph::node::{Acc, Compute, Extent, Node, Op};
use graph::scalar::Scalar;

use crate::map::{self, Map};
use crate::rewrite::{Patch, Site, Stateless, rewrite};
use crate::{Changes, Ctx, Pass, PassError};

pub(crate) const PASS: Pass = Pass {
    name: "unit_views",
    run,
    reason: "a pointwise reader is then next to the region that feeds it",
    after: &["views", "pointwise_first"],
    before: &["cse", "dce"],
};

fn run(model: &mut Model, ctx: &Ctx<'_>) -> Result<Changes, PassError> {
    rewrite(model, ctx, PASS.name, &mut Stateless(rule))
}

fn rule(site: &mut Site<'_>, node: &Node) -> Result<Patch, BuildError> {
    let Op::Compute(compute) = &node.op else { return Ok(None) };
    let views: Vec<Option<Map<'_>>> = node.operands.iter().map(|v| unit_view(site, *v)).collect();
    // The source, and the index into it; `None` stands for 0.
    let through = |operand: u32, index: &[ExprId]| -> Option<(ValueId, Vec<Option<ExprId>>)> {
        let view = views.get(operand as usize)?.as_ref()?;
        let (mut at, mut kept) = (Vec::with_capacity(view.index.len()), Vec::new());
        for id in view.index {
            at.push(match view.compute.exprs.get(*id)? {
                Expr::Index(k) => {
                    kept.push(*k as usize);
                    Some(*index.get(*k as usize)?)
                }
                _ => None,
            });
        }
        let zero = |id: &ExprId| matches!(compute.exprs.get(*id), Some(Expr::Const(c)) if c.as_i64() == 0);
        let dropped = index.iter().enumerate().filter(|(d, _)| !kept.contains(d)).all(|(_, id)| zero(id));
        dropped.then_some((view.source, at))
    };
    let fires = compute.exprs.iter().any(|(_, e)| match e {
        Expr::Load { operand, index, .. } => through(*operand, index).is_some(),
        _ => false,
    });
    if !fires {
        return Ok(None);
    }
    let mut operands = node.operands.clone();
    let dtypes = |operands: &[ValueId]| operands.iter().filter_map(|v| site.tensor(*v)).map(|t| t.dtype).collect();
    let mut known: Vec<graph::dtype::DType> = dtypes(&operands);
    let accs: Vec<graph::dtype::DType> = compute.accs.iter().map(|a| a.dtype).collect();
    let (mut exprs, mut ids) = (Exprs::default(), Vec::with_capacity(compute.exprs.len()));
    for (_, expr) in compute.exprs.iter() {
        let resolve = |id: ExprId| ids.get(id.0 as usize).copied().unwrap_or(id);
        let moved = match expr {
            Expr::Load { operand, index, or } => through(*operand, index).map(|moved| (moved, or.map(resolve))),
            _ => None,
        };
        let expr = match moved {
            None => expr.map_children(&mut |child| resolve(child)),
            Some(((source, at), or)) => {
                let position = operands.iter().position(|v| *v == source).unwrap_or(operands.len());
                if position == operands.len() {
                    operands.push(source);
                    known = dtypes(&operands);
                }
                let mut index = Vec::with_capacity(at.len());
                for id in at {
                    let leaves = Leaves { operands: &known, accs: &accs };
                    index.push(match id {
                        Some(id) => resolve(id),
                        None => exprs.add(Expr::Const(Scalar::i64(0)), leaves)?,
                    });
                }
                Expr::Load { operand: position as u32, index, or }
            }
        };
        ids.push(exprs.add(expr, Leaves { operands: &known, accs: &accs })?);
    }
    let at = |id: ExprId| ids.get(id.0 as usize).copied().unwrap_or(id);
    let new = Compute {
        shape: compute.shape.clone(),
        reduce: compute.reduce.iter().map(|e| Extent { bound: e.bound.clone(), size: e.size.map(at) }).collect(),
        accs: compute.accs.iter().map(|a| Acc { value: at(a.value), ..a.clone() }).collect(),
        outs: compute.outs.iter().map(|o| at(*o)).collect(),
        exprs,
    };
    let operands = site.get_all(&operands)?;
    site.b.add_compute(new, operands).map(Some)
}

/// The map that defines a value, if it only adds or drops dims of extent 1 and keeps the order of the others.
fn unit_view<'a>(site: &Site<'a>, value: ValueId) -> Option<Map<'a>> {
    let view = map::of_value(site.old, site.facts, value)?;
    let source = site.tensor(view.source)?;
    let shape = &view.compute.shape;
    let mut last = None;
    for (at, extent) in view.index.iter().zip(&source.shape) {
        match view.compute.exprs.get(*at)? {
            Expr::Index(k) if last.is_none_or(|l| l < *k) && shape.get(*k as usize) == Some(extent) => last = Some(*k),
            Expr::Const(c) if c.as_i64() == 0 && extent.is(1) => {}
            _ => return None,
        }
    }
    let used = |k: usize| {
        view.index.iter().any(|at| matches!(view.compute.exprs.get(*at), Some(Expr::Index(i)) if *i as usize == k))
    };
    shape.iter().enumerate().all(|(k, extent)| used(k) || extent.is(1)).then_some(view)
}
