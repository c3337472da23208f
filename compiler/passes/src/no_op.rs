//! Drops Computes that copy an operand as it is.
//!
//! Before: anything. After: no result of a Compute is an operand under its own index, but for outputs that would become an
//! input or another output. Early in a round, so that the others look through copies.

use graph::builder::BuildError;
use graph::expr::Expr;
use graph::graph::{Model, ValueId};
use graph::node::{Compute, Node, Op};

use crate::rewrite::{Patch, Site, Stateless, rewrite};
use crate::{Changes, Ctx, Pass, PassError};

pub(crate) const PASS: Pass = Pass {
    name: "no_op",
    run,
    reason: "a copy costs memory traffic and hides what stands before it",
    after: &[],
    before: &["algebra", "cse", "dce"],
};

fn run(model: &mut Model, ctx: &Ctx<'_>) -> Result<Changes, PassError> {
    rewrite(model, ctx, PASS.name, &mut Stateless(rule))
}

fn rule(site: &mut Site<'_>, node: &Node) -> Result<Patch, BuildError> {
    let Op::Compute(compute) = &node.op else { return Ok(None) };
    let mut sources = Vec::with_capacity(node.results.len());
    for (position, result) in node.results.iter().enumerate() {
        let source = copied(site, node, compute, position);
        let new = match source {
            Some(source) => site.get(source)?,
            None => return Ok(None),
        };
        if !site.may_become(*result, new) {
            return Ok(None);
        }
        sources.push(new);
    }
    Ok(Some(sources))
}

/// The operand that a result is a copy of.
fn copied(site: &Site<'_>, node: &Node, compute: &Compute, position: usize) -> Option<ValueId> {
    let Expr::Load { operand, index, or: _ } = compute.exprs.get(*compute.outs.get(position)?)? else { return None };
    let source = *node.operands.get(*operand as usize)?;
    let (from, to) = (site.tensor(source)?, site.tensor(*node.results.get(position)?)?);
    let in_place = |(d, at): (usize, &graph::expr::ExprId)| match compute.exprs.get(*at) {
        Some(Expr::Index(k)) => *k as usize == d,
        Some(Expr::Const(value)) => value.as_i64() == 0 && from.shape.get(d).is_some_and(|e| e.is(1)),
        _ => false,
    };
    (from == to && index.iter().enumerate().all(in_place)).then_some(source)
}
