//! What a graph needs: nodes whose results reach an output, or whose symbols something mentions.
//!
//! A symbol is needed if a guard, a type of a live value, a live node or a live body mentions it; known contents of values
//! need nothing, as they are dropped with what they mention.

use std::collections::BTreeSet;

use graph::dim::SymId;
use graph::graph::{Graph, Guard, ValueId};
use graph::node::{Node, Op};
use graph::verify::for_each_dim;

/// The live part of a graph.
#[derive(Clone, Debug, Default)]
pub(crate) struct Liveness {
    /// A flag a node.
    pub(crate) nodes: Vec<bool>,
    /// Symbols that the live part, its bodies included, or a guard mentions.
    pub(crate) symbols: BTreeSet<SymId>,
    /// Symbols that the live part binds, its bodies included.
    pub(crate) bound: BTreeSet<SymId>,
}

/// Symbols that guards mention.
pub(crate) fn guard_symbols(guards: &[Guard]) -> BTreeSet<SymId> {
    let mut out = BTreeSet::new();
    for guard in guards {
        guard.pred.for_each_symbol(&mut |id| {
            out.insert(id);
        });
    }
    out
}

impl Liveness {
    /// The live part of a graph, where these symbols are needed outside of it.
    pub(crate) fn of(graph: &Graph, needed: &BTreeSet<SymId>) -> Liveness {
        let mut out =
            Liveness { nodes: vec![false; graph.nodes.len()], symbols: needed.clone(), bound: BTreeSet::new() };
        out.bound.extend(&graph.binds);
        let mut values: BTreeSet<ValueId> = graph.outputs.iter().copied().collect();
        for input in &graph.inputs {
            out.mention_type(graph, *input);
        }
        for (position, node) in graph.nodes.iter().enumerate().rev() {
            let binds = bound_by(node);
            if !node.results.iter().any(|r| values.contains(r)) && out.symbols.is_disjoint(&binds) {
                continue;
            }
            if let Some(slot) = out.nodes.get_mut(position) {
                *slot = true;
            }
            values.extend(&node.operands);
            out.mention(graph, node, needed);
            out.bound.extend(binds);
        }
        out
    }

    fn mention(&mut self, graph: &Graph, node: &Node, needed: &BTreeSet<SymId>) {
        node.results.iter().for_each(|r| self.mention_type(graph, *r));
        for_each_dim(node, &mut |dim| {
            dim.for_each_symbol(&mut |id| {
                self.symbols.insert(id);
            })
        });
        for body in node.op.bodies() {
            if matches!(node.op, Op::Region(_)) {
                self.mention_all(body);
            } else {
                let inner = Liveness::of(body, needed);
                self.symbols.extend(inner.symbols);
                self.bound.extend(inner.bound);
            }
        }
    }

    fn mention_type(&mut self, graph: &Graph, id: ValueId) {
        let Some(value) = graph.value(id) else { return };
        value.ty.for_each_dim(&mut |dim| {
            dim.for_each_symbol(&mut |id| {
                self.symbols.insert(id);
            })
        });
    }

    /// Everything that the body of a region mentions: it is never edited.
    fn mention_all(&mut self, body: &Graph) {
        for value in &body.values {
            let contents = value.contents.iter().flat_map(|c| c.iter());
            contents.for_each(|dim| {
                dim.for_each_symbol(&mut |id| {
                    self.symbols.insert(id);
                })
            });
        }
        body.inputs.iter().for_each(|id| self.mention_type(body, *id));
        body.nodes.iter().for_each(|node| {
            self.mention(body, node, &BTreeSet::new());
            node.op.bodies().into_iter().for_each(|inner| self.mention_all(inner));
        });
    }
}

/// Symbols that a node brings into being, those of a region's body included.
pub(crate) fn bound_by(node: &Node) -> BTreeSet<SymId> {
    let mut out: BTreeSet<SymId> = node.binds.iter().copied().collect();
    if let Op::Region(region) = &node.op {
        region.body.nodes.iter().for_each(|inner| out.extend(bound_by(inner)));
    }
    out
}
