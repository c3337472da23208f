//! Float operations: computed in `f64`, rounded to the dtype once.

use crate::dtype::DType;
use crate::eval::Problem;
use crate::eval::column::{Column, Vals};
use crate::expr::{BinOp, CmpOp, UnOp};
use crate::narrow;

/// A unary operation.
pub(super) fn unary(op: UnOp, dtype: DType, a: &Vals<f64>) -> Result<Column, Problem> {
    let exact = |f: fn(f64) -> f64| Ok(Column::F(a.map(f)));
    let rounded = |f: fn(f64) -> f64| Ok(Column::F(round(dtype, a.map(f))));
    match op {
        UnOp::Neg => rounded(|x| -x),
        UnOp::Abs => rounded(f64::abs),
        UnOp::Sign => rounded(sign),
        UnOp::Floor => exact(f64::floor),
        UnOp::Ceil => exact(f64::ceil),
        UnOp::Round => exact(f64::round_ties_even),
        UnOp::Trunc => exact(f64::trunc),
        UnOp::Sqrt => rounded(f64::sqrt),
        UnOp::Recip => rounded(|x| 1.0 / x),
        UnOp::Exp => rounded(libm::exp),
        UnOp::Expm1 => rounded(libm::expm1),
        UnOp::Log => rounded(libm::log),
        UnOp::Log1p => rounded(libm::log1p),
        UnOp::Sin => rounded(libm::sin),
        UnOp::Cos => rounded(libm::cos),
        UnOp::Tan => rounded(libm::tan),
        UnOp::Asin => rounded(libm::asin),
        UnOp::Acos => rounded(libm::acos),
        UnOp::Atan => rounded(libm::atan),
        UnOp::Sinh => rounded(libm::sinh),
        UnOp::Cosh => rounded(libm::cosh),
        UnOp::Tanh => rounded(libm::tanh),
        UnOp::Asinh => rounded(libm::asinh),
        UnOp::Acosh => rounded(acosh),
        UnOp::Atanh => rounded(libm::atanh),
        UnOp::Sigmoid => rounded(|x| 1.0 / (1.0 + libm::exp(-x))),
        UnOp::Erf => rounded(libm::erf),
        UnOp::IsNan => Ok(Column::I(a.map(|x| i64::from(x.is_nan())))),
        UnOp::IsInf => Ok(Column::I(a.map(|x| i64::from(x.is_infinite())))),
        UnOp::Not | UnOp::PopCount => Err(Problem::Undefined { what: op.row().name, dtype }),
    }
}

/// A binary operation.
pub(super) fn binary(op: BinOp, dtype: DType, a: &Vals<f64>, b: &Vals<f64>) -> Result<Column, Problem> {
    let out = match op {
        BinOp::Add => a.zip(b, |x, y| x + y),
        BinOp::Sub => a.zip(b, |x, y| x - y),
        BinOp::Mul => a.zip(b, |x, y| x * y),
        BinOp::Div => a.zip(b, |x, y| x / y),
        BinOp::Rem => a.zip(b, libm::fmod),
        BinOp::Mod => a.zip(b, floor_mod),
        BinOp::Min => return Ok(Column::F(a.zip(b, min))),
        BinOp::Max => return Ok(Column::F(a.zip(b, max))),
        BinOp::Pow => a.zip(b, libm::pow),
        BinOp::Atan2 => a.zip(b, libm::atan2),
        BinOp::FloorDiv | BinOp::And | BinOp::Or | BinOp::Xor | BinOp::Shl | BinOp::Shr => {
            return Err(Problem::Undefined { what: op.row().name, dtype });
        }
    };
    Ok(Column::F(round(dtype, out)))
}

/// A comparison.
pub(super) fn compare(op: CmpOp, a: &Vals<f64>, b: &Vals<f64>) -> Column {
    Column::I(match op {
        CmpOp::Eq => a.zip(b, |x, y| i64::from(x == y)),
        CmpOp::Ne => a.zip(b, |x, y| i64::from(x != y)),
        CmpOp::Lt => a.zip(b, |x, y| i64::from(x < y)),
        CmpOp::Le => a.zip(b, |x, y| i64::from(x <= y)),
    })
}

/// `a * b + c` with one rounding.
pub(super) fn fma(dtype: DType, a: &Vals<f64>, b: &Vals<f64>, c: &Vals<f64>) -> Vals<f64> {
    let pairs = a.zip(b, |x, y| (x, y));
    if dtype == DType::F64 {
        return pairs.zip(c, |(x, y), z| libm::fma(x, y, z));
    }
    // The product of two narrow floats is exact, so only the sum must not be rounded twice.
    round(dtype, pairs.zip(c, |(x, y), z| add_to_odd(x * y, z)))
}

/// Rounds to the dtype.
pub(super) fn round(dtype: DType, values: Vals<f64>) -> Vals<f64> {
    match (dtype, values) {
        (DType::F64, values) => values,
        (DType::F32, Vals::Many(mut vs)) => {
            vs.iter_mut().for_each(|v| *v = f64::from(*v as f32));
            Vals::Many(vs)
        }
        (_, Vals::Many(mut vs)) => {
            vs.iter_mut().for_each(|v| *v = narrow::round_to(dtype, *v));
            Vals::Many(vs)
        }
        (_, Vals::One(v)) => Vals::One(narrow::round_to(dtype, v)),
    }
}

/// The larger; NaN if either is; of equal values (the two zeros) the first.
pub(super) fn max(x: f64, y: f64) -> f64 {
    if x.is_nan() || x >= y { x } else { y }
}

/// The smaller; NaN if either is; of equal values (the two zeros) the first.
pub(super) fn min(x: f64, y: f64) -> f64 {
    if x.is_nan() || x <= y { x } else { y }
}

/// An integer as a float that rounds to any narrower format as the integer itself would (round to odd).
pub(super) fn from_int(value: i128) -> f64 {
    let nearest = value as f64;
    let back = nearest as i128;
    nudge(nearest, value.cmp(&back))
}

fn add_to_odd(x: f64, y: f64) -> f64 {
    let sum = x + y;
    if !sum.is_finite() {
        return sum;
    }
    // Knuth's two-sum: the exact error of the addition.
    let part = sum - x;
    let error = (x - (sum - part)) + (y - part);
    match error.partial_cmp(&0.0) {
        Some(order) => nudge(sum, order),
        None => sum,
    }
}

/// Makes an inexact result odd by moving it one step toward the exact value, which lies in direction `exact`.
fn nudge(value: f64, exact: std::cmp::Ordering) -> f64 {
    let bits = value.to_bits();
    if exact.is_eq() || bits & 1 == 1 || value == 0.0 {
        return value;
    }
    let grows = exact.is_gt() == (value > 0.0);
    f64::from_bits(if grows { bits + 1 } else { bits - 1 })
}

/// `libm` yields numbers below -1, where there is no value.
fn acosh(x: f64) -> f64 {
    if x < 1.0 { f64::NAN } else { libm::acosh(x) }
}

fn sign(x: f64) -> f64 {
    if x > 0.0 {
        1.0
    } else if x < 0.0 {
        -1.0
    } else {
        x
    }
}

fn floor_mod(x: f64, y: f64) -> f64 {
    let r = libm::fmod(x, y);
    if r == 0.0 {
        f64::copysign(0.0, y)
    } else if (r < 0.0) != (y < 0.0) {
        r + y
    } else {
        r
    }
}
