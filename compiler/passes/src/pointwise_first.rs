//! Moves pointwise work before what only moves its operand: scale, cast and activation then stand behind the contraction that
//! they belong to, and the view stands before its reader.
//!
//! Before: `views` has made one map of each chain. After: no Compute that applies an expression to elements in place reads the same
//! reshape of each operand, or the same permutation that nothing else reads; other operands are constants of dims that the map keeps
//! whole (scale and shift of channels). The number of elements stays, so nothing is computed more often; where something else reads
//! a reshape, that stays too, which costs nothing.
//!
//! ```text
//! %1 = compute [4, 2] (%0) { load 0 [i1, i0] }        %1 = compute [2, 4] (%0) { mul (load 0 [i0, i1]), 0.5 }
//! %2 = compute [4, 2] (%1) { mul (load …), 0.5 }  →   %2 = compute [4, 2] (%1) { load 0 [i1, i0] }
//! ```

use graph::builder::BuildError;
use graph::dtype::DType;
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
    let ([out], [_]) = (&compute.outs[..], &node.results[..]) else { return Ok(None) };
    let constant = |value: &ValueId| site.facts.is_const(site.old, *value);
    let moving: Vec<(usize, ValueId)> =
        node.operands.iter().copied().enumerate().filter(|(_, v)| !constant(v)).collect();
    let Some((_, first)) = moving.first() else { return Ok(None) };
    let in_place = moving.iter().all(|(_, v)| is_in_place(compute, node, *v))
        && !matches!(compute.exprs.get(*out), Some(Expr::Load { .. } | Expr::Const(_)));
    let shaped = moving.iter().all(|(_, v)| site.tensor(*v).is_some_and(|t| t.shape == compute.shape));
    let Some(view) = map::of_value(site.old, site.facts, *first).filter(|_| in_place && shaped) else {
        return Ok(None);
    };
    let Some(source) = site.tensor(view.source) else { return Ok(None) };
    let space = Space::new(&site.b.model().symbols, view.compute.shape.clone());
    if !view.is_bijection(&space, &source.shape) {
        return Ok(None);
    }
    let alone = moving.iter().all(|(_, v)| site.facts.uses(*v) == 1);
    if !alone && !view.keeps_order(&space, &source.shape) {
        return Ok(None);
    }
    let mut operands = site.get_all(&node.operands)?;
    for (position, value) in &moving {
        let also = map::of_value(site.old, site.facts, *value).filter(|also| also.is_same(&view));
        let Some(also) = also.filter(|a| site.tensor(a.source).is_some_and(|t| t.shape == source.shape)) else {
            return Ok(None);
        };
        if let Some(operand) = operands.get_mut(*position) {
            *operand = site.get(also.source)?;
        }
    }
    let dtypes: Option<Vec<DType>> = node.operands.iter().map(|v| site.tensor(*v).map(|t| t.dtype)).collect();
    let Some(moved) = dtypes.map(|dtypes| in_place_over(compute, &moving, &view, &dtypes)) else { return Ok(None) };
    let Some(moved) = moved? else { return Ok(None) };
    let new = Compute { shape: source.shape.clone(), ..moved };
    let dtype = new.outs.first().map(|o| new.exprs.dtype(*o)).unwrap_or(source.dtype);
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

/// The same expressions over the domain of what a map moves, where the operands `moving` are it. `None` if another operand is read
/// along a dim that is no dim of that domain.
fn in_place_over(
    compute: &Compute,
    moving: &[(usize, ValueId)],
    view: &map::Map<'_>,
    dtypes: &[DType],
) -> Result<Option<Compute>, BuildError> {
    let leaves = Leaves { operands: dtypes, accs: &[] };
    let mut exprs = Exprs::default();
    let index = (0..view.index.len()).map(|d| exprs.add(Expr::Index(d as u32), leaves));
    let index = index.collect::<Result<Vec<_>, _>>()?;
    let place = |k: u32| view.index.iter().position(|at| view.compute.exprs.get(*at) == Some(&Expr::Index(k)));
    let mut ids: Vec<ExprId> = Vec::with_capacity(compute.exprs.len());
    for (_, expr) in compute.exprs.iter() {
        let mut strange = false;
        let new = match expr {
            Expr::Load { operand, .. } if moving.iter().any(|(k, _)| *k == *operand as usize) => {
                exprs.add(Expr::Load { operand: *operand, index: index.clone(), or: None }, leaves)?
            }
            Expr::Index(_) => ExprId(0),
            other => {
                let expr = other.map_children(&mut |child| match compute.exprs.get(child) {
                    Some(Expr::Index(k)) => match place(*k).and_then(|d| index.get(d)) {
                        Some(id) => *id,
                        None => {
                            strange = true;
                            child
                        }
                    },
                    _ => ids.get(child.0 as usize).copied().unwrap_or(child),
                });
                if strange {
                    return Ok(None);
                }
                exprs.add(expr, leaves)?
            }
        };
        ids.push(new);
    }
    let outs = compute.outs.iter().filter_map(|o| ids.get(o.0 as usize).copied()).collect();
    Ok(Some(Compute { shape: Vec::new(), reduce: Vec::new(), exprs, accs: Vec::new(), outs }))
}
