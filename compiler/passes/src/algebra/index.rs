//! Index arithmetic: polynomials over index variables and sizes, with the ranges that the domain gives the variables.
//!
//! A quotient, remainder, sum or product is replaced by its polynomial form where that takes less work; comparisons are
//! decided where the ranges decide them; a load that can be shown to stay inside needs no `or`; the index variable of an
//! extent of 1 is 0. Index arithmetic that points into tensors stays within `i64`.

use graph::dim::{Atom, Dim};
use graph::dtype::DType;
use graph::expr::{BinOp, CmpOp, Expr, ExprId};
use graph::scalar::Scalar;

use super::arena::Simplifier;

pub(super) fn rule(s: &mut Simplifier, expr: &Expr) -> Option<ExprId> {
    match expr {
        Expr::Index(k) if s.space.extent(*k).is_some_and(|e| e.is(1)) => Some(s.add(Expr::Const(Scalar::i64(0)))),
        Expr::Binary(op, a, b) if s.exprs.dtype(*a) == DType::I64 => arithmetic(s, *op, *a, *b),
        Expr::Compare(op, a, b) if s.exprs.dtype(*a) == DType::I64 => compare(s, *op, *a, *b),
        Expr::Load { operand, index, or: Some(_) } => inside(s, *operand, index),
        _ => None,
    }
}

fn arithmetic(s: &mut Simplifier, op: BinOp, a: ExprId, b: ExprId) -> Option<ExprId> {
    let (left, right) = (s.polynomial(a)?, s.polynomial(b)?);
    let joint = s.space.binary(op, &left, &right)?;
    if !s.space.mentions_index(&joint) && !s.space.mentions_index(&left) && !s.space.mentions_index(&right) {
        return None;
    }
    let before = work(op) + s.work(a) + s.work(b);
    let after = s.space.work_of(&joint)?;
    if after >= before {
        return None;
    }
    build(s, &joint)
}

/// The expression of a polynomial.
fn build(s: &mut Simplifier, dim: &Dim) -> Option<ExprId> {
    if !s.space.mentions_index(dim) {
        return Some(match dim.as_const() {
            Some(value) => s.add(Expr::Const(Scalar::i64(value))),
            None => s.add(Expr::Dim(dim.clone())),
        });
    }
    let (mut total, mut sizes) = (None, Dim::constant(0));
    for term in dim.terms() {
        let alone = Dim::from_terms(vec![term.clone()]);
        if !s.space.mentions_index(&alone) {
            sizes = &sizes + &alone;
            continue;
        }
        let (mut product, mut factor) = (None, Dim::constant(term.coef));
        for atom in &term.factors {
            if !s.space.mentions_index(&Dim::atom(atom.clone())) {
                factor = &factor * &Dim::atom(atom.clone());
                continue;
            }
            let value = build_atom(s, atom)?;
            product = Some(match product {
                None => value,
                Some(other) => s.add_plain(Expr::Binary(BinOp::Mul, other, value)),
            });
        }
        let mut value = product?;
        if !factor.is(1) {
            let factor = build(s, &factor)?;
            value = s.add_plain(Expr::Binary(BinOp::Mul, value, factor));
        }
        total = Some(match total {
            None => value,
            Some(sum) => s.add_plain(Expr::Binary(BinOp::Add, sum, value)),
        });
    }
    let total = total?;
    if sizes.is(0) {
        return Some(total);
    }
    let sizes = build(s, &sizes)?;
    Some(s.add_plain(Expr::Binary(BinOp::Add, total, sizes)))
}

fn build_atom(s: &mut Simplifier, atom: &Atom) -> Option<ExprId> {
    let (op, a, b) = match atom {
        Atom::Sym(id) => {
            let k = s.space.index_of(*id)?;
            return Some(s.add_plain(Expr::Index(k)));
        }
        Atom::FloorDiv(a, b) => (BinOp::FloorDiv, a, b),
        Atom::Mod(a, b) => (BinOp::Mod, a, b),
        Atom::Min(a, b) => (BinOp::Min, a, b),
        Atom::Max(a, b) => (BinOp::Max, a, b),
        Atom::CeilDiv(..) | Atom::Select(..) => return None,
    };
    let (a, b) = (build(s, a)?, build(s, b)?);
    Some(s.add_plain(Expr::Binary(op, a, b)))
}

fn compare(s: &mut Simplifier, op: CmpOp, a: ExprId, b: ExprId) -> Option<ExprId> {
    let (a, b) = (s.polynomial(a)?, s.polynomial(b)?);
    let one = Dim::constant(1);
    let holds = match op {
        CmpOp::Lt if s.space.natural(&(&(&b - &a) - &one)) => true,
        CmpOp::Lt if s.space.natural(&(&a - &b)) => false,
        CmpOp::Le if s.space.natural(&(&b - &a)) => true,
        CmpOp::Le if s.space.natural(&(&(&a - &b) - &one)) => false,
        CmpOp::Eq | CmpOp::Ne => {
            let apart = s.space.natural(&(&(&b - &a) - &one)) || s.space.natural(&(&(&a - &b) - &one));
            match (a == b, apart) {
                (true, _) => op == CmpOp::Eq,
                (false, true) => op == CmpOp::Ne,
                (false, false) => return None,
            }
        }
        CmpOp::Lt | CmpOp::Le => return None,
    };
    Some(s.add(Expr::Const(Scalar::bool(holds))))
}

/// A load with `or` whose index stays inside the operand.
fn inside(s: &mut Simplifier, operand: u32, index: &[ExprId]) -> Option<ExprId> {
    let shape = s.operands.get(operand as usize)?.shape.clone();
    for (at, extent) in index.iter().zip(&shape) {
        let at = s.polynomial(*at)?;
        let room = &(extent - &at) - &Dim::constant(1);
        if !s.space.natural(&at) || !s.space.natural(&room) {
            return None;
        }
    }
    Some(s.add(Expr::Load { operand, index: index.to_vec(), or: None }))
}

/// How much work an operation is, roughly.
pub(super) fn work(op: BinOp) -> usize {
    match op {
        BinOp::FloorDiv | BinOp::Mod => 8,
        BinOp::Mul => 2,
        _ => 1,
    }
}
