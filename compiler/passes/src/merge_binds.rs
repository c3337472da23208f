//! Removes symbols that are other sizes: bound to one value twice, or to a value that is known as a size.
//!
//! Before: `fold` has made constants of what is known, `cse` has merged what the symbols are bound to. After: no two `Bind`s of a
//! graph read the same value; none reads a value that is known as a size within the symbol's range. The size, or the first
//! symbol with the range that both allow, stands in its place everywhere; guards that this makes certain are gone. So types
//! that were equal at run time only are equal, and other passes may find more.
//!
//! ```text
//! bind (%1) binds [n] · bind (%1) binds [m] · %2: f32[m] = …   →   bind (%1) binds [n] · %2: f32[n] = …
//! ```

use std::collections::{BTreeMap, BTreeSet};

use graph::dim::{Dim, SymId};
use graph::graph::{Graph, Model, ValueId};
use graph::node::{Node, Op};
use graph::symbol::SymSource;

use crate::liveness::bound_by;
use crate::rename::rename;
use crate::{Changes, Ctx, Pass, PassError};

pub(crate) const PASS: Pass = Pass {
    name: "merge_binds",
    run,
    reason: "every size found at run time costs a wait for the device",
    after: &["fold", "cse"],
    before: &["dce"],
};

fn run(model: &mut Model, _: &Ctx<'_>) -> Result<Changes, PassError> {
    let mut known = Known { bound: BTreeSet::new(), renamed: BTreeMap::new() };
    let mut graph = std::mem::take(&mut model.graph);
    known.walk(model, &mut graph);
    model.graph = graph;
    if !known.renamed.is_empty() {
        rename(model, &known.renamed);
    }
    Ok(Changes(known.renamed.len()))
}

struct Known {
    /// Symbols bound so far.
    bound: BTreeSet<SymId>,
    /// Sizes that stand for symbols; they mention none of these.
    renamed: BTreeMap<SymId, Dim>,
}

impl Known {
    fn walk(&mut self, model: &mut Model, graph: &mut Graph) {
        self.bound.extend(&graph.binds);
        let mut first: BTreeMap<ValueId, SymId> = BTreeMap::new();
        let mut nodes = std::mem::take(&mut graph.nodes);
        nodes.retain_mut(|node| {
            if let Some((symbol, size)) = self.size_of(model, graph, node, &first) {
                self.renamed.insert(symbol, size);
                return false;
            }
            if let (Op::Bind, [value], [symbol]) = (&node.op, &node.operands[..], &node.binds[..]) {
                first.entry(*value).or_insert(*symbol);
            }
            if !matches!(node.op, Op::Region(_)) {
                node.op.bodies_mut().into_iter().for_each(|body| self.walk(model, body));
            }
            self.bound.extend(bound_by(node));
            true
        });
        graph.nodes = nodes;
    }

    /// The symbol of a `Bind` and what it is.
    fn size_of(
        &self,
        model: &mut Model,
        graph: &Graph,
        node: &Node,
        first: &BTreeMap<ValueId, SymId>,
    ) -> Option<(SymId, Dim)> {
        let (Op::Bind, [value], [symbol]) = (&node.op, &node.operands[..], &node.binds[..]) else { return None };
        if let Some(known) = first.get(value) {
            return narrow(model, *known, *symbol).then(|| (*symbol, Dim::symbol(*known)));
        }
        let contents = graph.value(*value)?.contents.clone()?;
        let [size] = &contents[..] else { return None };
        let size = model.symbols.substitute(size, &|id| self.renamed.get(&id).cloned());
        let mut there = true;
        size.for_each_symbol(&mut |id| {
            let input = model.symbols.get(id).is_some_and(|s| s.source == SymSource::Input);
            there &= input || self.bound.contains(&id);
        });
        let (allowed, found) = (model.symbols.get(*symbol)?, model.symbols.range(&size));
        let fits = found.lo >= i128::from(allowed.lo) && allowed.hi.is_none_or(|hi| found.hi <= i128::from(hi));
        (there && fits).then_some((*symbol, size))
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
