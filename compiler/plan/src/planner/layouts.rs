//! Layouts: claims vote for the layouts of what they read and write, the most votes win, and what is chosen spreads: over pointwise
//! groups, and over groups that walk operand and result in step (windows, resampling, the parts of a concatenation). Where a claim
//! then still needs another layout, a reformat is put in.

use std::collections::{BTreeMap, BTreeSet};

use graph::expr::Expr;
use graph::graph::{Graph, ValueId};
use nest::fuse::Fused;
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

/// A value without votes takes the layout of a value of the same shape, or walked in step, in a group that reads or writes both.
fn spread(graph: &Graph, groups: &[Built], free: &BTreeSet<ValueId>, chosen: &mut BTreeMap<ValueId, Layout>) {
    let shape = |v: ValueId| graph.tensor(v).map(|t| t.shape.clone());
    // What only looks at other elements costs nothing in whatever layout it has.
    let moves = groups.iter().filter_map(|b| b.fused.as_ref()).filter(|f| is_view(f));
    let moves: BTreeSet<ValueId> = moves.flat_map(|f| f.results.iter().copied()).collect();
    for round in 0..4 {
        let mut changed = false;
        let order: Vec<&Built> = if round % 2 == 0 { groups.iter().collect() } else { groups.iter().rev().collect() };
        for built in order {
            let Some(fused) = &built.fused else { continue };
            let operands = fused.operands.iter().map(|o| o.value);
            if fused.reduce.is_empty() {
                let all = operands.clone().chain(fused.results.iter().copied());
                let same: Vec<ValueId> = all.filter(|v| shape(*v).as_ref() == Some(&fused.shape)).collect();
                let layout = same.iter().find_map(|v| chosen.get(v)).cloned();
                changed |= adopt(same.into_iter(), layout, free, chosen);
            }
            let in_step: Vec<ValueId> = (0..fused.operands.len())
                .filter(|k| walks_in_step(fused, *k))
                .filter_map(|k| fused.operands.get(k).map(|o| o.value))
                .collect();
            let all = || fused.results.iter().chain(&in_step).copied();
            let layout = all().find_map(|v| chosen.get(&v)).filter(|l| l.block.is_none()).cloned();
            changed |= adopt(all().filter(|v| !moves.contains(v)), layout, free, chosen);
        }
        if !changed && round > 0 {
            break;
        }
    }
}

/// Gives values without a layout this one; yields whether there was such a value.
fn adopt(
    values: impl Iterator<Item = ValueId>,
    layout: Option<Layout>,
    free: &BTreeSet<ValueId>,
    chosen: &mut BTreeMap<ValueId, Layout>,
) -> bool {
    let Some(layout) = layout else { return false };
    let mut changed = false;
    for value in values {
        if free.contains(&value) && !chosen.contains_key(&value) {
            chosen.insert(value, layout.clone());
            changed = true;
        }
    }
    changed
}

/// Whether a group does nothing but look at an operand in other places.
fn is_view(fused: &Fused) -> bool {
    let ([out], [_]) = (&fused.outs[..], &fused.operands[..]) else { return false };
    fused.reduce.is_empty() && matches!(fused.exprs.get(*out), Some(Expr::Load { or: None, .. }))
}

/// Whether an operand has the rank of the result, and its index along each dim depends on the result's along the same dim alone
/// (beside steps of reductions): neighbours along a dim of the result then read neighbours along that dim.
fn walks_in_step(fused: &Fused, operand: usize) -> bool {
    let rank = fused.shape.len();
    if rank < 3 || fused.operands.get(operand).is_none_or(|o| o.shape.len() != rank) {
        return false;
    }
    fused.exprs.iter().all(|(_, expr)| match expr {
        Expr::Load { operand: k, index, .. } if *k as usize == operand => index.iter().enumerate().all(|(d, at)| {
            let needed = nest::fuse::reachable(&fused.exprs, &[*at]);
            fused.exprs.iter().zip(needed).all(|((_, expr), needed)| match expr {
                Expr::Index(k) if needed => *k as usize == d || *k as usize >= rank,
                _ => true,
            })
        }),
        _ => true,
    })
}

#[cfg(test)]
mod tests {
    use graph::dim::Dim;
    use graph::dtype::DType;
    use graph::expr::{BinOp, ExprId, Exprs, Leaves};
    use graph::scalar::Scalar;
    use nest::fuse::FusedOperand;

    use super::*;

    /// A group over `[2, 3, 4]` that reads an operand of this shape at indices that each are a sum of index variables.
    fn check(shape: &[i64], index: &[&[u32]], expected: bool) {
        let dims = |shape: &[i64]| shape.iter().copied().map(Dim::constant).collect::<Vec<Dim>>();
        let leaves = Leaves { operands: &[DType::F32], accs: &[] };
        let mut exprs = Exprs::default();
        let mut at: Vec<ExprId> = Vec::new();
        for variables in index {
            let mut sum = exprs.add(Expr::Const(Scalar::i64(0)), leaves).unwrap();
            for k in *variables {
                let k = exprs.add(Expr::Index(*k), leaves).unwrap();
                sum = exprs.add(Expr::Binary(BinOp::Add, sum, k), leaves).unwrap();
            }
            at.push(sum);
        }
        let out = exprs.add(Expr::Load { operand: 0, index: at, or: None }, leaves).unwrap();
        let fused = Fused {
            shape: dims(&[2, 3, 4]),
            operands: vec![FusedOperand { value: ValueId(0), dtype: DType::F32, shape: dims(shape) }],
            reduce: Vec::new(),
            exprs,
            accs: Vec::new(),
            outs: vec![out],
            results: vec![ValueId(1)],
            origins: Vec::new(),
        };
        assert_eq!(walks_in_step(&fused, 0), expected, "{shape:?} {index:?}");
    }

    #[test]
    fn windows_and_parts_walk_in_step() {
        check(&[2, 3, 4], &[&[0], &[1], &[2]], true);
        check(&[2, 3, 9], &[&[0], &[1], &[2, 3]], true);
        check(&[2, 1, 4], &[&[0], &[], &[2]], true);
    }

    #[test]
    fn transposes_and_reshapes_do_not() {
        check(&[2, 4, 3], &[&[0], &[2], &[1]], false);
        check(&[2, 3, 4], &[&[0], &[1, 2], &[2]], false);
        check(&[6, 4], &[&[0, 1], &[2]], false);
    }
}
