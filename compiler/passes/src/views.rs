//! Composes Computes that only move elements: transposes of transposes, reshapes of reshapes, slices of either.
//!
//! Before: index maps in the form of `algebra`. After: no Compute that only moves elements reads another of its kind, unless
//! the composed index map would be more work than the two. What has other readers stays for them.
//!
//! ```text
//! %1 = compute [3, 2] (%0) { load 0 [i1, i0] }        %2 = compute [2, 3] (%0) { load 0 [i0, i1] }
//! %2 = compute [2, 3] (%1) { load 0 [i1, i0] }   →
//! ```

use graph::builder::BuildError;
use graph::expr::{BinOp, Expr, ExprId, Exprs, Leaves};
use graph::graph::Model;
use graph::node::{Compute, Node};

use crate::algebra::arena;
use crate::map::{self, Map};
use crate::rewrite::{Patch, Site, Stateless, rewrite};
use crate::{Changes, Ctx, Pass, PassError};

pub(crate) const PASS: Pass = Pass {
    name: "views",
    run,
    reason: "exporters spell one view as many reshapes and transposes",
    after: &["no_op", "algebra"],
    before: &["cse", "dce"],
};

fn run(model: &mut Model, ctx: &Ctx<'_>) -> Result<Changes, PassError> {
    rewrite(model, ctx, PASS.name, &mut Stateless(rule))
}

fn rule(site: &mut Site<'_>, node: &Node) -> Result<Patch, BuildError> {
    let Some(outer) = map::of_node(node) else { return Ok(None) };
    let Some(inner) = map::of_value(site.old, site.facts, outer.source) else { return Ok(None) };
    let Some(dtype) = site.tensor(inner.source).map(|t| t.dtype) else { return Ok(None) };
    let composed = compose(&outer, &inner, dtype)?;
    let operands = [inner.source];
    let (composed, operands) = match arena::compute(site, &composed, &operands)? {
        Some(simpler) => simpler,
        None => (composed, site.get_all(&operands)?),
    };
    if work(&composed.exprs) > work(&outer.compute.exprs) + work(&inner.compute.exprs) {
        return Ok(None);
    }
    site.b.add_compute(composed, operands).map(Some)
}

/// The outer map's index, taken through the inner one.
fn compose(outer: &Map<'_>, inner: &Map<'_>, dtype: graph::dtype::DType) -> Result<Compute, BuildError> {
    let dtypes = [dtype];
    let leaves = Leaves { operands: &dtypes, accs: &[] };
    let mut exprs = Exprs::default();
    let through = copy(&mut exprs, &outer.compute.exprs, leaves, None)?;
    let at: Vec<ExprId> = outer.index.iter().map(|e| resolve(&through, *e)).collect();
    let through = copy(&mut exprs, &inner.compute.exprs, leaves, Some(&at))?;
    let index = inner.index.iter().map(|e| resolve(&through, *e)).collect();
    let out = exprs.add(Expr::Load { operand: 0, index, or: None }, leaves)?;
    Ok(Compute { shape: outer.compute.shape.clone(), reduce: Vec::new(), exprs, accs: Vec::new(), outs: vec![out] })
}

/// Copies expressions but loads, index variables replaced where `at` says by what.
fn copy(to: &mut Exprs, from: &Exprs, leaves: Leaves<'_>, at: Option<&[ExprId]>) -> Result<Vec<ExprId>, BuildError> {
    let mut map: Vec<ExprId> = Vec::with_capacity(from.len());
    for (_, expr) in from.iter() {
        let new = match (expr, at) {
            (Expr::Load { .. }, _) => ExprId(0),
            (Expr::Index(k), Some(at)) => at.get(*k as usize).copied().unwrap_or(ExprId(0)),
            _ => to.add(expr.map_children(&mut |child| resolve(&map, child)), leaves)?,
        };
        map.push(new);
    }
    Ok(map)
}

fn resolve(map: &[ExprId], id: ExprId) -> ExprId {
    map.get(id.0 as usize).copied().unwrap_or(id)
}

/// How much work index expressions are, roughly.
fn work(exprs: &Exprs) -> usize {
    let of = |expr: &Expr| match expr {
        Expr::Binary(BinOp::FloorDiv | BinOp::Mod, ..) => 8,
        Expr::Binary(BinOp::Mul, ..) => 2,
        Expr::Binary(..) | Expr::Compare(..) | Expr::Select(..) => 1,
        _ => 0,
    };
    exprs.iter().map(|(_, expr)| of(expr)).sum()
}
