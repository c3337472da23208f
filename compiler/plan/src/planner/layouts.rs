//! Layouts: claims vote for the layouts of what they read and write, votes spread over pointwise groups, the most votes win.
//! Where a claim then still needs another layout, a reformat is put in.

use std::collections::{BTreeMap, BTreeSet};

use graph::graph::{Graph, ValueId};
use nest::layout::Layout;

use crate::claim::{Claim, Want};
use crate::facts::Facts;
use crate::planner::units::Built;

/// Layouts other than dense, by value.
pub(super) fn assign<C>(
    graph: &Graph,
    facts: &Facts,
    claims: &[Claim<C>],
    groups: &[Built],
    fixed: &BTreeSet<ValueId>,
) -> BTreeMap<ValueId, Layout> {
    let free = free_values(graph, facts, claims, groups, fixed);
    let mut votes: BTreeMap<ValueId, BTreeMap<Layout, usize>> = BTreeMap::new();
    for built in groups {
        let Some(claim) = built.group.claim.and_then(|c| claims.get(c)) else { continue };
        for operand in &claim.operands {
            if let Want::Layout(layout) = &operand.want {
                *votes.entry(operand.value).or_default().entry(layout.clone()).or_default() += 1;
            }
        }
        if let Some(layout) = &claim.result_layout {
            for value in &built.group.stored {
                *votes.entry(*value).or_default().entry(layout.clone()).or_default() += 1;
            }
        }
    }
    let mut chosen: BTreeMap<ValueId, Layout> = BTreeMap::new();
    for (value, tally) in &votes {
        // The last of equals in the order of layouts, which is fixed.
        if let Some((layout, _)) = tally.iter().max_by_key(|(_, n)| **n)
            && free.contains(value)
        {
            chosen.insert(*value, layout.clone());
        }
    }
    spread(graph, groups, &free, &mut chosen);
    chosen.retain(|_, layout| !layout.is_dense());
    chosen
}

/// Values whose layout may be chosen: stored by groups, and read by groups only.
fn free_values<C>(
    graph: &Graph,
    facts: &Facts,
    claims: &[Claim<C>],
    groups: &[Built],
    fixed: &BTreeSet<ValueId>,
) -> BTreeSet<ValueId> {
    let mut grouped = vec![false; graph.nodes.len()];
    for built in groups {
        built.group.roots.iter().chain(&built.group.members).for_each(|n| grouped[n.0 as usize] = true);
    }
    // A claim without an epilogue writes its results dense.
    let chooses =
        |b: &&Built| b.fused.is_some() && b.group.claim.and_then(|c| claims.get(c)).is_none_or(|c| c.epilogue);
    groups
        .iter()
        .filter(chooses)
        .flat_map(|b| b.group.stored.iter().copied())
        .filter(|v| !facts.is_output(*v) && !fixed.contains(v))
        .filter(|v| facts.readers(*v).iter().all(|r| grouped[r.0 as usize]))
        .collect()
}

/// A value without votes takes the layout of a value of the same shape in a group that reads or writes both.
fn spread(graph: &Graph, groups: &[Built], free: &BTreeSet<ValueId>, chosen: &mut BTreeMap<ValueId, Layout>) {
    let shape = |v: ValueId| graph.tensor(v).map(|t| t.shape.clone());
    for round in 0..4 {
        let mut changed = false;
        let order: Vec<&Built> = if round % 2 == 0 { groups.iter().collect() } else { groups.iter().rev().collect() };
        for built in order {
            let Some(fused) = &built.fused else { continue };
            if !fused.reduce.is_empty() {
                continue;
            }
            let mut all: Vec<ValueId> = fused.operands.iter().map(|o| o.value).collect();
            all.extend(&fused.results);
            let same: Vec<ValueId> = all.into_iter().filter(|v| shape(*v).as_ref() == Some(&fused.shape)).collect();
            let Some(layout) = same.iter().find_map(|v| chosen.get(v)).cloned() else { continue };
            for value in same {
                if free.contains(&value) && !chosen.contains_key(&value) {
                    chosen.insert(value, layout.clone());
                    changed = true;
                }
            }
        }
        if !changed && round > 0 {
            break;
        }
    }
}
