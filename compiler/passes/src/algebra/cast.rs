//! Casts that change nothing, and casts of casts of which the inner loses nothing.

use graph::dtype::{Class, DType};
use graph::expr::{Expr, ExprId};

use super::arena::Simplifier;

pub(super) fn rule(s: &mut Simplifier, expr: &Expr) -> Option<ExprId> {
    match expr {
        Expr::Cast { to, value, .. } if s.exprs.dtype(*value) == *to => Some(*value),
        Expr::Bitcast { to, value } if s.exprs.dtype(*value) == *to => Some(*value),
        Expr::Cast { to, saturate, rounding, value } => {
            let Some(Expr::Cast { to: middle, value: inner, .. }) = s.get(*value).cloned() else { return None };
            if !keeps_all(s.exprs.dtype(inner), middle) {
                return None;
            }
            Some(s.add(Expr::Cast { to: *to, saturate: *saturate, rounding: *rounding, value: inner }))
        }
        _ => None,
    }
}

/// Whether every value of a dtype is one of the other, so that what follows sees the same number.
pub(crate) fn keeps_all(from: DType, to: DType) -> bool {
    let digits = match to {
        DType::F16 => 11,
        DType::BF16 => 8,
        DType::F32 => 24,
        DType::F64 => 53,
        _ => 0,
    };
    match (from.class(), to.class()) {
        (Class::Str, _) | (_, Class::Str | Class::Bool) => false,
        (Class::Bool, Class::Float) => digits > 0,
        (Class::Bool, Class::Signed | Class::Unsigned) => to.bits() >= 8,
        (Class::Signed | Class::Unsigned, Class::Float) => from.bits() <= digits,
        (Class::Signed, Class::Signed) | (Class::Unsigned, Class::Unsigned) => from.bits() <= to.bits(),
        (Class::Unsigned, Class::Signed) => from.bits() < to.bits(),
        (Class::Float, Class::Float) => {
            from == to
                || matches!(
                    (from, to),
                    (DType::F16 | DType::BF16 | DType::F32, DType::F64) | (DType::F16 | DType::BF16, DType::F32)
                )
        }
        (Class::Signed, Class::Unsigned) | (Class::Float, Class::Signed | Class::Unsigned) => false,
    }
}
