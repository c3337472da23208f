//! Graphs: arenas of values and nodes in topological order, and the model around them.

use std::sync::Arc;

use crate::dim::{Dim, Pred, SymId};
use crate::node::{Node, OriginId};
use crate::symbol::Symbols;
use crate::ty::{TensorType, Type};

/// Index of a value in its graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValueId(pub u32);

/// Index of a node in its graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

/// A value: the input of a graph or a result of one node.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    pub ty: Type,
    /// Name in the ONNX file, where it has one.
    pub name: Option<String>,
    /// Elements in row-major order, for small integer or bool tensors whose elements are known as sizes.
    pub contents: Option<Arc<[Dim]>>,
}

/// A graph. Nodes stand in topological order; every value is an input or the result of exactly one node. Bodies are closed:
/// nothing outside is referred to but the model's symbols.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Graph {
    pub values: Vec<Value>,
    pub nodes: Vec<Node>,
    pub inputs: Vec<ValueId>,
    pub outputs: Vec<ValueId>,
    /// Symbols that the types of the inputs bring into being (bodies of `Loop` only).
    pub binds: Vec<SymId>,
}

/// An ONNX node that IR nodes stem from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// Name in the file; if it has none, `OpType_index`.
    pub name: String,
    pub op_type: String,
    pub domain: String,
}

/// A condition that was assumed because nothing refutes it; checked before anything depends on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    pub pred: Pred,
    pub origin: Option<OriginId>,
    /// What it is for, as the error shows it.
    pub what: String,
}

/// A value kept between calls: read from input `input`, replaced by output `output` of the graph after each call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    pub name: String,
    pub input: usize,
    pub output: usize,
}

/// A whole model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Model {
    pub name: String,
    pub symbols: Symbols,
    pub guards: Vec<Guard>,
    pub origins: Vec<Origin>,
    pub states: Vec<State>,
    pub graph: Graph,
}

impl Graph {
    /// The value at an id.
    pub fn value(&self, id: ValueId) -> Option<&Value> {
        self.values.get(id.0 as usize)
    }

    /// The node at an id.
    pub fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id.0 as usize)
    }

    /// The tensor type of a value.
    pub fn tensor(&self, id: ValueId) -> Option<&TensorType> {
        self.value(id).and_then(|v| v.ty.as_tensor())
    }

    /// Ids and nodes in order.
    pub fn iter(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        self.nodes.iter().enumerate().map(|(i, n)| (NodeId(i as u32), n))
    }

    /// Adds a value that nothing defines yet.
    pub fn add_value(&mut self, ty: Type, name: Option<String>) -> ValueId {
        self.values.push(Value { ty, name, contents: None });
        ValueId((self.values.len() - 1) as u32)
    }

    /// For every value, the node and result position that define it (`None` for inputs).
    pub fn definitions(&self) -> Vec<Option<(NodeId, usize)>> {
        let mut out = vec![None; self.values.len()];
        for (id, node) in self.iter() {
            for (position, result) in node.results.iter().enumerate() {
                if let Some(slot) = out.get_mut(result.0 as usize) {
                    *slot = Some((id, position));
                }
            }
        }
        out
    }

    /// For every value, how often it is read by nodes or is an output.
    pub fn use_counts(&self) -> Vec<usize> {
        let mut out = vec![0; self.values.len()];
        let read = self.nodes.iter().flat_map(|n| &n.operands).chain(&self.outputs);
        for id in read {
            if let Some(slot) = out.get_mut(id.0 as usize) {
                *slot += 1;
            }
        }
        out
    }
}
