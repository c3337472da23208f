//! What planning asks of a graph again and again: definitions and readers of values.

use graph::graph::{Graph, NodeId, ValueId};

/// Definitions and readers.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    definitions: Vec<Option<(NodeId, usize)>>,
    readers: Vec<Vec<NodeId>>,
    outputs: Vec<bool>,
}

impl Facts {
    /// Collects the facts of a graph.
    pub fn of(graph: &Graph) -> Facts {
        let mut readers = vec![Vec::new(); graph.values.len()];
        for (id, node) in graph.iter() {
            for operand in &node.operands {
                if let Some(list) = readers.get_mut(operand.0 as usize)
                    && list.last() != Some(&id)
                {
                    list.push(id);
                }
            }
        }
        let mut outputs = vec![false; graph.values.len()];
        for output in &graph.outputs {
            if let Some(slot) = outputs.get_mut(output.0 as usize) {
                *slot = true;
            }
        }
        Facts { definitions: graph.definitions(), readers, outputs }
    }

    /// The node that defines a value, and the position among its results; `None` for inputs.
    pub fn definition(&self, value: ValueId) -> Option<(NodeId, usize)> {
        self.definitions.get(value.0 as usize).copied().flatten()
    }

    /// Nodes that read a value, ascending, each once.
    pub fn readers(&self, value: ValueId) -> &[NodeId] {
        self.readers.get(value.0 as usize).map_or(&[], Vec::as_slice)
    }

    /// Whether a value is an output of the graph.
    pub fn is_output(&self, value: ValueId) -> bool {
        self.outputs.get(value.0 as usize).copied().unwrap_or(false)
    }
}
