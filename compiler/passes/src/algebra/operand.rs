//! Loads of constants of which all elements are one are constants; a load whose index is a constant inside the shape needs no `or`.

use graph::dim::{Dim, Pred};
use graph::expr::{Expr, ExprId};

use super::arena::Simplifier;

pub(super) fn rule(s: &mut Simplifier<'_>, expr: &Expr) -> Option<ExprId> {
    let Expr::Load { operand, index, or } = expr else { return None };
    if or.is_some() && index_is_inside(s, *operand, index) {
        return Some(s.add(Expr::Load { operand: *operand, index: index.clone(), or: None }));
    }
    match s.operands.get(*operand as usize)?.element {
        Some(element) if or.is_none() => Some(s.add(Expr::Const(element))),
        _ => None,
    }
}

fn index_is_inside(s: &Simplifier<'_>, operand: u32, index: &[ExprId]) -> bool {
    let Some(known) = s.operands.get(operand as usize) else { return false };
    let inside = |(at, extent): (&ExprId, &Dim)| {
        let Some(value) = s.constant(*at).map(|c| c.as_i64()).filter(|v| *v >= 0) else { return false };
        s.symbols.prove(&Pred::Le(Dim::constant(value.saturating_add(1)), extent.clone())) == Some(true)
    };
    index.len() == known.shape.len() && index.iter().zip(&known.shape).all(inside)
}
