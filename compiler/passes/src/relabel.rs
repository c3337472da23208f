//! Puts the dims of contractions in the order of memory: a transpose before or after a contraction becomes an order of labels.
//!
//! Before: `views` and `pointwise_first` have brought maps next to contractions. After: an operand of a contraction that is a
//! map of something counts through it in the order of its dims (a slice, a reshape, or gone), and so does a map of the
//! result that nothing else reads, across pointwise work between the two.
//!
//! ```text
//! %2 = compute [n, k] (%1) { load 0 [i1, i0] }
//! %3 = region contract {labels = "mk,nk->mn"} (%0, %2)   →   %3 = region contract {labels = "mk,kn->mn"} (%0, %1)
//! ```

use graph::builder::BuildError;
use graph::graph::{Model, ValueId};
use graph::node::{Compute, Node, Op};
use graph::region::contract::{self, Contract};

use crate::algebra::space::Space;
use crate::map::{self, Digit, Map, is_outer, permuted};
use crate::rewrite::{Patch, Site, Stateless, rewrite};
use crate::{Changes, Ctx, Pass, PassError};

pub(crate) const PASS: Pass = Pass {
    name: "relabel",
    run,
    reason: "a kernel reads and writes any order of dims, so a transpose need not run",
    after: &["views", "pointwise_first"],
    before: &["cse", "dce"],
};

fn run(model: &mut Model, ctx: &Ctx<'_>) -> Result<Changes, PassError> {
    rewrite(model, ctx, PASS.name, &mut Stateless(rule))
}

fn rule(site: &mut Site<'_>, node: &Node) -> Result<Patch, BuildError> {
    match contract_of(node) {
        Some(contract) => operands(site, node, contract),
        None => result(site, node),
    }
}

fn contract_of(node: &Node) -> Option<Contract> {
    match &node.op {
        Op::Region(region) if region.kind == &contract::KIND => Contract::from_attrs(&region.attrs).ok(),
        _ => None,
    }
}

/// Dims of the operands in the order of what they are maps of.
fn operands(site: &mut Site<'_>, node: &Node, contract: Contract) -> Result<Patch, BuildError> {
    let [a, b] = node.operands[..] else { return Ok(None) };
    let (left, right) = (operand_order(site, a), operand_order(site, b));
    if left.is_none() && right.is_none() {
        return Ok(None);
    }
    let mut new = contract;
    let a = reordered(site, a, left, &mut new.a)?;
    let b = reordered(site, b, right, &mut new.b)?;
    site.b.set_origins(node.origins.clone());
    Ok(Some(vec![site.b.region_one(&contract::KIND, new.to_attrs(), &[a, b])?]))
}

/// The order of dims that counts through the source of a map, if it is another.
fn operand_order<'a>(site: &Site<'a>, value: ValueId) -> Option<(Map<'a>, Vec<usize>)> {
    let map = map::of_value(site.old, site.facts, value)?;
    let source = site.tensor(map.source)?;
    let space = Space::new(&site.b.model().symbols, map.compute.shape.clone());
    let (digits, _) = map.digits(&space, &source.shape)?;
    let shape = &map.compute.shape;
    let mut strides = Vec::with_capacity(shape.len());
    for (k, extent) in shape.iter().enumerate() {
        let mut own = digits.iter().filter(|d| d.k as usize == k);
        match (own.next(), own.next()) {
            (Some(digit), None) if digit.below.is(1) && digit.extent == *extent => {
                strides.push(Some(digit.stride.clone()))
            }
            (None, None) => strides.push(None),
            _ => return None,
        }
    }
    let order = sorted(strides.len(), &|d| strides.get(d).is_some_and(Option::is_some), &|x, y| match (
        &strides[x],
        &strides[y],
    ) {
        (Some(a), Some(b)) => is_outer(&space, a, b),
        _ => false,
    })?;
    Some((map, order))
}

/// Sorts the positions that may move by an order that may be partial; `None` if it says nothing new.
fn sorted(count: usize, moves: &dyn Fn(usize) -> bool, outer: &dyn Fn(usize, usize) -> bool) -> Option<Vec<usize>> {
    let slots: Vec<usize> = (0..count).filter(|d| moves(*d)).collect();
    let mut rest = slots.clone();
    let mut order: Vec<usize> = (0..count).collect();
    for slot in &slots {
        let first = rest.iter().position(|x| rest.iter().all(|y| x == y || outer(*x, *y)))?;
        order[*slot] = rest.remove(first);
    }
    (order.iter().enumerate().any(|(j, d)| j != *d)).then_some(order)
}

fn reordered(
    site: &mut Site<'_>,
    value: ValueId,
    order: Option<(Map<'_>, Vec<usize>)>,
    labels: &mut String,
) -> Result<ValueId, BuildError> {
    let Some((map, order)) = order else { return site.get(value) };
    let old: Vec<char> = labels.chars().collect();
    *labels = order.iter().filter_map(|d| old.get(*d)).collect();
    site.b.set_origins(map.node.origins.clone());
    let source = site.get(map.source)?;
    one(site.b.add_compute(permuted(map.compute, &order), vec![source])?)
}

/// Dims of a contraction's result, and of the pointwise work after it, in the order of the map that reads them.
fn result(site: &mut Site<'_>, node: &Node) -> Result<Patch, BuildError> {
    let Some(map) = map::of_node(node) else { return Ok(None) };
    let Some((region, chain)) = chain_before(site, map.source) else { return Ok(None) };
    let Some(mut contract) = contract_of(region) else { return Ok(None) };
    let Some(source) = site.tensor(map.source) else { return Ok(None) };
    let space = Space::new(&site.b.model().symbols, map.compute.shape.clone());
    let Some(order) = result_order(&space, &map, &source.shape) else { return Ok(None) };

    let old: Vec<char> = contract.result.chars().collect();
    contract.result = order.iter().filter_map(|d| old.get(*d)).collect();
    let operands = site.get_all(&region.operands)?;
    site.b.set_origins(region.origins.clone());
    let mut value = site.b.region_one(&contract::KIND, contract.to_attrs(), &operands)?;
    for (link, main) in chain.iter().rev() {
        let Op::Compute(compute) = &link.op else { return Ok(None) };
        let mut operands = Vec::with_capacity(link.operands.len());
        for (position, operand) in link.operands.iter().enumerate() {
            operands.push(if position == *main { value } else { site.get(*operand)? });
        }
        let moved = reindexed(&permuted(compute, &order), *main, &order);
        site.b.set_origins(link.origins.clone());
        value = one(site.b.add_compute(moved, operands)?)?;
    }
    site.b.set_origins(node.origins.clone());
    let moved = reindexed(map.compute, 0, &order);
    site.b.add_compute(moved, vec![value]).map(Some)
}

/// The contraction behind a value, through pointwise work that nothing else reads, nearest link first, each with the operand
/// that leads on.
fn chain_before<'a>(site: &Site<'a>, value: ValueId) -> Option<(&'a Node, Vec<(&'a Node, usize)>)> {
    let (mut value, mut chain) = (value, Vec::new());
    loop {
        let (node, _) = site.definition(value).filter(|_| site.facts.uses(value) == 1)?;
        if contract_of(node).is_some() {
            return Some((node, chain));
        }
        let main = in_place_operand(site, node)?;
        chain.push((node, main));
        value = *node.operands.get(main)?;
    }
}

/// The operand of a pointwise Compute that leads to a contraction: read in place only, of the same shape.
fn in_place_operand(site: &Site<'_>, node: &Node) -> Option<usize> {
    let Op::Compute(compute) = &node.op else { return None };
    if !compute.reduce.is_empty() || compute.outs.len() != 1 {
        return None;
    }
    node.operands.iter().position(|operand| {
        let same = site.tensor(*operand).is_some_and(|t| t.shape == compute.shape);
        let computed = site.definition(*operand).is_some_and(|(n, _)| matches!(n.op, Op::Region(_) | Op::Compute(_)));
        same && computed && site.facts.uses(*operand) == 1 && crate::map::reads_in_place(compute, node, *operand)
    })
}

/// The order of the source's dims in which the map counts through its own, if it is another.
fn result_order(space: &Space, map: &Map<'_>, source: &[graph::dim::Dim]) -> Option<Vec<usize>> {
    if !map.is_bijection(space, source) {
        return None;
    }
    let polynomials = space.polynomials(&map.compute.exprs);
    let mut places: Vec<Option<Digit>> = Vec::with_capacity(source.len());
    for (at, extent) in map.index.iter().zip(source) {
        if extent.is(1) {
            places.push(None);
            continue;
        }
        let polynomial = polynomials.get(at.0 as usize)?.as_ref()?;
        let [term] = polynomial.terms() else { return None };
        places.push(Some(map::digit(space, term)??));
    }
    let before = |x: usize, y: usize| match (&places[x], &places[y]) {
        (Some(a), Some(b)) if a.k == b.k => is_outer(space, &a.below, &b.below),
        (Some(a), Some(b)) => a.k < b.k,
        _ => false,
    };
    sorted(places.len(), &|d| places.get(d).is_some_and(Option::is_some), &before)
}

/// Loads of an operand whose dims are in another order now.
fn reindexed(compute: &Compute, main: usize, order: &[usize]) -> Compute {
    let mut exprs = graph::expr::Exprs::default();
    for (id, expr) in compute.exprs.iter() {
        let expr = match expr {
            graph::expr::Expr::Load { operand, index, or } if *operand as usize == main => graph::expr::Expr::Load {
                operand: *operand,
                index: order.iter().filter_map(|d| index.get(*d).copied()).collect(),
                or: *or,
            },
            other => other.clone(),
        };
        exprs.push_raw(expr, compute.exprs.dtype(id));
    }
    Compute { exprs, ..compute.clone() }
}

fn one(values: Vec<ValueId>) -> Result<ValueId, BuildError> {
    let found = values.len();
    values.into_iter().next().ok_or(BuildError::Results { expected: 1, found })
}
