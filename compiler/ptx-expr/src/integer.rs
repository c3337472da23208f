//! Integer and bool operations: in 32 or 64 bits, wrapped to the width of the dtype.

use graph::dtype::{Class, DType};
use graph::expr::{BinOp, CmpOp, UnOp};

use crate::arith::Arith;
use crate::error::Error;
use crate::op::{BitOp, Convert, Int, IntOp, Op, Relation, Width};

/// Wraps a 32-bit result to a narrower dtype.
pub(crate) fn wrap<A: Arith>(a: &mut A, dtype: DType, x: A::Value) -> A::Value {
    let bits = dtype.bits();
    if bits >= 32 || bits == 0 || dtype == DType::Bool {
        return x;
    }
    if dtype.class() == Class::Signed {
        return a.convert(Convert::SignExtend(bits as u8), x);
    }
    let mask = a.u32((1 << bits) - 1);
    a.and(Width::B32, x, mask)
}

pub(crate) fn unary<A: Arith>(a: &mut A, op: UnOp, dtype: DType, ty: Int, x: A::Value) -> Result<A::Value, Error> {
    let width = ty.width();
    let value = match op {
        UnOp::Neg => {
            let zero = a.int(ty, 0);
            a.int2(IntOp::Sub, ty, zero, x)
        }
        UnOp::Abs if !ty.is_signed() => x,
        UnOp::Abs => {
            let zero = a.int(ty, 0);
            let opposite = a.int2(IntOp::Sub, ty, zero, x);
            let negative = a.icmp(Relation::Lt, ty, x, zero);
            a.select(width, negative, opposite, x)
        }
        UnOp::Sign => {
            let (low, high) = (a.int(ty, if ty.is_signed() { -1 } else { 0 }), a.int(ty, 1));
            let below = a.int2(IntOp::Min, ty, x, high);
            a.int2(IntOp::Max, ty, below, low)
        }
        UnOp::Not => a.not(width, x),
        UnOp::PopCount => {
            let x = match dtype.bits() {
                32 | 64 => x,
                bits => {
                    let mask = a.u32((1 << bits) - 1);
                    a.and(width, x, mask)
                }
            };
            let count = a.apply(Op::Bits(BitOp::Ones, width), &[x]);
            if width == Width::B64 { a.convert(Convert::ExtendZero, count) } else { count }
        }
        UnOp::Floor
        | UnOp::Ceil
        | UnOp::Round
        | UnOp::Trunc
        | UnOp::Sqrt
        | UnOp::Recip
        | UnOp::Exp
        | UnOp::Expm1
        | UnOp::Log
        | UnOp::Log1p
        | UnOp::Sin
        | UnOp::Cos
        | UnOp::Tan
        | UnOp::Asin
        | UnOp::Acos
        | UnOp::Atan
        | UnOp::Sinh
        | UnOp::Cosh
        | UnOp::Tanh
        | UnOp::Asinh
        | UnOp::Acosh
        | UnOp::Atanh
        | UnOp::Sigmoid
        | UnOp::Erf
        | UnOp::IsNan
        | UnOp::IsInf => return Err(Error::DType { what: op.row().name, dtype }),
    };
    Ok(wrap(a, dtype, value))
}

pub(crate) fn binary<A: Arith>(
    a: &mut A,
    op: BinOp,
    dtype: DType,
    ty: Int,
    x: A::Value,
    y: A::Value,
) -> Result<A::Value, Error> {
    let width = ty.width();
    let value = match op {
        BinOp::Add => a.int2(IntOp::Add, ty, x, y),
        BinOp::Sub => a.int2(IntOp::Sub, ty, x, y),
        BinOp::Mul => a.int2(IntOp::Mul, ty, x, y),
        BinOp::Div => {
            let quotient = a.int2(IntOp::Div, ty, x, y);
            unless_zero(a, ty, y, quotient)
        }
        BinOp::FloorDiv => floor_div(a, ty, x, y),
        BinOp::Rem => {
            let rest = a.int2(IntOp::Rem, ty, x, y);
            unless_zero(a, ty, y, rest)
        }
        BinOp::Mod => floor_mod(a, ty, x, y),
        BinOp::Min => a.int2(IntOp::Min, ty, x, y),
        BinOp::Max => a.int2(IntOp::Max, ty, x, y),
        BinOp::Pow => power(a, ty, x, y),
        BinOp::And => a.and(width, x, y),
        BinOp::Or => a.or(width, x, y),
        BinOp::Xor => a.xor(width, x, y),
        BinOp::Shl => {
            let amount = amount(a, ty, y);
            a.int2(IntOp::Shl, ty, x, amount)
        }
        // Extended values shift as values of their own width do, as the machine stops at 32 bits.
        BinOp::Shr => {
            let amount = amount(a, ty, y);
            a.int2(IntOp::Shr, ty, x, amount)
        }
        BinOp::Atan2 => return Err(Error::DType { what: op.row().name, dtype }),
    };
    Ok(wrap(a, dtype, value))
}

pub(crate) fn compare<A: Arith>(a: &mut A, op: CmpOp, ty: Int, x: A::Value, y: A::Value) -> A::Value {
    a.icmp(relation(op), ty, x, y)
}

/// The machine's comparison.
pub(crate) fn relation(op: CmpOp) -> Relation {
    match op {
        CmpOp::Eq => Relation::Eq,
        CmpOp::Ne => Relation::Ne,
        CmpOp::Lt => Relation::Lt,
        CmpOp::Le => Relation::Le,
    }
}

/// Rounded down; 0 by zero.
pub(crate) fn floor_div<A: Arith>(a: &mut A, ty: Int, x: A::Value, y: A::Value) -> A::Value {
    let quotient = a.int2(IntOp::Div, ty, x, y);
    let quotient = if ty.is_signed() {
        let rest = a.int2(IntOp::Rem, ty, x, y);
        let below = crosses(a, ty, rest, y);
        let one = a.int(ty, 1);
        let less = a.int2(IntOp::Sub, ty, quotient, one);
        a.select(ty.width(), below, less, quotient)
    } else {
        quotient
    };
    unless_zero(a, ty, y, quotient)
}

/// With the sign of the divisor; 0 by zero.
pub(crate) fn floor_mod<A: Arith>(a: &mut A, ty: Int, x: A::Value, y: A::Value) -> A::Value {
    let rest = a.int2(IntOp::Rem, ty, x, y);
    let rest = if ty.is_signed() {
        let below = crosses(a, ty, rest, y);
        let moved = a.int2(IntOp::Add, ty, rest, y);
        a.select(ty.width(), below, moved, rest)
    } else {
        rest
    };
    unless_zero(a, ty, y, rest)
}

/// Whether a remainder is not zero and has the other sign than the divisor.
fn crosses<A: Arith>(a: &mut A, ty: Int, rest: A::Value, y: A::Value) -> A::Value {
    let zero = a.int(ty, 0);
    let signs = a.xor(ty.width(), rest, y);
    let differ = a.icmp(Relation::Lt, ty, signs, zero);
    let some = a.icmp(Relation::Ne, ty, rest, zero);
    a.and(Width::Pred, differ, some)
}

fn unless_zero<A: Arith>(a: &mut A, ty: Int, divisor: A::Value, value: A::Value) -> A::Value {
    let zero = a.int(ty, 0);
    let by_zero = a.icmp(Relation::Eq, ty, divisor, zero);
    a.select(ty.width(), by_zero, zero, value)
}

/// A shift amount in 32 bits; what is negative or too large shifts everything out.
fn amount<A: Arith>(a: &mut A, ty: Int, y: A::Value) -> A::Value {
    if ty.width() == Width::B32 {
        return y;
    }
    let most = a.u64(64);
    let least = a.int2(IntOp::Min, Int::U64, y, most);
    a.convert(Convert::Low, least)
}

/// By squaring. A negative exponent gives 0, but for bases of 1 and -1.
fn power<A: Arith>(a: &mut A, ty: Int, x: A::Value, y: A::Value) -> A::Value {
    let width = ty.width();
    let unsigned = if width == Width::B64 { Int::U64 } else { Int::U32 };
    let (zero, one) = (a.int(ty, 0), a.int(ty, 1));
    let turns = a.iterate(&[one, x, y], |a, state| {
        let &[result, square, left] = state else { return (state.to_vec(), a.bool(false)) };
        let bit = a.and(width, left, one);
        let set = a.icmp(Relation::Ne, ty, bit, zero);
        let next = a.int2(IntOp::Mul, ty, result, square);
        let result = a.select(width, set, next, result);
        let square = a.int2(IntOp::Mul, ty, square, square);
        let shift = a.u32(1);
        let left = a.int2(IntOp::Shr, unsigned, left, shift);
        let again = a.icmp(Relation::Ne, ty, left, zero);
        (vec![result, square, left], again)
    });
    let result = turns.first().copied().unwrap_or(one);
    if !ty.is_signed() {
        return result;
    }
    let minus_one = a.int(ty, -1);
    let odd = a.and(width, y, one);
    let odd = a.icmp(Relation::Ne, ty, odd, zero);
    let signed = a.select(width, odd, minus_one, one);
    let is_minus_one = a.icmp(Relation::Eq, ty, x, minus_one);
    let inverse = a.select(width, is_minus_one, signed, zero);
    let is_one = a.icmp(Relation::Eq, ty, x, one);
    let inverse = a.select(width, is_one, one, inverse);
    let negative = a.icmp(Relation::Lt, ty, y, zero);
    a.select(width, negative, inverse, result)
}
