//! Which values become 16 bit: what products read, what views of such values look at, and what kernels store on the way from one
//! product to the next.

use graph::dim::Dim;
use graph::dtype::DType;
use graph::expr::{BinOp, Expr, UnOp};
use graph::graph::{Graph, NodeId, ValueId};
use graph::node::{Compute, Node, Op, Region};
use graph::region::contract::Contract;
use graph::region::pool::{Mode, Pool};
use graph::region::{attention, contract, conv, conv_transpose, nms, norm, pool, rnn};

use super::{constant, groups, point};
use crate::algebra::arena::reached;
use crate::facts::Facts;

/// What becomes of a graph.
pub(super) struct Choice {
    narrow: Values,
    /// By first result: how many of a node's first operands products read in the narrow type.
    factors: Vec<usize>,
}

/// A flag a value.
struct Values(Vec<bool>);

impl Values {
    fn none(graph: &Graph) -> Values {
        Values(vec![false; graph.values.len()])
    }

    fn has(&self, value: ValueId) -> bool {
        self.0.get(value.0 as usize).copied().unwrap_or(false)
    }

    fn add(&mut self, value: ValueId) {
        if let Some(slot) = self.0.get_mut(value.0 as usize) {
            *slot = true;
        }
    }
}

/// The sums that rounding of their terms matters little for have at least so many.
const TERMS: i64 = 8;

/// Whether a node multiplies and sums elements of f32, enough of them that narrow operands are worth it.
pub(super) fn is_product(graph: &Graph, node: &Node) -> bool {
    let Op::Region(region) = &node.op else { return false };
    let f32s = |count: usize| {
        let dtypes = node.operands.iter().take(count).map(|o| graph.tensor(*o).map(|t| t.dtype));
        dtypes.clone().count() == count && dtypes.into_iter().all(|d| d == Some(DType::F32))
    };
    if region.kind == &contract::KIND {
        let Ok(contract) = Contract::from_attrs(&region.attrs) else { return false };
        let shape = node.operands.first().and_then(|o| graph.tensor(*o)).map(|t| t.shape.as_slice());
        let summed = contract.a.chars().zip(shape.unwrap_or_default()).filter(|(l, _)| !contract.result.contains(*l));
        let terms = Dim::product(summed.map(|(_, extent)| extent));
        return f32s(2) && contract.acc == DType::F32 && terms.as_const().is_none_or(|terms| terms >= TERMS);
    }
    if region.kind == &conv::KIND || region.kind == &conv_transpose::KIND {
        return f32s(2) && region.attrs.dtype("acc") == Some(DType::F32);
    }
    (region.kind == &attention::KIND || region.kind == &rnn::KIND) && f32s(3)
}

/// Whether a region yields elements of its operand, so that it works in any dtype.
pub(super) fn keeps_elements(region: &Region) -> bool {
    region.kind == &pool::KIND && Pool::from_attrs(&region.attrs).is_ok_and(|p| matches!(p.mode, Mode::Max { .. }))
}

/// Whether a factor of an operand is one of the result.
fn is_linear(region: &Region) -> bool {
    [contract::KIND.name, conv::KIND.name, conv_transpose::KIND.name].contains(&region.kind.name)
}

impl Choice {
    pub(super) fn of(graph: &Graph, facts: &Facts, to: DType) -> Choice {
        let live: Vec<(NodeId, &Node)> = graph.iter().filter(|(id, _)| facts.is_live(*id)).collect();
        let mut choice = Choice { narrow: Values::none(graph), factors: vec![0; graph.values.len()] };
        for (_, node) in &live {
            let slot = node.results.first().and_then(|r| choice.factors.get_mut(r.0 as usize));
            if let Some(slot) = slot {
                *slot = factors_of(graph, facts, node, to);
            }
        }
        let free = free(graph, facts, &live, to);
        let wanted = choice.wanted(graph, &live);
        let stored = choice.stored(graph, facts, &live, to);
        for (_, node) in &live {
            for value in &node.results {
                if free.has(*value) && (wanted.has(*value) || stored.has(*value)) {
                    choice.narrow.add(*value);
                }
            }
        }
        choice
    }

    /// Whether the value becomes one of the narrow type.
    pub(super) fn is_narrow(&self, value: ValueId) -> bool {
        self.narrow.has(value)
    }

    /// How many of a node's first operands products read in the narrow type.
    pub(super) fn factors(&self, node: &Node) -> usize {
        node.results.first().and_then(|r| self.factors.get(r.0 as usize)).copied().unwrap_or(0)
    }

    /// What products read, and what views of that look at.
    fn wanted(&self, graph: &Graph, live: &[(NodeId, &Node)]) -> Values {
        let mut wanted = Values::none(graph);
        for (_, node) in live.iter().rev() {
            node.operands.iter().take(self.factors(node)).for_each(|o| wanted.add(*o));
            if moves(node) && node.results.iter().any(|r| wanted.has(*r)) {
                node.operands.iter().filter(|o| is_f32(graph, **o)).for_each(|o| wanted.add(*o));
            }
        }
        wanted
    }

    /// What a kernel stores for another between two products, but for what is delicate.
    fn stored(&self, graph: &Graph, facts: &Facts, live: &[(NodeId, &Node)], to: DType) -> Values {
        let home = groups::of(graph, live, &|node| self.factors(node) > 0);
        let home = |id: NodeId| home.get(id.0 as usize).copied().flatten();
        let (mut behind, mut delicate) = (Values::none(graph), Values::none(graph));
        let mut maker: Vec<Option<NodeId>> = vec![None; graph.values.len()];
        let mut crosses = Values::none(graph);
        for (id, node) in live {
            let operands = || node.operands.iter().filter(|o| is_f32(graph, **o));
            for operand in operands() {
                if maker.get(operand.0 as usize).copied().flatten().is_some_and(|m| home(m) != home(*id)) {
                    crosses.add(*operand);
                }
            }
            let product = self.factors(node) > 0;
            let follows = product || operands().any(|o| behind.has(*o));
            let fragile = is_delicate(graph, facts, node, to) || (moves(node) && operands().any(|o| delicate.has(*o)));
            for (position, result) in node.results.iter().enumerate().filter(|(_, r)| is_f32(graph, **r)) {
                if let Some(slot) = maker.get_mut(result.0 as usize) {
                    *slot = Some(*id);
                }
                if follows {
                    behind.add(*result);
                }
                let statistic = matches!(&node.op, Op::Region(r) if r.kind == &norm::KIND) && position > 0;
                if fragile || statistic {
                    delicate.add(*result);
                }
            }
        }
        let mut before = Values::none(graph);
        for (_, node) in live.iter().rev() {
            let factors = self.factors(node);
            let reaches = node.results.iter().any(|r| before.has(*r));
            for (position, operand) in node.operands.iter().enumerate().filter(|(_, o)| is_f32(graph, **o)) {
                if position < factors || (factors == 0 && reaches) {
                    before.add(*operand);
                }
            }
        }
        let mut stored = Values::none(graph);
        for (_, node) in live {
            for value in &node.results {
                if behind.has(*value) && before.has(*value) && crosses.has(*value) && !delicate.has(*value) {
                    stored.add(*value);
                }
            }
        }
        stored
    }
}

fn is_f32(graph: &Graph, value: ValueId) -> bool {
    graph.tensor(value).is_some_and(|t| t.dtype == DType::F32)
}

/// How many of the first operands of a node can be of the narrow type.
fn factors_of(graph: &Graph, facts: &Facts, node: &Node, to: DType) -> usize {
    let Op::Region(region) = &node.op else { return 0 };
    if !is_product(graph, node) {
        return 0;
    }
    let count = if region.kind == &attention::KIND || region.kind == &rnn::KIND { 3 } else { 2 };
    let scales = is_linear(region);
    let fits = |value: &ValueId| match facts.definition(graph, *value).map(|(node, _)| &node.op) {
        Some(Op::Const(value)) => constant::fits(value, to) || (scales && constant::exponent(value, to).is_some()),
        _ => true,
    };
    if node.operands.iter().take(count).all(fits) { count } else { 0 }
}

/// Values whose type can change: made and read by nodes that are rebuilt, and at no border.
fn free(graph: &Graph, facts: &Facts, live: &[(NodeId, &Node)], to: DType) -> Values {
    let mut free = Values::none(graph);
    for (_, node) in live {
        let rebuilt = match &node.op {
            Op::Compute(_) | Op::Region(_) => follows(node),
            Op::Const(value) => constant::fits(value, to),
            Op::Scatter(_)
            | Op::Sort(_)
            | Op::Compact(_)
            | Op::Prefix(_)
            | Op::Scan(_)
            | Op::If(_)
            | Op::Loop(_)
            | Op::Bind
            | Op::Host(_) => false,
        };
        let results = node.results.iter().filter(|r| rebuilt && is_f32(graph, **r) && !facts.is_output(**r));
        results.for_each(|r| free.add(*r));
    }
    for (_, node) in live {
        if !follows(node) {
            for operand in &node.operands {
                if let Some(slot) = free.0.get_mut(operand.0 as usize) {
                    *slot = false;
                }
            }
        }
    }
    free
}

/// Whether a node is rebuilt over operands of another type. Which boxes overlap is told in the type that they have.
fn follows(node: &Node) -> bool {
    match &node.op {
        Op::Compute(_) => true,
        Op::Region(region) => region.kind != &nms::KIND,
        Op::Const(_)
        | Op::Scatter(_)
        | Op::Sort(_)
        | Op::Compact(_)
        | Op::Prefix(_)
        | Op::Scan(_)
        | Op::If(_)
        | Op::Loop(_)
        | Op::Bind
        | Op::Host(_) => false,
    }
}

/// Whether every result is made of elements of the operands, as they are.
fn moves(node: &Node) -> bool {
    match &node.op {
        Op::Compute(compute) => point::moves(compute),
        Op::Region(region) => keeps_elements(region),
        Op::Const(_)
        | Op::Scatter(_)
        | Op::Sort(_)
        | Op::Compact(_)
        | Op::Prefix(_)
        | Op::Scan(_)
        | Op::If(_)
        | Op::Loop(_)
        | Op::Bind
        | Op::Host(_) => false,
    }
}

/// Whether the results of a node lose too much in 16 bits, or go beyond them.
fn is_delicate(graph: &Graph, facts: &Facts, node: &Node, to: DType) -> bool {
    match &node.op {
        Op::Compute(compute) => {
            let large = |value: &ValueId| match facts.definition(graph, *value).map(|(node, _)| &node.op) {
                Some(Op::Const(value)) => constant::has_beyond(value, to),
                _ => false,
            };
            !compute.reduce.is_empty() || has_delicate_maths(compute, to) || node.operands.iter().any(large)
        }
        Op::Region(region) => {
            let plain = [contract::KIND.name, conv::KIND.name, conv_transpose::KIND.name, norm::KIND.name];
            let others = [attention::KIND.name, rnn::KIND.name, pool::KIND.name];
            !plain.iter().chain(&others).any(|name| *name == region.kind.name)
        }
        Op::Const(_)
        | Op::Scatter(_)
        | Op::Sort(_)
        | Op::Compact(_)
        | Op::Prefix(_)
        | Op::Scan(_)
        | Op::If(_)
        | Op::Loop(_)
        | Op::Bind
        | Op::Host(_) => true,
    }
}

fn has_delicate_maths(compute: &Compute, to: DType) -> bool {
    reached(&compute.exprs, &compute.outs).into_iter().any(|id| match compute.exprs.get(id) {
        Some(Expr::Unary(UnOp::Exp | UnOp::Expm1 | UnOp::Log | UnOp::Log1p, _)) => true,
        Some(Expr::Binary(BinOp::Pow, ..)) => true,
        Some(Expr::Const(value)) => value.dtype == DType::F32 && constant::is_beyond(to, value.as_f64()),
        _ => false,
    })
}
