//! A measure: integer arithmetic on shapes that is left to run.

use graph::dtype::DType;
use graph::graph::{Graph, NodeId};
use graph::node::{Node, Op};

/// Computes of integers or truth values that read something, and all they read goes back to sizes and constants. In normal
/// form there are none, but for tensors beyond the limit on known contents.
pub fn shape_arithmetic(graph: &Graph) -> Vec<NodeId> {
    let mut from_sizes = vec![false; graph.values.len()];
    let mut found = Vec::new();
    for (id, node) in graph.iter() {
        let known = node.operands.iter().all(|v| from_sizes.get(v.0 as usize).copied().unwrap_or(false));
        if !known || !is_integer_work(graph, node) {
            continue;
        }
        for result in &node.results {
            if let Some(slot) = from_sizes.get_mut(result.0 as usize) {
                *slot = true;
            }
        }
        if matches!(node.op, Op::Compute(_)) && !node.operands.is_empty() {
            found.push(id);
        }
    }
    found
}

fn is_integer_work(graph: &Graph, node: &Node) -> bool {
    let integers =
        node.results.iter().all(|r| graph.tensor(*r).is_some_and(|t| t.dtype.is_int() || t.dtype == DType::Bool));
    integers && matches!(node.op, Op::Const(_) | Op::Compute(_))
}
