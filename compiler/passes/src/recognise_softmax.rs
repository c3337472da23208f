//! Recognises softmax that exporters spell out: `exp(x - max x) / sum exp(x - max x)` along one axis.
//!
//! Before: `cse` has merged second copies of the power. After: such a chain is a `softmax` region. The chain's own nodes stay
//! if something else reads them.
//!
//! ```text
//! %3 = exp(%0 - %1) · %4 = sum %3 · %5 = %3 / %4   →   %5 = region softmax {axis, log = false} (%0)
//! ```

use graph::builder::BuildError;
use graph::dtype::DType;
use graph::expr::{BinOp, UnOp};
use graph::graph::{Model, ValueId};
use graph::node::{Combiner, Node};
use graph::region::softmax::Softmax;

use crate::pattern::{Reduction, Term};
use crate::rewrite::{Patch, Site, Stateless, rewrite};
use crate::{Changes, Ctx, Pass, PassError};

pub(crate) const PASS: Pass = Pass {
    name: "recognise_softmax",
    run,
    reason: "some exporters lower softmax themselves",
    after: &["algebra"],
    before: &["views", "dce"],
};

fn run(model: &mut Model, ctx: &Ctx<'_>) -> Result<Changes, PassError> {
    rewrite(model, ctx, PASS.name, &mut Stateless(rule))
}

fn rule(site: &mut Site<'_>, node: &Node) -> Result<Patch, BuildError> {
    let found = node.results.first().and_then(|r| site.definition(*r)).and_then(|(node, _)| matched(site, node));
    let Some((x, softmax)) = found else { return Ok(None) };
    let x = site.get(x)?;
    Ok(Some(vec![site.b.softmax(softmax, x)?]))
}

fn matched<'a>(site: &Site<'a>, node: &'a Node) -> Option<(ValueId, Softmax)> {
    let term = Term::of_node(node)?;
    let (power, total) = term.binary(site, BinOp::Div)?;
    let power = power.value(site)?;
    let total = Reduction::of_value(site, total.value(site)?, Combiner::Sum)?;
    if !total.out.is_acc() || total.value.reduced_value() != Some(power) {
        return None;
    }
    let (x, top) = Term::of_value(site, power)?.unary(site, UnOp::Exp)?.binary(site, BinOp::Sub)?;
    let x = x.value(site)?;
    let top = Reduction::of_value(site, top.value(site)?, Combiner::Max)?;
    let [axis] = top.axes[..] else { return None };
    let shapes = site.tensor(x) == site.tensor(power) && site.tensor(power)?.shape == term.compute.shape;
    let same = shapes && top.out.is_acc() && top.value.reduced_value() == Some(x) && total.axes == top.axes;
    let float = matches!(site.tensor(x)?.dtype, DType::F32 | DType::F64);
    (same && float).then_some((x, Softmax { axis, log: false }))
}
