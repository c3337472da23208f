//! Operations that leave a value as it is, or always give the same. Only what keeps every bit, signed zeros and NaN too.

use graph::dtype::{Class, DType};
use graph::expr::{BinOp, CmpOp, Expr, ExprId, UnOp};
use graph::scalar::Scalar;

use super::arena::Simplifier;

pub(super) fn rule(s: &mut Simplifier, expr: &Expr) -> Option<ExprId> {
    match expr {
        Expr::Unary(op, a) => unary(s, *op, *a),
        Expr::Binary(op, a, b) => binary(s, *op, *a, *b),
        Expr::Compare(op, a, b) if a == b && !s.exprs.dtype(*a).is_float() => {
            let holds = matches!(op, CmpOp::Eq | CmpOp::Le);
            Some(s.add(Expr::Const(Scalar::bool(holds))))
        }
        _ => None,
    }
}

fn unary(s: &mut Simplifier, op: UnOp, a: ExprId) -> Option<ExprId> {
    match (op, s.get(a)?) {
        (UnOp::Neg, Expr::Unary(UnOp::Neg, inner)) | (UnOp::Not, Expr::Unary(UnOp::Not, inner)) => Some(*inner),
        (UnOp::Abs, Expr::Unary(UnOp::Abs, _)) => Some(a),
        (
            UnOp::Floor | UnOp::Ceil | UnOp::Round | UnOp::Trunc,
            Expr::Unary(UnOp::Floor | UnOp::Ceil | UnOp::Round | UnOp::Trunc, _),
        ) => Some(a),
        _ => None,
    }
}

fn binary(s: &mut Simplifier, op: BinOp, a: ExprId, b: ExprId) -> Option<ExprId> {
    let dtype = s.exprs.dtype(a);
    if a == b {
        match op {
            BinOp::Min | BinOp::Max | BinOp::And | BinOp::Or => return Some(a),
            BinOp::Sub | BinOp::Xor if !dtype.is_float() => return Some(s.add(Expr::Const(Scalar::zero(dtype)))),
            _ => {}
        }
    }
    match (s.constant(a), s.constant(b)) {
        (_, Some(right)) => right_constant(s, op, dtype, a, b, right),
        (Some(left), None) => left_constant(s, op, dtype, (a, left), b),
        (None, None) => None,
    }
}

/// `a op constant`.
fn right_constant(s: &mut Simplifier, op: BinOp, dtype: DType, a: ExprId, b: ExprId, right: Scalar) -> Option<ExprId> {
    let integer = dtype.is_int();
    match op {
        BinOp::Add if is_add_neutral(right) => Some(a),
        BinOp::Sub if is_sub_neutral(right) => Some(a),
        BinOp::Mul | BinOp::Div | BinOp::Pow if is_one(right) => Some(a),
        BinOp::FloorDiv if is_one(right) => Some(a),
        BinOp::Mul | BinOp::And if integer && right.bits == 0 => Some(b),
        BinOp::Or | BinOp::Xor | BinOp::Shl | BinOp::Shr if integer && right.bits == 0 => Some(a),
        BinOp::Mod | BinOp::Rem if integer && is_one(right) => Some(s.add(Expr::Const(Scalar::zero(dtype)))),
        BinOp::And if dtype == DType::Bool => Some(if right.bits == 1 { a } else { b }),
        BinOp::Or if dtype == DType::Bool => Some(if right.bits == 1 { b } else { a }),
        BinOp::Xor if dtype == DType::Bool && right.bits == 0 => Some(a),
        BinOp::Xor if dtype == DType::Bool => Some(s.add(Expr::Unary(UnOp::Not, a))),
        BinOp::Div => {
            let inverse = exact_inverse(right)?;
            let inverse = s.add(Expr::Const(inverse));
            Some(s.add(Expr::Binary(BinOp::Mul, a, inverse)))
        }
        BinOp::Add | BinOp::Mul if integer => regrouped(s, op, a, b),
        _ => None,
    }
}

/// `constant op b`: constants stand at the right of what commutes.
fn left_constant(
    s: &mut Simplifier,
    op: BinOp,
    dtype: DType,
    (a, left): (ExprId, Scalar),
    b: ExprId,
) -> Option<ExprId> {
    // Of equal values (the two zeros), the first is the smaller and the larger one of floats.
    let swaps = op.row().commutes && !(dtype.is_float() && matches!(op, BinOp::Min | BinOp::Max));
    if swaps {
        return Some(s.add(Expr::Binary(op, b, a)));
    }
    let quotient = matches!(op, BinOp::Div | BinOp::FloorDiv | BinOp::Rem | BinOp::Mod | BinOp::Shl | BinOp::Shr);
    (quotient && dtype.is_int() && left.bits == 0).then_some(a)
}

/// `(x op c) op d` of integers as `x op (c op d)`.
fn regrouped(s: &mut Simplifier, op: BinOp, a: ExprId, b: ExprId) -> Option<ExprId> {
    let Some(Expr::Binary(inner, x, c)) = s.get(a).cloned() else { return None };
    if inner != op || s.constant(c).is_none() {
        return None;
    }
    let joint = s.add(Expr::Binary(op, c, b));
    Some(s.add(Expr::Binary(op, x, joint)))
}

/// `x + c` is `x`: 0 of integers, -0 of floats.
fn is_add_neutral(c: Scalar) -> bool {
    match c.dtype.class() {
        Class::Float => c.as_f64() == 0.0 && c.as_f64().is_sign_negative(),
        Class::Signed | Class::Unsigned => c.bits == 0,
        Class::Bool | Class::Str => false,
    }
}

/// `x - c` is `x`: 0 of integers, +0 of floats.
fn is_sub_neutral(c: Scalar) -> bool {
    match c.dtype.class() {
        Class::Float => c.as_f64() == 0.0 && !c.as_f64().is_sign_negative(),
        Class::Signed | Class::Unsigned => c.bits == 0,
        Class::Bool | Class::Str => false,
    }
}

fn is_one(c: Scalar) -> bool {
    match c.dtype.class() {
        Class::Float => c.as_f64() == 1.0,
        Class::Signed | Class::Unsigned => c.bits == 1,
        Class::Bool | Class::Str => false,
    }
}

/// `1 / c` where that is exact: powers of two whose inverse is a normal number.
fn exact_inverse(c: Scalar) -> Option<Scalar> {
    if !matches!(c.dtype, DType::F32 | DType::F64 | DType::F16 | DType::BF16) {
        return None;
    }
    let value = c.as_f64();
    let mantissa = value.to_bits() & ((1 << 52) - 1);
    let inverse = Scalar::from_f64(c.dtype, 1.0 / value);
    let tiny = match c.dtype {
        DType::F16 => 2f64.powi(-14),
        DType::F64 => f64::MIN_POSITIVE,
        _ => f64::from(f32::MIN_POSITIVE),
    };
    let exact = mantissa == 0 && value.is_normal() && inverse.as_f64() * value == 1.0;
    (exact && inverse.as_f64().abs() >= tiny).then_some(inverse)
}
