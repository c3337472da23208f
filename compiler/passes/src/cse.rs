//! Merges nodes that compute the same from the same.
//!
//! Before: expressions are in the form that `algebra` leaves, so that equal ones are written the same. After: in no graph
//! do two nodes have equal operations and operands. Nodes that bind symbols stay; nothing is merged across bodies; the first
//! of equal nodes stays, so the order is that of the graph.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use graph::builder::BuildError;
use graph::expr::Exprs;
use graph::graph::{Model, ValueId};
use graph::node::{Const, Node, Op};
use graph::ty::Type;

use crate::rewrite::{Patch, Rule, Site, rewrite};
use crate::{Changes, Ctx, Pass, PassError};

pub(crate) const PASS: Pass = Pass {
    name: "cse",
    run,
    reason: "exporters repeat shape chains, masks and constants",
    after: &["algebra"],
    before: &["dce"],
};

fn run(model: &mut Model, ctx: &Ctx<'_>) -> Result<Changes, PassError> {
    rewrite(model, ctx, PASS.name, &mut Merge { graphs: Vec::new() })
}

/// Nodes met so far, by a hash that equal nodes share, in each of the graphs entered.
struct Merge {
    graphs: Vec<HashMap<u64, Vec<Met>>>,
}

/// A node: its operation in the old graph, what it reads and yields in the new one.
struct Met {
    op: Op,
    operands: Vec<ValueId>,
    types: Vec<Type>,
    old: Vec<ValueId>,
}

impl Rule for Merge {
    fn enter(&mut self) {
        self.graphs.push(HashMap::new());
    }

    fn leave(&mut self) {
        self.graphs.pop();
    }

    fn apply(&mut self, site: &mut Site<'_>, node: &Node) -> Result<Patch, BuildError> {
        if !node.binds.is_empty() || node.results.is_empty() {
            return Ok(None);
        }
        let operands = site.get_all(&node.operands)?;
        let types: Vec<Type> = node.results.iter().filter_map(|r| site.old.value(*r)).map(|v| v.ty.clone()).collect();
        let Some(table) = self.graphs.last_mut() else { return Ok(None) };
        let bucket = table.entry(hash(&node.op, &operands)).or_default();
        let same = bucket.iter().find(|m| m.operands == operands && m.types == types && m.op == node.op);
        let Some(same) = same else {
            bucket.push(Met { op: node.op.clone(), operands, types, old: node.results.clone() });
            return Ok(None);
        };
        let values = site.get_all(&same.old)?;
        let free = node.results.iter().zip(&values).all(|(old, new)| site.may_become(*old, *new));
        Ok(free.then_some(values))
    }
}

/// Equal operations on equal operands have equal hashes.
fn hash(op: &Op, operands: &[ValueId]) -> u64 {
    let mut hasher = DefaultHasher::new();
    op.name().hash(&mut hasher);
    operands.hash(&mut hasher);
    match op {
        Op::Compute(c) => {
            c.shape.hash(&mut hasher);
            hash_exprs(&c.exprs, &mut hasher);
        }
        Op::Scatter(s) => {
            s.domain.hash(&mut hasher);
            hash_exprs(&s.exprs, &mut hasher);
        }
        Op::Region(r) => r.kind.name.hash(&mut hasher),
        Op::Host(h) => h.op.name.hash(&mut hasher),
        Op::Const(Const::Blob(blob)) => blob.hash.hash(&mut hasher),
        Op::Const(Const::Inline(tensor)) => (tensor.dtype(), tensor.shape(), tensor.bytes()).hash(&mut hasher),
        Op::Const(Const::Splat(scalar)) => scalar.hash(&mut hasher),
        Op::Const(Const::Iota)
        | Op::Sort(_)
        | Op::Compact(_)
        | Op::Prefix(_)
        | Op::Scan(_)
        | Op::If(_)
        | Op::Loop(_)
        | Op::Bind => {}
    }
    hasher.finish()
}

fn hash_exprs(exprs: &Exprs, hasher: &mut DefaultHasher) {
    exprs.iter().for_each(|(_, expr)| expr.hash(hasher));
}
