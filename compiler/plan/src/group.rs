//! Groups: nodes that one launch runs. Every node is in at most one group.
//!
//! A group grows from a root (a claim, or a Compute) over pointwise readers of one shape: they become its epilogue. Then
//! groups that only move or cheaply recompute elements are inlined into their readers, by one law with one table.

use std::collections::BTreeSet;

use graph::dim::Dim;
use graph::expr::{Expr, UnOp};
use graph::graph::{Graph, NodeId, ValueId};
use graph::node::{Compute, Const, Node, Op};
use graph::symbol::Symbols;
use nest::fuse::Fused;

use crate::facts::Facts;

/// A root and the pointwise nodes after it.
#[derive(Clone, Debug)]
pub struct Group {
    /// Index of the claim, if the root is one.
    pub claim: Option<usize>,
    /// Nodes of the root.
    pub roots: Vec<NodeId>,
    /// Pointwise nodes taken in, ascending.
    pub members: Vec<NodeId>,
    /// Values that others read, in order of definition.
    pub stored: Vec<ValueId>,
}

/// Weight of one evaluation of an expression node, in units of an addition; the table of the inlining law.
fn weight(expr: &Expr) -> u64 {
    match expr {
        Expr::Const(_) | Expr::Index(_) | Expr::Acc(_) | Expr::Dim(_) | Expr::Cast { .. } | Expr::Bitcast { .. } => 0,
        Expr::Load { .. } => 0,
        Expr::Unary(op, _) => match op {
            UnOp::Neg | UnOp::Abs | UnOp::Not | UnOp::IsNan | UnOp::IsInf | UnOp::Sign => 1,
            UnOp::Floor | UnOp::Ceil | UnOp::Round | UnOp::Trunc | UnOp::PopCount => 1,
            UnOp::Sqrt | UnOp::Recip => 4,
            _ => 16,
        },
        Expr::Binary(op, _, _) => match op {
            graph::expr::BinOp::Div | graph::expr::BinOp::Rem | graph::expr::BinOp::Mod => 4,
            graph::expr::BinOp::Pow | graph::expr::BinOp::Atan2 => 24,
            _ => 1,
        },
        Expr::Compare(..) | Expr::Select(..) | Expr::Fma(..) => 1,
    }
}

/// Recomputation that costs no more than storing an element and reading it back.
const BUDGET: u64 = 6;

/// Whether a Compute reads all of `values` only at its own index, and computes one element per index.
fn is_pointwise_reader(compute: &Compute, operands: &[ValueId], values: &BTreeSet<ValueId>, shape: &[Dim]) -> bool {
    if !compute.reduce.is_empty() || compute.shape != shape {
        return false;
    }
    compute.exprs.iter().all(|(_, expr)| {
        let Expr::Load { operand, index, or } = expr else { return true };
        let Some(value) = operands.get(*operand as usize) else { return false };
        if !values.contains(value) {
            return true;
        }
        or.is_none()
            && index.len() == shape.len()
            && index.iter().enumerate().all(|(d, e)| {
                let here = compute.exprs.get(*e);
                here == Some(&Expr::Index(d as u32))
                    || (shape.get(d).is_some_and(|s| s.is(1))
                        && here == Some(&Expr::Const(graph::scalar::Scalar::i64(0))))
            })
    })
}

/// Grows a group from roots whose results have one shape.
pub fn grow(
    graph: &Graph,
    facts: &Facts,
    claim: Option<usize>,
    roots: &[NodeId],
    results: &[ValueId],
    extend: bool,
    taken: &[bool],
) -> Group {
    let mut inside: BTreeSet<ValueId> = results.iter().copied().collect();
    let mut tainted: BTreeSet<ValueId> = BTreeSet::new();
    let mut members = Vec::new();
    let shape = results.first().and_then(|r| graph.tensor(*r)).map(|t| t.shape.clone());
    for root in roots {
        if let Some(node) = graph.node(*root) {
            tainted.extend(node.results.iter().filter(|r| !inside.contains(r)));
        }
    }
    let last_root = roots.iter().max().copied().unwrap_or(NodeId(0));
    for (id, node) in graph.iter().skip(last_root.0 as usize + 1) {
        let reads_inside = node.operands.iter().any(|o| inside.contains(o));
        let reads_tainted = node.operands.iter().any(|o| tainted.contains(o));
        if !reads_inside && !reads_tainted {
            continue;
        }
        let fits = match (&node.op, &shape) {
            (Op::Compute(compute), Some(shape)) => {
                extend
                    && reads_inside
                    && !reads_tainted
                    && !taken.get(id.0 as usize).copied().unwrap_or(true)
                    && is_pointwise_reader(compute, &node.operands, &inside, shape)
            }
            _ => false,
        };
        // A node with a body may use symbols that the group defines nowhere; only values matter here.
        if fits {
            inside.extend(node.results.iter());
            members.push(id);
        } else {
            tainted.extend(node.results.iter());
        }
    }
    drop_widening(graph, facts, &mut members);
    let mut group = Group { claim, roots: roots.to_vec(), members, stored: Vec::new() };
    group.stored = stored(graph, facts, &group, results);
    group
}

/// Drops members that only widen what the group has, for Computes outside: these read the narrow value and widen it themselves.
fn drop_widening(graph: &Graph, facts: &Facts, members: &mut Vec<NodeId>) {
    for position in (0..members.len()).rev() {
        let Some((id, node)) = members.get(position).and_then(|id| Some((*id, graph.node(*id)?))) else { continue };
        let [result] = node.results[..] else { continue };
        let is_compute = |r: &NodeId| graph.node(*r).is_some_and(|n| matches!(n.op, Op::Compute(_)));
        let readers = facts.readers(result);
        let outside = readers.iter().all(|r| is_compute(r) && !members.contains(r));
        if is_widening(node) && outside && !facts.is_output(result) {
            members.retain(|m| *m != id);
        }
    }
}

/// Whether a Compute does nothing but to cast an operand to more bits.
fn is_widening(node: &Node) -> bool {
    let Op::Compute(compute) = &node.op else { return false };
    let [out] = compute.outs[..] else { return false };
    match compute.exprs.get(out) {
        Some(Expr::Cast { to, value, .. }) => {
            let load = matches!(compute.exprs.get(*value), Some(Expr::Load { or: None, .. }));
            load && to.bits() > compute.exprs.dtype(*value).bits()
        }
        _ => false,
    }
}

/// Values of a group that are outputs or read outside of it.
fn stored(graph: &Graph, facts: &Facts, group: &Group, results: &[ValueId]) -> Vec<ValueId> {
    let own = |n: &NodeId| group.roots.contains(n) || group.members.contains(n);
    let defined = group.members.iter().filter_map(|m| graph.node(*m)).flat_map(|n| n.results.iter().copied());
    results
        .iter()
        .copied()
        .chain(defined)
        .filter(|v| facts.is_output(*v) || facts.readers(*v).iter().any(|r| !own(r)))
        .collect()
}

/// The Fused of a Compute root with its members; `None` for claims.
pub fn fuse_compute_group(graph: &Graph, group: &Group) -> Option<Fused> {
    let root = graph.node(*group.roots.first()?)?;
    let Op::Compute(compute) = &root.op else { return None };
    let fused = Fused::new(graph, compute, &root.operands, &root.results)?;
    append_members(graph, group, fused)
}

/// A Fused that starts with the elements of `results` at the index, followed by the members.
pub fn fuse_epilogue(graph: &Graph, group: &Group, results: &[ValueId]) -> Option<Fused> {
    let shape = graph.tensor(*results.first()?)?.shape.clone();
    let identity = identity_compute(graph, results, &shape)?;
    let fused = Fused::new(graph, &identity, results, results)?;
    // The virtual operands stay even if a result is not used, so that operand k is result k.
    append_members(graph, group, fused)
}

/// What stands for a claim that has no epilogue: nothing but the origins.
pub fn fuse_nothing(graph: &Graph, group: &Group) -> Fused {
    let mut origins = Vec::new();
    for id in &group.roots {
        origins.extend(graph.node(*id).map(|n| n.origins.clone()).unwrap_or_default());
    }
    Fused {
        shape: Vec::new(),
        operands: Vec::new(),
        reduce: Vec::new(),
        exprs: graph::expr::Exprs::default(),
        accs: Vec::new(),
        outs: Vec::new(),
        results: Vec::new(),
        origins,
    }
}

fn append_members(graph: &Graph, group: &Group, mut fused: Fused) -> Option<Fused> {
    for member in &group.members {
        let node = graph.node(*member)?;
        let Op::Compute(compute) = &node.op else { return None };
        let reader = Fused::new(graph, compute, &node.operands, &node.results)?;
        let keep = vec![true; fused.outs.len()];
        fused.append(&reader, &keep).ok()?;
    }
    let (mut outs, mut results) = (Vec::new(), Vec::new());
    for (out, result) in fused.outs.iter().zip(&fused.results) {
        if group.stored.contains(result) {
            outs.push(*out);
            results.push(*result);
        }
    }
    (fused.outs, fused.results) = (outs, results);
    let mut origins: Vec<_> = Vec::new();
    for id in group.roots.iter().chain(&group.members) {
        for origin in graph.node(*id).map(|n| n.origins.as_slice()).unwrap_or(&[]) {
            if !origins.contains(origin) {
                origins.push(*origin);
            }
        }
    }
    fused.origins = origins;
    Some(fused)
}

fn identity_compute(graph: &Graph, results: &[ValueId], shape: &[Dim]) -> Option<Compute> {
    use graph::expr::{Exprs, Leaves};
    let dtypes: Vec<_> = results.iter().filter_map(|r| graph.tensor(*r)).map(|t| t.dtype).collect();
    let leaves = Leaves { operands: &dtypes, accs: &[] };
    let mut exprs = Exprs::default();
    let index: Vec<_> =
        (0..shape.len()).map(|d| exprs.add(Expr::Index(d as u32), leaves)).collect::<Result<_, _>>().ok()?;
    let outs: Vec<_> = (0..results.len())
        .map(|k| exprs.add(Expr::Load { operand: k as u32, index: index.clone(), or: None }, leaves))
        .collect::<Result<_, _>>()
        .ok()?;
    Some(Compute { shape: shape.to_vec(), reduce: Vec::new(), exprs, accs: Vec::new(), outs })
}

/// The law: a producer that reduces nothing goes into its readers if it only moves elements, or if computing it anew for
/// every read costs no more than the budget beyond computing it once.
pub fn should_inline(producer: &Fused, readers: &[&Fused], symbols: &Symbols) -> bool {
    if !producer.reduce.is_empty() {
        return false;
    }
    let needed = nest::fuse::reachable(&producer.exprs, &producer.outs);
    let is_value = |id: graph::expr::ExprId| producer.exprs.dtype(id) != graph::dtype::DType::I64;
    let cost: u64 =
        producer.exprs.iter().filter(|(id, _)| needed[id.0 as usize] && is_value(*id)).map(|(_, e)| weight(e)).sum();
    let loads = producer.exprs.iter().filter(|(id, e)| needed[id.0 as usize] && matches!(e, Expr::Load { .. })).count();
    if cost == 0 && loads <= 1 {
        return true;
    }
    let own = estimate(&Dim::product(&producer.shape), symbols).max(1);
    let mut evaluations: u128 = 0;
    for reader in readers {
        let mut domain = Dim::product(&reader.shape);
        for extent in &reader.reduce {
            domain = &domain * &extent.bound;
        }
        let reads = reader
            .exprs
            .iter()
            .filter(|(_, e)| match e {
                Expr::Load { operand, .. } => {
                    reader.operands.get(*operand as usize).is_some_and(|o| producer.results.contains(&o.value))
                }
                _ => false,
            })
            .count();
        evaluations += u128::from(estimate(&domain, symbols)) * reads as u128;
    }
    let cost = u128::from(cost.max(loads as u64));
    cost * evaluations <= (cost + u128::from(BUDGET)) * u128::from(own)
}

/// A size at typical values of the symbols: the constant, or each symbol at 64 within its range.
pub fn estimate(dim: &Dim, symbols: &Symbols) -> u64 {
    let value = dim.eval(&|id| {
        let symbol = symbols.get(id)?;
        Some(64.clamp(symbol.lo, symbol.hi.unwrap_or(i64::MAX).max(symbol.lo)))
    });
    u64::try_from(value.unwrap_or(0).max(0)).unwrap_or(0)
}

/// The element that a constant value repeats, if it does.
pub fn splat_of(graph: &Graph, facts: &Facts, value: ValueId) -> Option<graph::scalar::Scalar> {
    let (node, _) = facts.definition(value)?;
    match &graph.node(node)?.op {
        Op::Const(Const::Splat(element)) => Some(*element),
        Op::Const(Const::Inline(tensor)) if tensor.len() == 1 => tensor.get(0),
        _ => None,
    }
}
