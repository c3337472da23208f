//! Merges symbols that are bound to one value: sizes found twice from the same count are one size.
//!
//! Before: `cse` has merged what the symbols are bound to. After: no two `Bind`s of a graph read the same value; the first
//! symbol stands for both, everywhere, with the range that both allow; guards that this makes certain are gone. So types that
//! were equal at run time only are equal, and `cse` may find more.
//!
//! ```text
//! bind (%1) binds [n] · bind (%1) binds [m] · %2: f32[m] = …   →   bind (%1) binds [n] · %2: f32[n] = …
//! ```

use std::collections::BTreeMap;

use graph::dim::SymId;
use graph::graph::{Graph, Model, ValueId};
use graph::node::Op;

use crate::rename::rename;
use crate::{Changes, Ctx, Pass, PassError};

pub(crate) const PASS: Pass = Pass {
    name: "merge_binds",
    run,
    reason: "every size found at run time costs a wait for the device",
    after: &["cse"],
    before: &["dce"],
};

fn run(model: &mut Model, _: &Ctx<'_>) -> Result<Changes, PassError> {
    let mut renamed = BTreeMap::new();
    let mut graph = std::mem::take(&mut model.graph);
    merge(model, &mut graph, &mut renamed);
    model.graph = graph;
    if !renamed.is_empty() {
        rename(model, &renamed);
    }
    Ok(Changes(renamed.len()))
}

fn merge(model: &mut Model, graph: &mut Graph, renamed: &mut BTreeMap<SymId, SymId>) {
    let mut first: BTreeMap<ValueId, SymId> = BTreeMap::new();
    graph.nodes.retain(|node| {
        let (Op::Bind, [value], [symbol]) = (&node.op, &node.operands[..], &node.binds[..]) else { return true };
        let Some(known) = first.get(value) else {
            first.insert(*value, *symbol);
            return true;
        };
        if !narrow(model, *known, *symbol) {
            return true;
        }
        renamed.insert(*symbol, *known);
        false
    });
    for node in &mut graph.nodes {
        if !matches!(node.op, Op::Region(_)) {
            node.op.bodies_mut().into_iter().for_each(|body| merge(model, body, renamed));
        }
    }
}

/// Gives the first symbol the range that both allow; `false` if there is none.
fn narrow(model: &mut Model, first: SymId, second: SymId) -> bool {
    let Some((lo, hi)) = model.symbols.get(second).map(|s| (s.lo, s.hi)) else { return false };
    let Some(symbol) = model.symbols.get_mut(first) else { return false };
    let (lo, hi) = (symbol.lo.max(lo), symbol.hi.into_iter().chain(hi).min());
    if hi.is_some_and(|hi| hi < lo) {
        return false;
    }
    (symbol.lo, symbol.hi) = (lo, hi);
    true
}
