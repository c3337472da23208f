//! Opens regions that nobody claims: a region node is replaced by its body's nodes, level by level, also inside the bodies
//! of control flow. Constants that a body captures move into it, so that claimants see them.

use std::collections::{BTreeSet, HashMap};

use graph::graph::{Graph, NodeId, ValueId};
use graph::node::{Node, Op};

/// Rebuilds a graph node by node.
#[derive(Default)]
struct Copier {
    graph: Graph,
    map: HashMap<ValueId, ValueId>,
    opened: bool,
}

/// Opens regions until each that is left is among those that `keep` names of the graph that it stands in.
pub fn open_regions(graph: &Graph, keep: &dyn Fn(&Graph) -> BTreeSet<NodeId>) -> Graph {
    let mut current = open_once(graph, keep);
    while current.1 {
        current = open_once(&current.0, keep);
    }
    let mut out = current.0;
    for node in &mut out.nodes {
        open_bodies(node, keep);
    }
    out
}

fn open_bodies(node: &mut Node, keep: &dyn Fn(&Graph) -> BTreeSet<NodeId>) {
    match &mut node.op {
        Op::Scan(s) => *s.body = open_regions(&s.body, keep),
        Op::Loop(l) => *l.body = open_regions(&l.body, keep),
        Op::If(i) => {
            *i.then_body = open_regions(&i.then_body, keep);
            *i.else_body = open_regions(&i.else_body, keep);
        }
        Op::Const(_)
        | Op::Compute(_)
        | Op::Scatter(_)
        | Op::Sort(_)
        | Op::Compact(_)
        | Op::Prefix(_)
        | Op::Bind
        | Op::Host(_)
        | Op::Region(_) => {}
    }
}

fn open_once(graph: &Graph, keep: &dyn Fn(&Graph) -> BTreeSet<NodeId>) -> (Graph, bool) {
    let mut copier = Copier::default();
    for input in &graph.inputs {
        let id = copier.copy_value(graph, *input);
        copier.graph.inputs.push(id);
    }
    copier.graph.binds = graph.binds.clone();
    let kept = keep(graph);
    for (id, node) in graph.iter() {
        match &node.op {
            Op::Region(region) if !kept.contains(&id) => copier.open(graph, node, &region.body),
            _ => copier.copy_node(graph, node),
        }
    }
    copier.graph.outputs = graph.outputs.iter().map(|o| copier.mapped(*o)).collect();
    let opened = copier.opened;
    let mut out = copier.graph;
    sink_constants(&mut out);
    (out, opened)
}

impl Copier {
    fn mapped(&self, value: ValueId) -> ValueId {
        self.map.get(&value).copied().unwrap_or(value)
    }

    fn copy_value(&mut self, from: &Graph, value: ValueId) -> ValueId {
        let id = ValueId(self.graph.values.len() as u32);
        if let Some(v) = from.value(value) {
            self.graph.values.push(v.clone());
        }
        self.map.insert(value, id);
        id
    }

    fn copy_node(&mut self, from: &Graph, node: &Node) {
        let mut copy = node.clone();
        copy.operands = node.operands.iter().map(|o| self.mapped(*o)).collect();
        copy.results = node.results.iter().map(|r| self.copy_value(from, *r)).collect();
        self.graph.nodes.push(copy);
    }

    /// Puts the nodes of a region's body in its place; the region's results become the body's outputs.
    fn open(&mut self, from: &Graph, region: &Node, body: &Graph) {
        self.opened = true;
        let outer = std::mem::take(&mut self.map);
        for (input, operand) in body.inputs.iter().zip(&region.operands) {
            self.map.insert(*input, outer.get(operand).copied().unwrap_or(*operand));
        }
        for node in &body.nodes {
            self.copy_node(body, node);
            if let Some(last) = self.graph.nodes.last_mut() {
                last.origins = region.origins.clone();
            }
        }
        let results: Vec<ValueId> = body.outputs.iter().map(|o| self.mapped(*o)).collect();
        self.map = outer;
        for (result, value) in region.results.iter().zip(results) {
            if let (Some(named), Some(v)) = (from.value(*result), self.graph.values.get_mut(value.0 as usize)) {
                v.name = v.name.take().or_else(|| named.name.clone());
                v.contents = v.contents.take().or_else(|| named.contents.clone());
            }
            self.map.insert(*result, value);
        }
    }
}

/// Copies constants into the bodies that capture them and drops those captures.
fn sink_constants(graph: &mut Graph) {
    let definitions = graph.definitions();
    let constant = |value: ValueId| {
        let (node, _) = definitions.get(value.0 as usize).copied().flatten()?;
        let node = graph.node(node)?;
        matches!(node.op, Op::Const(_)).then(|| (node.clone(), graph.value(value).cloned()))
    };
    let mut edits = Vec::new();
    for (id, node) in graph.iter() {
        // Operands before the captures, and inputs of a body before them: a loop's are the iteration number and the carried
        // values.
        let (first, before) = match &node.op {
            Op::Scan(s) => (s.carried + s.scanned, s.carried + s.scanned),
            Op::If(_) => (1, 0),
            Op::Loop(l) => (2 + l.carried, 1 + l.carried),
            Op::Const(_)
            | Op::Compute(_)
            | Op::Scatter(_)
            | Op::Sort(_)
            | Op::Compact(_)
            | Op::Prefix(_)
            | Op::Bind
            | Op::Host(_)
            | Op::Region(_) => continue,
        };
        let captures: Vec<_> = node.operands.iter().skip(first).map(|o| constant(*o)).collect();
        if captures.iter().any(Option::is_some) {
            edits.push((id, first, before, captures));
        }
    }
    for (id, first, before, captures) in edits {
        let Some(node) = graph.nodes.get_mut(id.0 as usize) else { continue };
        let bodies = node.op.bodies_mut();
        for body in bodies {
            for (k, capture) in captures.iter().enumerate().rev() {
                let Some((constant, _)) = capture else { continue };
                if before + k < body.inputs.len() {
                    let input = body.inputs.remove(before + k);
                    let mut inner = constant.clone();
                    inner.results = vec![input];
                    body.nodes.insert(0, inner);
                }
            }
        }
        for (k, capture) in captures.iter().enumerate().rev() {
            if capture.is_some() {
                node.operands.remove(first + k);
            }
        }
    }
}
