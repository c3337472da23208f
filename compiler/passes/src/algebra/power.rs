//! `pow` with a small constant exponent as products. Rounds a little differently than `pow` may.

use graph::dtype::DType;
use graph::expr::{BinOp, Expr, ExprId};

use super::arena::Simplifier;

pub(super) fn rule(s: &mut Simplifier, expr: &Expr) -> Option<ExprId> {
    let Expr::Binary(BinOp::Pow, base, exponent) = *expr else { return None };
    let exponent = s.constant(exponent)?;
    let wide = s.exprs.dtype(base).is_int() || matches!(s.exprs.dtype(base), DType::F32 | DType::F64);
    if !wide {
        return None;
    }
    match exponent.as_f64() {
        2.0 => Some(s.add(Expr::Binary(BinOp::Mul, base, base))),
        3.0 => {
            let square = s.add(Expr::Binary(BinOp::Mul, base, base));
            Some(s.add(Expr::Binary(BinOp::Mul, square, base)))
        }
        _ => None,
    }
}
