//! What rules ask of a graph: who defines a value, who reads it.

use graph::graph::{Graph, NodeId, ValueId};
use graph::node::{Node, Op};

use crate::liveness::Liveness;

/// Definitions and uses in the live part of a graph.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) live: Liveness,
    definitions: Vec<Option<(NodeId, usize)>>,
    uses: Vec<usize>,
    outputs: Vec<bool>,
}

impl Facts {
    pub(crate) fn of(graph: &Graph, live: Liveness) -> Facts {
        let (mut uses, mut outputs) = (vec![0; graph.values.len()], vec![false; graph.values.len()]);
        let live_nodes = graph.nodes.iter().zip(&live.nodes).filter(|(_, live)| **live).map(|(node, _)| node);
        for id in live_nodes.flat_map(|n| &n.operands).chain(&graph.outputs) {
            if let Some(slot) = uses.get_mut(id.0 as usize) {
                *slot += 1;
            }
        }
        for id in &graph.outputs {
            if let Some(slot) = outputs.get_mut(id.0 as usize) {
                *slot = true;
            }
        }
        Facts { definitions: graph.definitions(), live, uses, outputs }
    }

    /// The node that defines a value and the position among its results; `None` for inputs.
    pub(crate) fn definition<'a>(&self, graph: &'a Graph, value: ValueId) -> Option<(&'a Node, usize)> {
        let (id, position) = self.definitions.get(value.0 as usize).copied().flatten()?;
        graph.node(id).map(|node| (node, position))
    }

    /// How often live nodes read a value, or it is an output.
    pub(crate) fn uses(&self, value: ValueId) -> usize {
        self.uses.get(value.0 as usize).copied().unwrap_or(0)
    }

    /// Whether a value is an output of the graph.
    pub(crate) fn is_output(&self, value: ValueId) -> bool {
        self.outputs.get(value.0 as usize).copied().unwrap_or(false)
    }

    /// Whether a value is a constant of the graph.
    pub(crate) fn is_const(&self, graph: &Graph, value: ValueId) -> bool {
        self.definition(graph, value).is_some_and(|(node, _)| matches!(node.op, Op::Const(_)))
    }

    /// Whether the node is live.
    pub(crate) fn is_live(&self, id: NodeId) -> bool {
        self.live.nodes.get(id.0 as usize).copied().unwrap_or(false)
    }
}
