//! Integer and bool operations: in `i64`, wrapped to the width.

use crate::dim::{floor_div, floor_mod};
use crate::dtype::{Class, DType};
use crate::eval::Problem;
use crate::eval::column::{Column, Vals};
use crate::expr::{BinOp, CmpOp, UnOp};

/// A unary operation.
pub(super) fn unary(op: UnOp, dtype: DType, a: &Vals<i64>) -> Result<Column, Problem> {
    let out = match op {
        UnOp::Neg => a.map(i64::wrapping_neg),
        UnOp::Abs if dtype.class() == Class::Unsigned => a.clone(),
        UnOp::Abs => a.map(i64::wrapping_abs),
        UnOp::Sign if dtype.class() == Class::Unsigned => a.map(|x| i64::from(x != 0)),
        UnOp::Sign => a.map(i64::signum),
        UnOp::Not if dtype == DType::Bool => a.map(|x| i64::from(x == 0)),
        UnOp::Not => a.map(|x| !x),
        UnOp::PopCount => {
            let mask = width_mask(dtype);
            a.map(|x| i64::from((x as u64 & mask).count_ones()))
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
        | UnOp::IsInf => return Err(Problem::Undefined { what: op.row().name, dtype }),
    };
    Ok(Column::I(wrap(dtype, out)))
}

/// A binary operation.
pub(super) fn binary(op: BinOp, dtype: DType, a: &Vals<i64>, b: &Vals<i64>) -> Result<Column, Problem> {
    let wide_unsigned = dtype == DType::U64;
    let unsigned = dtype.class() == Class::Unsigned;
    let width = u64::from(dtype.bits());
    let out = match op {
        BinOp::Add => a.zip(b, i64::wrapping_add),
        BinOp::Sub => a.zip(b, i64::wrapping_sub),
        BinOp::Mul => a.zip(b, i64::wrapping_mul),
        BinOp::Div | BinOp::FloorDiv if wide_unsigned => {
            a.zip(b, |x, y| (x as u64).checked_div(y as u64).unwrap_or(0) as i64)
        }
        BinOp::Rem | BinOp::Mod if wide_unsigned => {
            a.zip(b, |x, y| (x as u64).checked_rem(y as u64).unwrap_or(0) as i64)
        }
        BinOp::Div => a.zip(b, |x, y| if y == 0 { 0 } else { quotient(x, y) }),
        BinOp::FloorDiv => a.zip(b, floor_quotient),
        BinOp::Rem => a.zip(b, |x, y| if y == 0 { 0 } else { x.wrapping_rem(y) }),
        BinOp::Mod => a.zip(b, floor_remainder),
        BinOp::Min if wide_unsigned => a.zip(b, |x, y| (x as u64).min(y as u64) as i64),
        BinOp::Max if wide_unsigned => a.zip(b, |x, y| (x as u64).max(y as u64) as i64),
        BinOp::Min => a.zip(b, i64::min),
        BinOp::Max => a.zip(b, i64::max),
        BinOp::Pow if unsigned => a.zip(b, |x, y| power(x, y as u64)),
        BinOp::Pow => a.zip(b, signed_power),
        BinOp::And => a.zip(b, |x, y| x & y),
        BinOp::Or => a.zip(b, |x, y| x | y),
        BinOp::Xor => a.zip(b, |x, y| x ^ y),
        BinOp::Shl => a.zip(b, |x, y| if y as u64 >= width { 0 } else { x << y }),
        BinOp::Shr if unsigned => a.zip(b, |x, y| if y as u64 >= width { 0 } else { (x as u64 >> y) as i64 }),
        BinOp::Shr => a.zip(b, |x, y| x >> (y as u64).min(width - 1)),
        BinOp::Atan2 => return Err(Problem::Undefined { what: op.row().name, dtype }),
    };
    Ok(Column::I(wrap(dtype, out)))
}

/// A comparison.
pub(super) fn compare(op: CmpOp, dtype: DType, a: &Vals<i64>, b: &Vals<i64>) -> Column {
    let flip = if dtype == DType::U64 { i64::MIN } else { 0 };
    Column::I(match op {
        CmpOp::Eq => a.zip(b, |x, y| i64::from(x == y)),
        CmpOp::Ne => a.zip(b, |x, y| i64::from(x != y)),
        CmpOp::Lt => a.zip(b, |x, y| i64::from(x ^ flip < y ^ flip)),
        CmpOp::Le => a.zip(b, |x, y| i64::from(x ^ flip <= y ^ flip)),
    })
}

/// Wraps to the width of the dtype.
pub(super) fn wrap(dtype: DType, values: Vals<i64>) -> Vals<i64> {
    match dtype.bits() {
        0 | 64 => values,
        _ if dtype == DType::Bool => values,
        32 if dtype == DType::I32 => map_in_place(values, |v| i64::from(v as i32)),
        _ => map_in_place(values, |v| wrap_one(dtype, v)),
    }
}

/// One value wrapped to the width of the dtype.
pub(super) fn wrap_one(dtype: DType, value: i64) -> i64 {
    let bits = dtype.bits();
    if bits == 0 || bits == 64 || dtype == DType::Bool {
        return value;
    }
    let shift = 64 - bits;
    if dtype.class() == Class::Unsigned {
        (((value as u64) << shift) >> shift) as i64
    } else {
        (value << shift) >> shift
    }
}

fn map_in_place(values: Vals<i64>, f: impl Fn(i64) -> i64) -> Vals<i64> {
    match values {
        Vals::One(v) => Vals::One(f(v)),
        Vals::Many(mut vs) => {
            vs.iter_mut().for_each(|v| *v = f(*v));
            Vals::Many(vs)
        }
    }
}

fn width_mask(dtype: DType) -> u64 {
    match dtype.bits() {
        64 => u64::MAX,
        bits => (1u64 << bits) - 1,
    }
}

/// Truncated quotient; narrow operands take the cheaper division.
fn quotient(x: i64, y: i64) -> i64 {
    match (u32::try_from(x), u32::try_from(y)) {
        (Ok(x), Ok(y)) if y != 0 => i64::from(x / y),
        _ => x.wrapping_div(y),
    }
}

fn floor_quotient(x: i64, y: i64) -> i64 {
    match (u32::try_from(x), u32::try_from(y)) {
        (Ok(x), Ok(y)) if y != 0 => i64::from(x / y),
        _ => floor_div(x, y),
    }
}

fn floor_remainder(x: i64, y: i64) -> i64 {
    match (u32::try_from(x), u32::try_from(y)) {
        (Ok(x), Ok(y)) if y != 0 => i64::from(x % y),
        _ => floor_mod(x, y),
    }
}

fn signed_power(base: i64, exponent: i64) -> i64 {
    if exponent >= 0 {
        return power(base, exponent as u64);
    }
    match base {
        1 => 1,
        -1 if exponent % 2 != 0 => -1,
        -1 => 1,
        _ => 0,
    }
}

fn power(mut base: i64, mut exponent: u64) -> i64 {
    let mut result = 1i64;
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = result.wrapping_mul(base);
        }
        base = base.wrapping_mul(base);
        exponent >>= 1;
    }
    result
}
