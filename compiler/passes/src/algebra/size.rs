//! Arithmetic on sizes becomes a size.

use graph::dim::Dim;
use graph::dtype::DType;
use graph::expr::{BinOp, Expr, ExprId, UnOp};
use graph::scalar::Scalar;

use super::arena::Simplifier;

pub(super) fn rule(s: &mut Simplifier, expr: &Expr) -> Option<ExprId> {
    let size = match expr {
        Expr::Dim(dim) => {
            let value = dim.as_const()?;
            return Some(s.add(Expr::Const(Scalar::i64(value))));
        }
        Expr::Unary(UnOp::Neg, a) => -&size(s, *a)?,
        Expr::Binary(op, a, b) => {
            let (a, b) = (size(s, *a)?, size(s, *b)?);
            match op {
                BinOp::Add => &a + &b,
                BinOp::Sub => &a - &b,
                BinOp::Mul => &a * &b,
                _ => return None,
            }
        }
        _ => return None,
    };
    Some(s.add(Expr::Dim(size)))
}

fn size(s: &Simplifier, id: ExprId) -> Option<Dim> {
    match s.get(id)? {
        Expr::Dim(dim) => Some(dim.clone()),
        Expr::Const(value) if value.dtype == DType::I64 => Some(Dim::constant(value.as_i64())),
        _ => None,
    }
}
