//! Units: what becomes one or a few steps. Their order respects values and symbols; among those that are free, the one whose
//! last node comes first in the graph goes first. Where reading a size back is a wait for a device, it waits until nothing else
//! is free, and with it all sizes that can be read by then.

use std::collections::{BTreeMap, BTreeSet};

use graph::dim::SymId;
use graph::graph::{Graph, NodeId, ValueId};
use graph::node::{Node, Op};
use nest::fuse::Fused;
use nest::rows::RowGroup;

use crate::error::PlanError;
use crate::group::Group;

/// A unit.
#[derive(Clone, Debug)]
pub(super) enum Unit {
    /// A group, by index, and what it computes after its claim or as a whole.
    Group(usize),
    Node(NodeId),
}

/// A group with its fused expressions; `None` once it went into its readers.
pub(super) struct Built {
    pub group: Group,
    pub fused: Option<Fused>,
    /// Values that the claim itself reads.
    pub operands: Vec<ValueId>,
    /// Values that the claim yields to the epilogue.
    pub results: Vec<ValueId>,
    /// Groups that one kernel runs, row by row; `fused` then only says what is read and stored.
    pub rows: Option<RowGroup>,
}

impl Built {
    /// Values that the unit reads from memory.
    pub fn reads(&self) -> Vec<ValueId> {
        let fused = self.fused.iter().flat_map(|f| f.operands.iter().map(|o| o.value));
        let beyond = fused.filter(|v| !self.results.contains(v));
        self.operands.iter().copied().chain(beyond).collect()
    }
}

/// All units of a graph in an order in which they can run.
pub(super) fn order(graph: &Graph, groups: &[Built], waits: bool) -> Result<Vec<Unit>, PlanError> {
    let mut grouped = vec![false; graph.nodes.len()];
    let mut units: Vec<(u32, Unit)> = Vec::new();
    for (g, built) in groups.iter().enumerate() {
        let nodes = || built.group.roots.iter().chain(&built.group.members);
        nodes().for_each(|n| grouped[n.0 as usize] = true);
        if built.fused.is_some() {
            units.push((nodes().map(|n| n.0).max().unwrap_or(0), Unit::Group(g)));
        }
    }
    for (id, node) in graph.iter() {
        if !grouped[id.0 as usize] && !matches!(node.op, Op::Const(_)) {
            units.push((id.0, Unit::Node(id)));
        }
    }
    units.sort_by_key(|u| u.0);
    let mut producer: BTreeMap<ValueId, usize> = BTreeMap::new();
    let mut binder: BTreeMap<SymId, usize> = BTreeMap::new();
    for (u, (_, unit)) in units.iter().enumerate() {
        match unit {
            Unit::Group(g) => {
                for value in &groups[*g].group.stored {
                    producer.insert(*value, u);
                }
            }
            Unit::Node(n) => {
                if let Some(node) = graph.node(*n) {
                    node.results.iter().for_each(|r| {
                        producer.insert(*r, u);
                    });
                    node.binds.iter().for_each(|s| {
                        binder.insert(*s, u);
                    });
                }
            }
        }
    }
    let mut after: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); units.len()];
    let mut waiting = vec![0usize; units.len()];
    for (u, (_, unit)) in units.iter().enumerate() {
        let mut needs: BTreeSet<usize> = BTreeSet::new();
        let mut symbol = |s: SymId| {
            needs.extend(binder.get(&s).filter(|b| **b != u));
        };
        let reads = match unit {
            Unit::Group(g) => {
                let built = &groups[*g];
                if let Some(fused) = &built.fused {
                    fused_symbols(fused, &mut symbol);
                }
                for root in &built.group.roots {
                    if let Some(node) = graph.node(*root) {
                        node_symbols(graph, node, &mut symbol);
                    }
                }
                built.reads()
            }
            Unit::Node(n) => {
                let node = graph.node(*n).ok_or(PlanError::Circle)?;
                node_symbols(graph, node, &mut symbol);
                node.operands.clone()
            }
        };
        needs.extend(reads.iter().filter_map(|v| producer.get(v)).filter(|p| **p != u));
        for need in needs {
            after[need].insert(u);
            waiting[u] += 1;
        }
    }
    let late: Vec<bool> = units.iter().map(|(_, unit)| waits && is_read_back(graph, unit)).collect();
    // Pairs of whether it waits and its number: what waits comes last.
    let mut ready: BTreeSet<(bool, usize)> =
        (0..units.len()).filter(|u| waiting[*u] == 0).map(|u| (late[u], u)).collect();
    let mut sorted = Vec::with_capacity(units.len());
    let mut batch: Vec<usize> = Vec::new();
    loop {
        match ready.pop_first() {
            Some((true, u)) => batch.push(u),
            Some((false, u)) => batch = vec![u],
            None => break,
        }
        // All that is read in one wait goes before what that sets free.
        if batch.first().is_some_and(|u| late[*u]) && !ready.is_empty() {
            continue;
        }
        for u in std::mem::take(&mut batch) {
            sorted.push(units[u].1.clone());
            for next in &after[u] {
                waiting[*next] -= 1;
                if waiting[*next] == 0 {
                    ready.insert((late[*next], *next));
                }
            }
        }
    }
    if sorted.len() == units.len() { Ok(sorted) } else { Err(PlanError::Circle) }
}

fn is_read_back(graph: &Graph, unit: &Unit) -> bool {
    match unit {
        Unit::Node(n) => graph.node(*n).is_some_and(|node| matches!(node.op, Op::Bind)),
        Unit::Group(_) => false,
    }
}

/// Symbols in the sizes of a fused group.
fn fused_symbols(fused: &Fused, visit: &mut dyn FnMut(SymId)) {
    fused.shape.iter().for_each(|d| d.for_each_symbol(visit));
    fused.reduce.iter().for_each(|e| e.bound.for_each_symbol(visit));
    fused.operands.iter().flat_map(|o| &o.shape).for_each(|d| d.for_each_symbol(visit));
    expr_symbols(&fused.exprs, visit);
}

fn expr_symbols(exprs: &graph::expr::Exprs, visit: &mut dyn FnMut(SymId)) {
    for (_, expr) in exprs.iter() {
        if let graph::expr::Expr::Dim(dim) = expr {
            dim.for_each_symbol(visit);
        }
    }
}

/// Symbols that a node needs: those in the types it touches and inside its bodies, but not those it brings into being.
fn node_symbols(graph: &Graph, node: &Node, visit: &mut dyn FnMut(SymId)) {
    let own: BTreeSet<SymId> = node.binds.iter().copied().chain(inner_binds(node)).collect();
    let mut outside = |s: SymId| {
        if !own.contains(&s) {
            visit(s);
        }
    };
    for value in node.operands.iter().chain(&node.results) {
        if let Some(v) = graph.value(*value) {
            v.ty.for_each_dim(&mut |d| d.for_each_symbol(&mut outside));
        }
    }
    match &node.op {
        Op::Compute(c) => {
            c.reduce.iter().for_each(|e| e.bound.for_each_symbol(&mut outside));
            expr_symbols(&c.exprs, &mut outside);
        }
        Op::Scatter(s) => {
            s.domain.iter().for_each(|d| d.for_each_symbol(&mut outside));
            expr_symbols(&s.exprs, &mut outside);
        }
        Op::Sort(s) => s.limit.iter().for_each(|d| d.for_each_symbol(&mut outside)),
        Op::Compact(c) => c.bound.for_each_symbol(&mut outside),
        Op::Scan(s) => s.trip.for_each_symbol(&mut outside),
        Op::Const(_) | Op::Prefix(_) | Op::If(_) | Op::Loop(_) | Op::Bind | Op::Host(_) | Op::Region(_) => {}
    }
    for body in node.op.bodies() {
        for inner in &body.nodes {
            node_symbols(body, inner, &mut outside);
        }
    }
}

fn inner_binds(node: &Node) -> Vec<SymId> {
    let mut out = Vec::new();
    for body in node.op.bodies() {
        out.extend(&body.binds);
        for inner in &body.nodes {
            out.extend(&inner.binds);
            out.extend(inner_binds(inner));
        }
    }
    out
}
