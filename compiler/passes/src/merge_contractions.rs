//! Merges contractions of one operand with constant weights into one with a wider weight: queries, keys and values.
//!
//! Before: `relabel` has settled the order of labels, `fold_affine` has made one constant of what is added. After: contractions
//! with the same first operand, labels and dtypes, whose second operands are constants of the same shape but for one label
//! that only they and the result have, are one; constants of that label that each adds are added once. What each was is a
//! slice of the result, a view. Outputs of the graph stay as they are.
//!
//! ```text
//! %1 = contract "mk,kn->mn" (%0, %wq) · %2 = contract "mk,kn->mn" (%0, %wk)
//!   → %1 = contract "mk,kn->mn" (%0, %w) · %2 = %1[:, 0..q] · %3 = %1[:, q..q+k]
//! ```

use std::collections::BTreeMap;

use graph::builder::BuildError;
use graph::dim::Dim;
use graph::graph::{Model, ValueId};
use graph::node::{Node, Op};
use graph::region::contract::{self, Contract};

use crate::affine::{self, Affine};
use crate::rewrite::{Patch, Rule, Site, rewrite};
use crate::{Changes, Ctx, Pass, PassError};

pub(crate) const PASS: Pass = Pass {
    name: "merge_contractions",
    run,
    reason: "one wide product keeps a device busier than three narrow ones, and reads its operand once",
    after: &["fold_affine", "relabel"],
    before: &["cse", "dce"],
};

fn run(model: &mut Model, ctx: &Ctx<'_>) -> Result<Changes, PassError> {
    if !ctx.options.merge_contractions {
        return Ok(Changes(0));
    }
    rewrite(model, ctx, PASS.name, &mut Merge { graphs: Vec::new() })
}

/// Merged results, by the first member of the group, in each of the graphs entered.
struct Merge {
    graphs: Vec<BTreeMap<ValueId, ValueId>>,
}

/// One contraction that can be merged, with the constant that is added to it, if that is all that reads it.
struct Member<'a> {
    region: &'a Node,
    contract: Contract,
    /// Dim of the label to join along: in the weight, in the result.
    dims: (usize, usize),
    /// What stands for the whole: the contraction's result, or the sum.
    result: ValueId,
    affine: Option<Affine<'a>>,
}

impl Rule for Merge {
    fn enter(&mut self) {
        self.graphs.push(BTreeMap::new());
    }

    fn leave(&mut self) {
        self.graphs.pop();
    }

    fn apply(&mut self, site: &mut Site<'_>, node: &Node) -> Result<Patch, BuildError> {
        let Some(own) = node.results.first().copied() else { return Ok(None) };
        let Some(member) = member(site, own) else { return Ok(None) };
        let group = group(site, &member);
        let (Some(first), true) = (group.first(), group.len() > 1) else { return Ok(None) };
        let first = first.result;
        let axis = member.dims.1;
        let known = self.graphs.last().and_then(|g| g.get(&first).copied());
        let merged = match known {
            Some(merged) => merged,
            None if own == first => match merge(site, &group)? {
                Some(merged) => merged,
                None => return Ok(None),
            },
            None => return Ok(None),
        };
        if let Some(graph) = self.graphs.last_mut() {
            graph.insert(first, merged);
        }
        let extent = |m: &Member<'_>| site.tensor(m.result).and_then(|t| t.shape.get(axis).cloned());
        let before: Option<Vec<Dim>> = group.iter().take_while(|m| m.result != own).map(extent).collect();
        let (Some(before), Some(count)) = (before, extent(&member)) else { return Ok(None) };
        let start = before.iter().fold(Dim::constant(0), |sum, d| &sum + d);
        site.b.set_origins(node.origins.clone());
        Ok(Some(vec![site.b.slice(merged, axis, &start, 1, count)?]))
    }
}

/// The member whose whole a value is.
fn member<'a>(site: &Site<'a>, value: ValueId) -> Option<Member<'a>> {
    if site.facts.is_output(value) {
        return None;
    }
    let (node, _) = site.definition(value)?;
    if let Some((contract, dims)) = mergeable(site, node) {
        return match reader_that_adds(site, value) {
            Some(_) => None,
            None => Some(Member { region: node, contract, dims, result: value, affine: None }),
        };
    }
    let affine = affine::behind_region(site, node)?;
    let (contract, dims) = mergeable(site, affine.region)?;
    adds_along(&affine, dims.1).then_some(Member {
        region: affine.region,
        contract,
        dims,
        result: value,
        affine: Some(affine),
    })
}

/// Whether all that an affine function does is to add a constant along a dim.
fn adds_along(affine: &Affine<'_>, dim: usize) -> bool {
    affine.links == 1
        && affine.scale.is_none()
        && affine.shift.is_some()
        && affine.dims(affine.shift).iter().all(|d| *d == dim)
}

/// The only reader of a contraction's result, if it adds a constant along the joined dim.
fn reader_that_adds(site: &Site<'_>, value: ValueId) -> Option<ValueId> {
    if site.facts.uses(value) != 1 {
        return None;
    }
    let live = site.old.iter().filter(|(id, _)| site.facts.is_live(*id));
    let (_, reader) = live.into_iter().find(|(_, n)| n.operands.contains(&value))?;
    let result = *reader.results.first()?;
    member_with_sum(site, result).then_some(result)
}

fn member_with_sum(site: &Site<'_>, value: ValueId) -> bool {
    let Some((node, _)) = site.definition(value) else { return false };
    let Some(affine) = affine::behind_region(site, node) else { return false };
    mergeable(site, affine.region).is_some_and(|(_, dims)| adds_along(&affine, dims.1))
}

/// A contraction with a constant second operand that has exactly one label of its own, and the place of that.
fn mergeable(site: &Site<'_>, node: &Node) -> Option<(Contract, (usize, usize))> {
    let Op::Region(region) = &node.op else { return None };
    if region.kind != &contract::KIND {
        return None;
    }
    let contract = Contract::from_attrs(&region.attrs).ok()?;
    let weight = *node.operands.get(1)?;
    let own: Vec<char> = contract.b.chars().filter(|l| !contract.a.contains(*l)).collect();
    let [label] = own[..] else { return None };
    let dims = (contract.b.find(label)?, contract.result.find(label)?);
    site.facts.is_const(site.old, weight).then_some((contract, dims))
}

/// All members that can be one with this, in the order of the graph.
fn group<'a>(site: &Site<'a>, member: &Member<'a>) -> Vec<Member<'a>> {
    let data = member.region.operands.first();
    let mut out: Vec<Member<'a>> = Vec::new();
    for (id, node) in site.old.iter() {
        if !site.facts.is_live(id) {
            continue;
        }
        let reads = |n: &Node| n.operands.first() == data && matches!(n.op, Op::Region(_));
        let behind = || node.operands.iter().filter_map(|v| site.definition(*v)).any(|(n, _)| reads(n));
        if !reads(node) && !behind() {
            continue;
        }
        let other = node.results.first().and_then(|r| self::member(site, *r));
        out.extend(other.filter(|other| fits(site, member, other)));
    }
    out
}

fn fits(site: &Site<'_>, a: &Member<'_>, b: &Member<'_>) -> bool {
    let weight = |m: &Member<'_>| m.region.operands.get(1).and_then(|v| site.tensor(*v)).cloned();
    let result = |m: &Member<'_>| site.tensor(m.result).map(|t| t.dtype);
    let (Some(x), Some(y)) = (weight(a), weight(b)) else { return false };
    let shapes = x.shape.iter().zip(&y.shape).enumerate().all(|(d, (x, y))| x == y || d == a.dims.0);
    a.contract == b.contract
        && a.region.operands.first() == b.region.operands.first()
        && a.affine.is_some() == b.affine.is_some()
        && x.dtype == y.dtype
        && result(a) == result(b)
        && shapes
}

/// The product with the joined weight, and the joined constant added.
fn merge(site: &mut Site<'_>, group: &[Member<'_>]) -> Result<Option<ValueId>, BuildError> {
    let Some(first) = group.first() else { return Ok(None) };
    let (mut weights, mut sums) = (Vec::with_capacity(group.len()), Vec::with_capacity(group.len()));
    for member in group {
        let Some(weight) = member.region.operands.get(1) else { return Ok(None) };
        weights.push(site.get(*weight)?);
        if let Some(affine) = &member.affine {
            let shape = site.tensor(member.result).map(|t| t.shape.clone()).unwrap_or_default();
            let Some(shift) = affine.shift else { return Ok(None) };
            let Some(tensor) = affine.tensor(site, shift, &shape, &[member.dims.1])? else { return Ok(None) };
            sums.push(site.b.constant(tensor)?);
        }
    }
    let weight = joined(site, &weights, first.dims.0)?;
    let sum = if sums.is_empty() { None } else { Some(joined(site, &sums, 0)?) };
    let Some(data) = first.region.operands.first() else { return Ok(None) };
    let data = site.get(*data)?;
    let mut origins = Vec::new();
    for origin in group.iter().flat_map(|m| &m.region.origins) {
        if !origins.contains(origin) {
            origins.push(*origin);
        }
    }
    site.b.set_origins(origins);
    let product = site.b.region_one(&contract::KIND, first.contract.to_attrs(), &[data, weight])?;
    let Some(sum) = sum else { return Ok(Some(product)) };
    let (shape, axis) = (site.b.shape(product)?, first.dims.1);
    let dtype = site.tensor(first.result).map_or(site.b.dtype(product)?, |t| t.dtype);
    let added = site.b.compute(&[product, sum], shape, |p| {
        let index = p.indices();
        let (x, s) = (p.load(0, &index), p.load(1, &[index[axis]]));
        let s = p.cast(s, p.dtype(x));
        let total = p.add(x, s);
        let total = p.cast(total, dtype);
        p.out(total);
    })?;
    Ok(Some(added))
}

/// Constants joined along a dim.
fn joined(site: &mut Site<'_>, parts: &[ValueId], axis: usize) -> Result<ValueId, BuildError> {
    let whole = site.b.concat(parts, axis)?;
    match site.b.const_tensor(whole) {
        Some(tensor) => site.b.constant(tensor),
        None => Ok(whole),
    }
}
