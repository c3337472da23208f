//! Names of a graph: which ones it takes from around it, and an order of its nodes in which definitions precede uses.

use std::collections::{BTreeMap, BTreeSet};

use crate::proto::{AttributeProto, GraphProto, NodeProto};

/// Domains and versions that a model or function imports.
pub type Opsets = BTreeMap<String, i64>;

/// The domain as operators spell it: empty for `ai.onnx`.
pub fn domain(name: &str) -> &str {
    if name == "ai.onnx" { "" } else { name }
}

/// Name of a node below a path; `OpType_index` if it has none.
pub fn node_name(path: &str, node: &NodeProto, index: usize) -> String {
    match node.name() {
        "" => format!("{path}{}_{index}", node.op_type()),
        name => format!("{path}{name}"),
    }
}

/// The graphs among a node's attributes.
pub fn bodies(node: &NodeProto) -> impl Iterator<Item = (&AttributeProto, &GraphProto)> {
    node.attribute.iter().filter_map(|a| a.g.as_ref().map(|g| (a, g)))
}

/// Calls `visit` for every node, bodies included.
pub fn for_each_node<'m>(nodes: &'m [NodeProto], visit: &mut dyn FnMut(&'m NodeProto)) {
    for node in nodes {
        visit(node);
        for (_, body) in bodies(node) {
            for_each_node(&body.node, visit);
        }
    }
}

/// Names that a body uses and does not define, in order of first use.
pub fn free_names(body: &GraphProto) -> Vec<&str> {
    let mut own: BTreeSet<&str> = defined_before(body).collect();
    own.extend(body.node.iter().flat_map(|n| &n.output).map(String::as_str));
    let mut seen = BTreeSet::new();
    let mut free = Vec::new();
    let mut take = |name| {
        if !own.contains(name) && seen.insert(name) {
            free.push(name);
        }
    };
    for node in &body.node {
        used_names(node).into_iter().for_each(&mut take);
    }
    body.output.iter().map(|o| o.name()).for_each(take);
    free
}

/// Names that a node needs: its inputs and what its bodies take from around them.
pub fn used_names(node: &NodeProto) -> Vec<&str> {
    let mut used: Vec<&str> = node.input.iter().map(String::as_str).filter(|n| !n.is_empty()).collect();
    used.extend(bodies(node).flat_map(|(_, body)| free_names(body)));
    used
}

/// Names of a graph's inputs and initializers.
pub fn defined_before(graph: &GraphProto) -> impl Iterator<Item = &str> {
    let inputs = graph.input.iter().map(|i| i.name());
    inputs.chain(initializer_names(graph))
}

/// Names of a graph's initializers, dense and sparse.
pub fn initializer_names(graph: &GraphProto) -> impl Iterator<Item = &str> {
    let dense = graph.initializer.iter().map(|t| t.name());
    dense.chain(graph.sparse_initializer.iter().map(|s| s.values.as_ref().map_or("", |v| v.name())))
}

/// An order of nodes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// Indices such that definitions precede uses; the file's own order where that holds.
    pub sorted: Vec<usize>,
    /// Nodes in a circle or behind one.
    pub stuck: Vec<usize>,
}

/// Sorts nodes. Names that no node defines do not count.
pub fn order(nodes: &[NodeProto]) -> Order {
    let mut producers: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, node) in nodes.iter().enumerate() {
        for output in node.output.iter().filter(|o| !o.is_empty()) {
            producers.entry(output).or_insert(index);
        }
    }
    let mut waiting = vec![0usize; nodes.len()];
    let mut readers: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
    for (index, node) in nodes.iter().enumerate() {
        let sources: BTreeSet<usize> = used_names(node).iter().filter_map(|n| producers.get(n).copied()).collect();
        waiting[index] = sources.len();
        sources.into_iter().for_each(|source| readers[source].push(index));
    }
    let mut ready: BTreeSet<usize> = (0..nodes.len()).filter(|i| waiting[*i] == 0).collect();
    let mut sorted = Vec::with_capacity(nodes.len());
    while let Some(index) = ready.pop_first() {
        sorted.push(index);
        for reader in &readers[index] {
            waiting[*reader] -= 1;
            if waiting[*reader] == 0 {
                ready.insert(*reader);
            }
        }
    }
    let stuck = (0..nodes.len()).filter(|i| waiting[*i] > 0).collect();
    Order { sorted, stuck }
}

/// One circle among stuck nodes, as indices in order of dependence.
pub fn circle(nodes: &[NodeProto], stuck: &[usize]) -> Vec<usize> {
    let mut producers: BTreeMap<&str, usize> = BTreeMap::new();
    for index in stuck {
        for output in nodes.get(*index).iter().flat_map(|n| &n.output) {
            producers.entry(output).or_insert(*index);
        }
    }
    let mut path: Vec<usize> = Vec::new();
    let mut next = stuck.first().copied();
    while let Some(index) = next {
        if let Some(start) = path.iter().position(|p| *p == index) {
            let mut found = path.split_off(start);
            found.reverse();
            return found;
        }
        path.push(index);
        next = nodes.get(index).and_then(|n| used_names(n).iter().find_map(|u| producers.get(u).copied()));
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, inputs: &[&str], outputs: &[&str]) -> NodeProto {
        NodeProto {
            name: Some(name.to_string()),
            input: inputs.iter().map(|s| s.to_string()).collect(),
            output: outputs.iter().map(|s| s.to_string()).collect(),
            ..NodeProto::default()
        }
    }

    #[test]
    fn order_keeps_the_files_where_it_can() {
        let nodes = [node("a", &["x"], &["a"]), node("b", &["c"], &["b"]), node("c", &["x"], &["c"])];
        assert_eq!(order(&nodes), Order { sorted: vec![0, 2, 1], stuck: vec![] });
    }

    #[test]
    fn circles_are_found_behind_their_readers() {
        let nodes = [node("r", &["b"], &["r"]), node("a", &["b"], &["a"]), node("b", &["a"], &["b"])];
        let found = order(&nodes);
        assert_eq!(found, Order { sorted: vec![], stuck: vec![0, 1, 2] });
        assert_eq!(circle(&nodes, &found.stuck).len(), 2);
    }

    #[test]
    fn bodies_show_what_they_take_from_around() {
        let inner = GraphProto { node: vec![node("n", &["outer", "own"], &["y"])], ..GraphProto::default() };
        let mut branch = node("if", &["cond"], &["z"]);
        branch.attribute.push(AttributeProto { g: Some(inner), ..AttributeProto::default() });
        let body = GraphProto { node: vec![node("m", &["i"], &["own"]), branch], ..GraphProto::default() };
        assert_eq!(free_names(&body), ["i", "cond", "outer"]);
    }
}
