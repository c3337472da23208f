//! Operations on constants, by the evaluator.

use graph::datum::Datum;
use graph::eval::{self, Bindings};
use graph::expr::{Expr, ExprId, Exprs, Leaves};
use graph::graph::Graph;
use graph::node::{Compute, Node, Op};
use graph::scalar::Scalar;

use super::arena::Simplifier;

pub(super) fn rule(s: &mut Simplifier, expr: &Expr) -> Option<ExprId> {
    if matches!(expr, Expr::Const(_) | Expr::Load { .. }) {
        return None;
    }
    let (mut children, mut all) = (0, true);
    expr.for_each_child(&mut |child| {
        children += 1;
        all &= s.constant(child).is_some();
    });
    if children == 0 || !all {
        return None;
    }
    let value = evaluate(s, expr)?;
    Some(s.add(Expr::Const(value)))
}

/// The value of an operation on constants.
fn evaluate(s: &Simplifier, expr: &Expr) -> Option<Scalar> {
    let none = Leaves { operands: &[], accs: &[] };
    let mut exprs = Exprs::default();
    let mut failed = false;
    let expr = expr.map_children(&mut |child| {
        let added = s.constant(child).and_then(|value| exprs.add(Expr::Const(value), none).ok());
        failed |= added.is_none();
        added.unwrap_or(child)
    });
    let out = exprs.add(expr, none).ok().filter(|_| !failed)?;
    let compute = Compute { shape: Vec::new(), reduce: Vec::new(), exprs, accs: Vec::new(), outs: vec![out] };
    let (operands, results, binds, origins) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let node = Node { op: Op::Compute(compute), operands, results, binds, origins };
    let values = eval::node(&Graph::default(), &node, &[], &mut Bindings::default()).ok()?;
    values.first().and_then(Datum::as_tensor).and_then(|t| t.get(0))
}
