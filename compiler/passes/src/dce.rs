//! Drops nodes that no output needs.
//!
//! Before: anything. After: every node's results reach an output of its graph, or it binds a symbol that a guard, a type or
//! a live node mentions. Inputs of graphs and bodies stay, guards stay with what they need. Last of a round: all other
//! passes leave behind what they replaced.

use graph::graph::Model;

use crate::rewrite::drop_dead;
use crate::{Changes, Ctx, Pass, PassError};

pub(crate) const PASS: Pass = Pass {
    name: "dce",
    run,
    reason: "what nothing needs is not computed",
    after: &["fold", "no_op", "algebra", "cse"],
    before: &[],
};

fn run(model: &mut Model, ctx: &Ctx<'_>) -> Result<Changes, PassError> {
    drop_dead(model, ctx, PASS.name)
}
