//! Float operations at a dtype: the machine's, rounded to the dtype where that is narrower.

use graph::dtype::DType;
use graph::expr::{BinOp, CmpOp, Rounding, UnOp};

use crate::arith::Arith;
use crate::error::Error;
use crate::integer::relation;
use crate::maths::{self, MathsMode};
use crate::narrow;
use crate::op::{Convert, Float, FloatOp, Relation, Width};

/// Rounds a result to its dtype.
fn rounded<A: Arith>(a: &mut A, dtype: DType, x: A::Value) -> A::Value {
    narrow::round(a, dtype, false, Rounding::Up, x)
}

pub(crate) fn unary<A: Arith>(
    a: &mut A,
    mode: MathsMode,
    op: UnOp,
    dtype: DType,
    f: Float,
    x: A::Value,
) -> Result<A::Value, Error> {
    let refused = Error::DType { what: op.row().name, dtype };
    // These yield what the dtype has.
    match op {
        UnOp::Floor => return Ok(a.float1(FloatOp::Floor, f, x)),
        UnOp::Ceil => return Ok(a.float1(FloatOp::Ceil, f, x)),
        UnOp::Round => return Ok(a.float1(FloatOp::Rint, f, x)),
        UnOp::Trunc => return Ok(a.float1(FloatOp::Trunc, f, x)),
        UnOp::IsNan => return Ok(a.is_nan(f, x)),
        UnOp::IsInf => {
            let size = a.abs(f, x);
            let infinity = a.float(f, f64::INFINITY);
            return Ok(a.fcmp(Relation::Eq, f, size, infinity));
        }
        UnOp::Neg | UnOp::Abs if keeps_sign(dtype) => {
            let op = if op == UnOp::Neg { FloatOp::Neg } else { FloatOp::Abs };
            return Ok(a.float1(op, f, x));
        }
        _ => {}
    }
    let value = match op {
        UnOp::Neg => a.neg(f, x),
        UnOp::Abs => a.abs(f, x),
        UnOp::Sign => sign(a, f, x),
        _ => maths::unary(a, mode, op, f, x).ok_or(refused)?,
    };
    Ok(rounded(a, dtype, value))
}

/// Whether the negative of every value is one, -0 too.
fn keeps_sign(dtype: DType) -> bool {
    !matches!(dtype, DType::F8E8M0 | DType::F8E4M3FNUZ | DType::F8E5M2FNUZ | DType::F4E2M1)
}

pub(crate) fn binary<A: Arith>(
    a: &mut A,
    op: BinOp,
    dtype: DType,
    f: Float,
    x: A::Value,
    y: A::Value,
) -> Result<A::Value, Error> {
    if dtype == DType::F8E8M0 && matches!(op, BinOp::Add | BinOp::Sub) {
        return Ok(sum_of_powers(a, op, x, y));
    }
    let value = match op {
        BinOp::Add => a.add(f, x, y),
        BinOp::Sub => a.sub(f, x, y),
        BinOp::Mul => a.mul(f, x, y),
        BinOp::Div => a.div(f, x, y),
        BinOp::Rem => maths::fmod(a, f, x, y),
        BinOp::Mod => maths::floor_mod(a, f, x, y),
        BinOp::Min => return Ok(first_of(a, f, Relation::Le, x, y)),
        BinOp::Max => return Ok(first_of(a, f, Relation::Ge, x, y)),
        BinOp::Pow => maths::pow(a, f, x, y),
        BinOp::Atan2 => maths::atan2(a, f, x, y),
        BinOp::FloorDiv | BinOp::And | BinOp::Or | BinOp::Xor | BinOp::Shl | BinOp::Shr => {
            return Err(Error::DType { what: op.row().name, dtype });
        }
    };
    Ok(rounded(a, dtype, value))
}

/// Sums of `f8e8m0` round up, however small the other term is; f64 is what they are meant in.
fn sum_of_powers<A: Arith>(a: &mut A, op: BinOp, x: A::Value, y: A::Value) -> A::Value {
    let [x, y] = [x, y].map(|v| a.convert(Convert::F32ToF64, v));
    let sum = if op == BinOp::Add { a.add(Float::F64, x, y) } else { a.sub(Float::F64, x, y) };
    let sum = narrow::f64_to_odd(a, sum);
    rounded(a, DType::F8E8M0, sum)
}

pub(crate) fn compare<A: Arith>(a: &mut A, op: CmpOp, f: Float, x: A::Value, y: A::Value) -> A::Value {
    a.fcmp(relation(op), f, x, y)
}

pub(crate) fn fma<A: Arith>(a: &mut A, dtype: DType, f: Float, x: A::Value, y: A::Value, z: A::Value) -> A::Value {
    match dtype {
        DType::F32 | DType::F64 => a.fma(f, x, y, z),
        _ => narrow::fma(a, dtype, x, y, z),
    }
}

/// The first where it is NaN or relates to the second, else the second.
fn first_of<A: Arith>(a: &mut A, f: Float, relation: Relation, x: A::Value, y: A::Value) -> A::Value {
    let number = |bits: u64| match f {
        Float::F32 => !f32::from_bits(bits as u32).is_nan(),
        Float::F64 => !f64::from_bits(bits).is_nan(),
    };
    if a.known(y).is_some_and(number) {
        let opposite = if relation == Relation::Le { Relation::Gt } else { Relation::Lt };
        let second = a.fcmp(opposite, f, x, y);
        return a.select(f.width(), second, y, x);
    }
    let holds = a.fcmp(relation, f, x, y);
    if a.known(x).is_some_and(number) {
        return a.select(f.width(), holds, x, y);
    }
    let nan = a.is_nan(f, x);
    let first = a.or(Width::Pred, holds, nan);
    a.select(f.width(), first, x, y)
}

fn sign<A: Arith>(a: &mut A, f: Float, x: A::Value) -> A::Value {
    let (zero, one, minus_one) = (a.float(f, 0.0), a.float(f, 1.0), a.float(f, -1.0));
    let above = a.fcmp(Relation::Gt, f, x, zero);
    let below = a.fcmp(Relation::Lt, f, x, zero);
    let value = a.select(f.width(), below, minus_one, x);
    a.select(f.width(), above, one, value)
}
