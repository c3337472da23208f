//! Selections that are decided, or that select nothing.

use graph::dtype::DType;
use graph::expr::{Expr, ExprId, UnOp};

use super::arena::Simplifier;

pub(super) fn rule(s: &mut Simplifier, expr: &Expr) -> Option<ExprId> {
    let Expr::Select(condition, a, b) = *expr else { return None };
    if a == b {
        return Some(a);
    }
    if let Some(value) = s.constant(condition) {
        return Some(if value.bits != 0 { a } else { b });
    }
    if let Some(Expr::Unary(UnOp::Not, inner)) = s.get(condition).cloned() {
        return Some(s.add(Expr::Select(inner, b, a)));
    }
    if s.exprs.dtype(a) == DType::Bool
        && let (Some(yes), Some(no)) = (s.constant(a), s.constant(b))
    {
        return match (yes.bits, no.bits) {
            (1, 0) => Some(condition),
            (0, 1) => Some(s.add(Expr::Unary(UnOp::Not, condition))),
            _ => None,
        };
    }
    None
}
