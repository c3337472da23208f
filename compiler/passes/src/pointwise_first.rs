//! Moves pointwise work before what only moves its operand: scale, cast and activation then stand behind the contraction that
//! they belong to, and the view stands before its reader.
//!
//! Before: `views` has made one map of each chain. After: no Compute that applies an expression to the elements of one
//! operand in place reads a permutation or reshape that nothing else reads. The number of elements stays, so nothing is
//! computed more often.
//!
//! ```text
//! %1 = compute [4, 2] (%0) { load 0 [i1, i0] }        %1 = compute [2, 4] (%0) { mul (load 0 [i0, i1]), 0.5 }
//! %2 = compute [4, 2] (%1) { mul (load …), 0.5 }  →   %2 = compute [4, 2] (%1) { load 0 [i1, i0] }
//! ```

use graph::builder::BuildError;
use graph::expr::{Expr, ExprId, Exprs, Leaves};
use graph::graph::{Model, ValueId};
use graph::node::{Compute, Node, Op};

use crate::algebra::space::Space;
use crate::map;
use crate::rewrite::{Patch, Site, Stateless, rewrite};
use crate::{Changes, Ctx, Pass, PassError};

pub(crate) const PASS: Pass = Pass {
    name: "pointwise_first",
    run,
    reason: "an epilogue must stand next to its contraction",
    after: &["views"],
    before: &["relabel", "cse", "dce"],
};

fn run(model: &mut Model, ctx: &Ctx<'_>) -> Result<Changes, PassError> {
    rewrite(model, ctx, PASS.name, &mut Stateless(rule))
}

fn rule(site: &mut Site<'_>, node: &Node) -> Result<Patch, BuildError> {
    let Op::Compute(compute) = &node.op else { return Ok(None) };
    let ([operand], [out], [_]) = (&node.operands[..], &compute.outs[..], &node.results[..]) else { return Ok(None) };
    let in_place = is_in_place(compute, node, *operand)
        && !matches!(compute.exprs.get(*out), Some(Expr::Load { .. } | Expr::Const(_)));
    let Some(view) = map::of_value(site.old, site.facts, *operand) else { return Ok(None) };
    if !in_place || site.facts.uses(*operand) != 1 || site.tensor(*operand).is_none_or(|t| t.shape != compute.shape) {
        return Ok(None);
    }
    let Some(source) = site.tensor(view.source) else { return Ok(None) };
    let space = Space::new(&site.b.model().symbols, view.compute.shape.clone());
    if !view.is_bijection(&space, &source.shape) {
        return Ok(None);
    }
    let moved = in_place_over(compute, source.shape.len(), source.dtype)?;
    let new = Compute { shape: source.shape.clone(), ..moved };
    let dtype = new.outs.first().map(|o| new.exprs.dtype(*o)).unwrap_or(source.dtype);
    let operands = vec![site.get(view.source)?];
    let origins = site.b.set_origins(node.origins.clone());
    let values = site.b.add_compute(new, operands)?;
    site.b.set_origins(view.node.origins.clone());
    let leaves = [dtype];
    let mut exprs = Exprs::default();
    let mut ids: Vec<ExprId> = Vec::with_capacity(view.compute.exprs.len());
    for (_, expr) in view.compute.exprs.iter() {
        let expr = expr.map_children(&mut |child| ids.get(child.0 as usize).copied().unwrap_or(child));
        ids.push(exprs.add(expr, Leaves { operands: &leaves, accs: &[] })?);
    }
    let outs = view.compute.outs.iter().filter_map(|o| ids.get(o.0 as usize).copied()).collect();
    let moved = Compute { exprs, outs, ..view.compute.clone() };
    let results = site.b.add_compute(moved, values)?;
    site.b.set_origins(origins);
    Ok(Some(results))
}

/// Whether each element depends on nothing but the operand's element in the same place: index variables stand in indices
/// of loads only.
fn is_in_place(compute: &Compute, node: &Node, operand: ValueId) -> bool {
    let is_index = |id: ExprId| matches!(compute.exprs.get(id), Some(Expr::Index(_)));
    let clean = compute.exprs.iter().all(|(_, expr)| {
        let mut indexed = false;
        expr.for_each_child(&mut |child| indexed |= is_index(child));
        !indexed || matches!(expr, Expr::Load { .. })
    });
    let reads = compute.exprs.iter().any(|(_, expr)| matches!(expr, Expr::Load { .. }));
    let bare = compute.outs.iter().any(|o| is_index(*o));
    compute.reduce.is_empty() && reads && clean && !bare && map::reads_in_place(compute, node, operand)
}

/// The same expressions over a domain of another rank.
fn in_place_over(compute: &Compute, rank: usize, dtype: graph::dtype::DType) -> Result<Compute, BuildError> {
    let operands = [dtype];
    let leaves = Leaves { operands: &operands, accs: &[] };
    let mut exprs = Exprs::default();
    let index = (0..rank).map(|d| exprs.add(Expr::Index(d as u32), leaves)).collect::<Result<Vec<_>, _>>()?;
    let mut ids: Vec<ExprId> = Vec::with_capacity(compute.exprs.len());
    for (_, expr) in compute.exprs.iter() {
        let new = match expr {
            Expr::Load { .. } => exprs.add(Expr::Load { operand: 0, index: index.clone(), or: None }, leaves)?,
            Expr::Index(_) => ExprId(0),
            other => {
                let expr = other.map_children(&mut |child| ids.get(child.0 as usize).copied().unwrap_or(child));
                exprs.add(expr, leaves)?
            }
        };
        ids.push(new);
    }
    let outs = compute.outs.iter().filter_map(|o| ids.get(o.0 as usize).copied()).collect();
    Ok(Compute { shape: Vec::new(), reduce: Vec::new(), exprs, accs: Vec::new(), outs })
}
