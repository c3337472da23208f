//! Operations on values of a dtype, and their way to and from memory's bits: the one entry for each class's file.

use graph::dtype::{Class, DType};
use graph::expr::{BinOp, CmpOp, UnOp};
use graph::scalar::Scalar;

use crate::arith::Arith;
use crate::cast::{from_register_bits, register_bits, resize};
use crate::emitter::Whole;
use crate::error::Error;
use crate::form::Form;
use crate::maths::MathsMode;
use crate::op::{Int, IntOp, Op, Width};
use crate::{float, integer, narrow};

/// A constant in the form of its dtype.
pub fn constant<A: Arith>(a: &mut A, scalar: Scalar) -> Result<A::Value, Error> {
    Ok(match Form::of(scalar.dtype)? {
        Form::Pred => a.bool(scalar.bits != 0),
        Form::Int(ty) => a.int(ty, scalar.as_i64()),
        Form::Float(f) => a.float(f, scalar.as_f64()),
    })
}

/// An operation on one value of a dtype.
pub fn unary<A: Arith>(a: &mut A, maths: MathsMode, op: UnOp, dtype: DType, x: A::Value) -> Result<A::Value, Error> {
    match Form::of(dtype)? {
        Form::Float(f) => float::unary(a, maths, op, dtype, f, x),
        Form::Int(ty) => integer::unary(a, op, dtype, ty, x),
        Form::Pred if op == UnOp::Not => Ok(a.not(Width::Pred, x)),
        Form::Pred => Err(Error::DType { what: op.row().name, dtype }),
    }
}

/// `x * y + z`, rounded once.
pub fn fma<A: Arith>(a: &mut A, dtype: DType, x: A::Value, y: A::Value, z: A::Value) -> Result<A::Value, Error> {
    match Form::of(dtype)? {
        Form::Float(f) => Ok(float::fma(a, dtype, f, x, y, z)),
        Form::Int(ty) => {
            let sum = a.apply(Op::Int(IntOp::Mad, ty), &[x, y, z]);
            Ok(integer::wrap(a, dtype, sum))
        }
        Form::Pred => Err(Error::DType { what: "fma", dtype }),
    }
}

/// An operation on two values of a dtype; also what combines accumulators.
pub fn binary<A: Arith>(a: &mut A, op: BinOp, dtype: DType, x: A::Value, y: A::Value) -> Result<A::Value, Error> {
    match (Form::of(dtype)?, op) {
        (Form::Float(f), _) => float::binary(a, op, dtype, f, x, y),
        (Form::Int(ty), _) => integer::binary(a, op, dtype, ty, x, y),
        (Form::Pred, BinOp::And) => Ok(a.and(Width::Pred, x, y)),
        (Form::Pred, BinOp::Or) => Ok(a.or(Width::Pred, x, y)),
        (Form::Pred, BinOp::Xor) => Ok(a.xor(Width::Pred, x, y)),
        (Form::Pred, _) => Err(Error::DType { what: op.row().name, dtype }),
    }
}

/// A comparison of two values of a dtype.
pub fn compare<A: Arith>(a: &mut A, op: CmpOp, dtype: DType, x: A::Value, y: A::Value) -> Result<A::Value, Error> {
    Ok(match Form::of(dtype)? {
        Form::Float(f) => float::compare(a, op, f, x, y),
        Form::Int(ty) => integer::compare(a, op, ty, x, y),
        Form::Pred => {
            let w = Width::Pred;
            let unequal = a.xor(w, x, y);
            match op {
                CmpOp::Ne => unequal,
                CmpOp::Eq => a.not(w, unequal),
                CmpOp::Lt | CmpOp::Le => {
                    let not = a.not(w, x);
                    if op == CmpOp::Lt { a.and(w, not, y) } else { a.or(w, not, y) }
                }
            }
        }
    })
}

/// A value in memory's bits (zeros above its width; bool as 0 or 1) from its form; `canonical` makes every NaN the one NaN.
pub fn to_memory<A: Arith>(a: &mut A, dtype: DType, x: A::Value, canonical: bool) -> Result<A::Value, Error> {
    let plain = !canonical && matches!(dtype, DType::F32 | DType::F64 | DType::F16 | DType::BF16);
    if plain { Ok(narrow::to_bits(a, dtype, x)) } else { register_bits(a, dtype, x) }
}

/// The form of a value from memory's bits, zeros above its width.
pub fn from_memory<A: Arith>(a: &mut A, dtype: DType, bits: A::Value) -> Result<A::Value, Error> {
    from_register_bits(a, dtype, bits)
}

/// A whole as another integer form.
pub fn whole_as<A: Arith>(a: &mut A, whole: Whole<A::Value>, dtype: DType) -> Result<A::Value, Error> {
    let from = if whole.wide { Int::S64 } else { Int::S32 };
    match (dtype.class(), Form::of(dtype)?) {
        (Class::Signed | Class::Unsigned, Form::Int(to)) => {
            let resized = resize(a, from, to, whole.value);
            Ok(integer::wrap(a, dtype, resized))
        }
        _ => Err(Error::DType { what: "an index", dtype }),
    }
}
