//! Bounds of integer expressions.

use graph::dim::Dim;
use graph::dtype::DType;
use graph::expr::{BinOp, Expr, ExprId, UnOp};

/// Bounds of an integer expression from those of its children.
pub(super) fn range(expr: &Expr, known: &[Option<(i64, i64)>], extents: &[Dim]) -> Option<(i64, i64)> {
    let of = |id: &ExprId| known.get(id.0 as usize).copied().flatten();
    let all = |values: &[Option<i64>]| -> Option<(i64, i64)> {
        let values = values.iter().copied().collect::<Option<Vec<i64>>>()?;
        Some((*values.iter().min()?, *values.iter().max()?))
    };
    match expr {
        Expr::Const(c) if c.dtype == DType::I64 => Some((c.as_i64(), c.as_i64())),
        Expr::Index(k) => extents.get(*k as usize)?.as_const().map(|e| (0, (e - 1).max(0))),
        Expr::Dim(d) => d.as_const().map(|v| (v, v)),
        Expr::Unary(UnOp::Neg, a) => of(a).map(|(lo, hi)| (-hi, -lo)),
        Expr::Binary(op, a, b) => {
            let ((a, b), (c, d)) = (of(a)?, of(b)?);
            match op {
                BinOp::Add => all(&[a.checked_add(c), b.checked_add(d)]),
                BinOp::Sub => all(&[a.checked_sub(d), b.checked_sub(c)]),
                BinOp::Mul => all(&[a.checked_mul(c), a.checked_mul(d), b.checked_mul(c), b.checked_mul(d)]),
                BinOp::FloorDiv | BinOp::Div if c > 0 && (a >= 0 || *op == BinOp::FloorDiv) => {
                    Some((a.div_euclid(if a < 0 { c } else { d }), b.div_euclid(if b < 0 { d } else { c })))
                }
                BinOp::Mod | BinOp::Rem if c > 0 && (a >= 0 || *op == BinOp::Mod) => {
                    Some((0, if a >= 0 { b.min(d - 1) } else { d - 1 }))
                }
                BinOp::Min => Some((a.min(c), b.min(d))),
                BinOp::Max => Some((a.max(c), b.max(d))),
                _ => None,
            }
        }
        Expr::Select(_, a, b) => {
            let ((a, b), (c, d)) = (of(a)?, of(b)?);
            Some((a.min(c), b.max(d)))
        }
        _ => None,
    }
}
