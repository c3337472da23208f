//! Which nodes will likely share a kernel: pointwise readers over the shape of what they read follow it, one reader one kernel,
//! products first. Planning decides; this tells where values are stored.

use std::collections::BTreeSet;

use graph::dim::Dim;
use graph::expr::Expr;
use graph::graph::{Graph, NodeId, ValueId};
use graph::node::{Compute, Node, Op};

/// For every node, the first node of its group.
pub(super) fn of(graph: &Graph, live: &[(NodeId, &Node)], is_product: &dyn Fn(&Node) -> bool) -> Vec<Option<NodeId>> {
    let mut home: Vec<Option<NodeId>> = vec![None; graph.nodes.len()];
    for products in [true, false] {
        for (position, (id, node)) in live.iter().enumerate() {
            let root = matches!(node.op, Op::Compute(_) | Op::Region(_)) && is_product(node) == products;
            if root && home.get(id.0 as usize).is_some_and(Option::is_none) {
                grow(graph, live, position, &mut home);
            }
        }
    }
    home
}

fn grow(graph: &Graph, live: &[(NodeId, &Node)], position: usize, home: &mut [Option<NodeId>]) {
    let Some((root, node)) = live.get(position) else { return };
    let mut take = |id: &NodeId| {
        if let Some(slot) = home.get_mut(id.0 as usize) {
            *slot = Some(*root);
        }
    };
    take(root);
    let Some(shape) = node.results.first().and_then(|r| graph.tensor(*r)).map(|t| &t.shape) else { return };
    let mut inside: BTreeSet<ValueId> = node.results.iter().copied().collect();
    // What depends on the group and is not in it: its readers cannot be either.
    let mut outside: BTreeSet<ValueId> = BTreeSet::new();
    let mut found = Vec::new();
    for (id, node) in live.iter().skip(position + 1) {
        let reads = |values: &BTreeSet<ValueId>| node.operands.iter().any(|o| values.contains(o));
        let (reads_inside, reads_outside) = (reads(&inside), reads(&outside));
        if !reads_inside && !reads_outside {
            continue;
        }
        let follows = !reads_outside
            && matches!(&node.op, Op::Compute(c) if follows(c, node, &inside, shape))
            && home.get(id.0 as usize).is_some_and(Option::is_none);
        if follows {
            inside.extend(&node.results);
            found.push(*id);
        } else {
            outside.extend(&node.results);
        }
    }
    for id in found {
        if let Some(slot) = home.get_mut(id.0 as usize) {
            *slot = Some(*root);
        }
    }
}

/// Whether a Compute reads all of `values` at its own index only.
fn follows(compute: &Compute, node: &Node, values: &BTreeSet<ValueId>, shape: &[Dim]) -> bool {
    let here = |(d, at): (usize, &graph::expr::ExprId)| match compute.exprs.get(*at) {
        Some(Expr::Index(k)) => *k as usize == d,
        Some(Expr::Const(zero)) => zero.as_i64() == 0 && shape.get(d).is_some_and(|e| e.is(1)),
        _ => false,
    };
    compute.reduce.is_empty()
        && compute.shape == shape
        && compute.exprs.iter().all(|(_, expr)| match expr {
            Expr::Load { operand, index, or } => {
                let known = node.operands.get(*operand as usize).is_some_and(|v| values.contains(v));
                !known || (or.is_none() && index.len() == shape.len() && index.iter().enumerate().all(here))
            }
            _ => true,
        })
}
