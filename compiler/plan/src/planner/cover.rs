//! The cover: which claims are taken, and the groups that nodes fall into.

use graph::graph::{Graph, NodeId};
use graph::node::Op;

use crate::claim::{Claim, Site};
use crate::facts::Facts;
use crate::group::{Group, grow};
use crate::planner::{Planner, constant_of};

impl<C: Clone + PartialEq + std::fmt::Debug> Planner<'_, C> {
    /// The cheapest cover by claims: most saving first, no node twice. What a claim saves is what its nodes cost the generic
    /// way. With each claim, the number of its claimant.
    pub(super) fn cover(&self, graph: &Graph, facts: &Facts) -> Vec<(usize, Claim<C>)> {
        let constants = |value| constant_of(graph, facts, value);
        let site = Site { graph, symbols: &self.symbols, facts, constants: &constants };
        let mut offers: Vec<(f64, usize, Claim<C>)> = Vec::new();
        for (id, node) in graph.iter() {
            for (family, claimant) in self.target.claimants.iter().enumerate() {
                for claim in claimant.claims(&site, id) {
                    let generic: f64 = claim.nodes.iter().map(|n| self.generic_cost(graph, *n)).sum();
                    offers.push((generic - claim.cost, family, claim));
                }
            }
            debug_assert!(!matches!(node.op, Op::Region(_)) || !offers.is_empty());
        }
        // A stable sort keeps the order of nodes and claimants among equals.
        offers.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut taken = vec![false; graph.nodes.len()];
        let mut chosen: Vec<(usize, Claim<C>)> = Vec::new();
        for (_, family, claim) in offers {
            if claim.nodes.iter().all(|n| !taken.get(n.0 as usize).copied().unwrap_or(true)) {
                claim.nodes.iter().for_each(|n| taken[n.0 as usize] = true);
                chosen.push((family, claim));
            }
        }
        chosen.sort_by_key(|(_, c)| c.nodes.iter().min().copied());
        chosen
    }

    /// Nanoseconds that a node costs as a generic nest on one core: one operation each, a region by its body.
    fn generic_cost(&self, graph: &Graph, node: NodeId) -> f64 {
        let Some(node) = graph.node(node) else { return 0.0 };
        match &node.op {
            Op::Region(region) => {
                let body = &region.body;
                (0..body.nodes.len()).map(|n| self.generic_cost(body, NodeId(n as u32))).sum()
            }
            Op::Compute(compute) => {
                let mut domain = graph::dim::Dim::product(&compute.shape);
                for extent in &compute.reduce {
                    domain = &domain * &extent.bound;
                }
                let points = crate::group::estimate(&domain, &self.symbols) as f64;
                points * compute.exprs.len() as f64
            }
            Op::Scan(scan) => {
                let steps = crate::group::estimate(&scan.trip, &self.symbols) as f64;
                let body: f64 =
                    (0..scan.body.nodes.len()).map(|n| self.generic_cost(&scan.body, NodeId(n as u32))).sum();
                steps * body
            }
            Op::Const(_)
            | Op::Scatter(_)
            | Op::Sort(_)
            | Op::Compact(_)
            | Op::Prefix(_)
            | Op::If(_)
            | Op::Loop(_)
            | Op::Bind
            | Op::Host(_) => 0.0,
        }
    }

    /// Groups for all claims and Computes; each group's nodes are marked as taken.
    pub(super) fn groups(&self, graph: &Graph, facts: &Facts, claims: &[Claim<C>]) -> Vec<Group> {
        let mut taken = vec![false; graph.nodes.len()];
        claims.iter().flat_map(|c| &c.nodes).for_each(|n| taken[n.0 as usize] = true);
        let mut groups: Vec<Group> = Vec::new();
        let mut add = |group: Group, taken: &mut Vec<bool>, roots: (&[NodeId], &[graph::graph::ValueId])| {
            groups.push(group);
            let last = groups.len() - 1;
            if !groups[last].members.is_empty() && has_circle(graph, facts, &groups) {
                groups[last] = grow(graph, facts, groups[last].claim, roots.0, roots.1, false, taken);
            }
            groups[last].members.iter().for_each(|m| taken[m.0 as usize] = true);
        };
        for (k, claim) in claims.iter().enumerate() {
            let group = grow(graph, facts, Some(k), &claim.nodes, &claim.results, claim.epilogue, &taken);
            add(group, &mut taken, (&claim.nodes, &claim.results));
        }
        for (id, node) in graph.iter() {
            if taken[id.0 as usize] || !matches!(node.op, Op::Compute(_)) {
                continue;
            }
            taken[id.0 as usize] = true;
            let group = grow(graph, facts, None, &[id], &node.results, true, &taken);
            add(group, &mut taken, (&[id], &node.results));
        }
        groups
    }
}

/// Whether groups, with the nodes between them, depend on each other in a circle.
fn has_circle(graph: &Graph, facts: &Facts, groups: &[Group]) -> bool {
    let mut owner: Vec<usize> = (0..graph.nodes.len()).map(|n| groups.len() + n).collect();
    for (g, group) in groups.iter().enumerate() {
        group.roots.iter().chain(&group.members).for_each(|n| owner[n.0 as usize] = g);
    }
    let count = groups.len() + graph.nodes.len();
    let mut after = vec![Vec::new(); count];
    let mut waiting = vec![0usize; count];
    for (id, node) in graph.iter() {
        let to = owner[id.0 as usize];
        for operand in &node.operands {
            if let Some((from, _)) = facts.definition(*operand) {
                let from = owner[from.0 as usize];
                if from != to {
                    after[from].push(to);
                    waiting[to] += 1;
                }
            }
        }
    }
    let mut ready: Vec<usize> = (0..count).filter(|n| waiting[*n] == 0).collect();
    let mut done = 0;
    while let Some(n) = ready.pop() {
        done += 1;
        for next in &after[n] {
            waiting[*next] -= 1;
            if waiting[*next] == 0 {
                ready.push(*next);
            }
        }
    }
    done < count
}
