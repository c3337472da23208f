//! Simplifies expressions.
//!
//! Before: anything. After: no rule of [`RULES`] applies to an expression of a Compute or Scatter; arenas hold what their
//! results reach, children first in the order they are used; accumulators nothing reads are gone, and so are operands nothing
//! loads and second mentions of an operand; what is known without memory is not loaded. All rules keep every bit,
//! except that `pow` with exponent 2 or 3 becomes products (a rounding apart). After `no_op`, so that loads reach past
//! copies; before `cse`, which needs equal expressions to be written the same.

pub(crate) mod arena;
mod cast;
mod constant;
mod index;
mod neutral;
mod operand;
mod power;
mod select;
mod size;
pub(crate) mod space;

use graph::builder::BuildError;
use graph::expr::{Expr, ExprId};
use graph::graph::Model;
use graph::node::{Compute, Node, Op, Scatter};

use crate::rewrite::{Patch, Site, Stateless, rewrite};
use crate::{Changes, Ctx, Pass, PassError};
use arena::Simplifier;

pub(crate) const PASS: Pass = Pass {
    name: "algebra",
    run,
    reason: "importers write expressions the general way",
    after: &["no_op"],
    before: &["cse", "dce"],
};

/// A rule over one expression, whose children are simplified already: what it is equal to, if that is simpler.
pub(crate) type ExprRule = fn(&mut Simplifier, &Expr) -> Option<ExprId>;

/// The rules, in the order they are tried.
pub(crate) const RULES: &[ExprRule] =
    &[constant::rule, neutral::rule, select::rule, cast::rule, power::rule, size::rule, index::rule, operand::rule];

fn run(model: &mut Model, ctx: &Ctx<'_>) -> Result<Changes, PassError> {
    rewrite(model, ctx, PASS.name, &mut Stateless(rule))
}

fn rule(site: &mut Site<'_>, node: &Node) -> Result<Patch, BuildError> {
    match &node.op {
        Op::Compute(compute) => simplify_compute(site, node, compute),
        Op::Scatter(scatter) => simplify_scatter(site, node, scatter),
        Op::Const(_)
        | Op::Sort(_)
        | Op::Compact(_)
        | Op::Prefix(_)
        | Op::Scan(_)
        | Op::If(_)
        | Op::Loop(_)
        | Op::Bind
        | Op::Host(_)
        | Op::Region(_) => Ok(None),
    }
}

fn simplify_compute(site: &mut Site<'_>, node: &Node, compute: &Compute) -> Result<Patch, BuildError> {
    let Some((new, kept)) = arena::compute(site, compute, &node.operands)? else { return Ok(None) };
    site.b.add_compute(new, kept).map(Some)
}

fn simplify_scatter(site: &mut Site<'_>, node: &Node, scatter: &Scatter) -> Result<Patch, BuildError> {
    let Some((new, kept)) = arena::scatter(site, scatter, &node.operands)? else { return Ok(None) };
    let types = kept.first().map(|base| site.b.ty(*base).cloned()).transpose()?.into_iter().collect();
    site.b.push(Op::Scatter(new), kept, types, Vec::new()).map(Some)
}
