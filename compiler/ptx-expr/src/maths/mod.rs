//! Elementary functions in f32 and f64, as sequences of correctly rounded operations: what the host runs and what the GPU runs are
//! the same bits.
//!
//! Branch-free but for two rare ways: the reduction of large angles, and remainders. Largest error seen against f64 over a
//! dense sample of all f32, in units of the last place (the tests hold them):
//!
//! ```text
//! precise   all functions   f32: 2   f64: 4
//! fast      f32 only: exp, log, tanh, sigmoid, erf, sqrt, recip by the hardware's approximations; the others stay precise
//!           relative error: exp 2^-22 (1 + |x|), tanh 2^-11, log 2^-21 (absolute near 1), erf, sigmoid, sqrt, recip 2^-20;
//!           sigmoid is 0 below -88
//! ```
//!
//! Coefficients are our own minimax fits in high precision (Remez exchange, weighted for relative error).

mod erf;
mod exp;
mod inverse;
mod log;
mod power;
mod reduce;
mod remainder;
mod trig;

use graph::expr::UnOp;

use crate::arith::Arith;
use crate::op::{Approx, Float, FloatOp, Op, Relation};

pub(crate) use inverse::atan2;
pub(crate) use power::pow;
pub(crate) use remainder::{floor_mod, fmod};

/// How precise functions have to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum MathsMode {
    /// Within 2 ULP in f32.
    #[default]
    Precise,
    /// Approximations of the hardware, for networks that compute in 16 bits and less.
    Fast,
}

/// An elementary function; `None` if the operation is none.
pub(crate) fn unary<A: Arith>(a: &mut A, mode: MathsMode, op: UnOp, f: Float, x: A::Value) -> Option<A::Value> {
    if mode == MathsMode::Fast && f == Float::F32 {
        let fast = match op {
            UnOp::Sqrt => Some(approx(a, Approx::Sqrt, x)),
            UnOp::Recip => Some(approx(a, Approx::Rcp, x)),
            UnOp::Exp => Some(fast_exp(a, x)),
            UnOp::Log => {
                let log2 = approx(a, Approx::Lg2, x);
                let ln2 = a.f32(std::f32::consts::LN_2);
                Some(a.mul(f, log2, ln2))
            }
            UnOp::Tanh => Some(approx(a, Approx::Tanh, x)),
            UnOp::Erf => Some(erf::fast(a, x)),
            UnOp::Sigmoid => {
                let opposite = a.neg(f, x);
                let e = fast_exp(a, opposite);
                let one = a.f32(1.0);
                let sum = a.add(f, one, e);
                Some(approx(a, Approx::Rcp, sum))
            }
            _ => None,
        };
        if fast.is_some() {
            return fast;
        }
    }
    Some(match op {
        UnOp::Sqrt => a.sqrt(f, x),
        UnOp::Recip => {
            let one = a.float(f, 1.0);
            a.div(f, one, x)
        }
        UnOp::Exp => exp::exp(a, f, x),
        UnOp::Expm1 => exp::expm1(a, f, x),
        UnOp::Log => log::log(a, f, x),
        UnOp::Log1p => log::log1p(a, f, x),
        UnOp::Sin => trig::sin(a, f, x),
        UnOp::Cos => trig::cos(a, f, x),
        UnOp::Tan => trig::tan(a, f, x),
        UnOp::Asin => inverse::asin(a, f, x),
        UnOp::Acos => inverse::acos(a, f, x),
        UnOp::Atan => inverse::atan(a, f, x),
        UnOp::Sinh => exp::sinh(a, f, x),
        UnOp::Cosh => exp::cosh(a, f, x),
        UnOp::Tanh => exp::tanh(a, f, x),
        UnOp::Asinh => log::asinh(a, f, x),
        UnOp::Acosh => log::acosh(a, f, x),
        UnOp::Atanh => log::atanh(a, f, x),
        UnOp::Sigmoid => exp::sigmoid(a, f, x),
        UnOp::Erf => erf::erf(a, f, x),
        UnOp::Neg
        | UnOp::Abs
        | UnOp::Sign
        | UnOp::Not
        | UnOp::Floor
        | UnOp::Ceil
        | UnOp::Round
        | UnOp::Trunc
        | UnOp::IsNan
        | UnOp::IsInf
        | UnOp::PopCount => return None,
    })
}

fn approx<A: Arith>(a: &mut A, op: Approx, x: A::Value) -> A::Value {
    a.apply(Op::Approx(op), &[x])
}

/// `e^x` by the hardware's power of two.
fn fast_exp<A: Arith>(a: &mut A, x: A::Value) -> A::Value {
    let log2e = a.f32(std::f32::consts::LOG2_E);
    let scaled = a.mul(Float::F32, x, log2e);
    approx(a, Approx::Ex2, scaled)
}

/// One of two lists of coefficients.
fn by<'c>(f: Float, single: &'c [f64], double: &'c [f64]) -> &'c [f64] {
    match f {
        Float::F32 => single,
        Float::F64 => double,
    }
}

/// One of two numbers.
fn either(f: Float, single: f64, double: f64) -> f64 {
    match f {
        Float::F32 => single,
        Float::F64 => double,
    }
}

/// `x + x z P(z)`, for odd functions near zero.
fn odd<A: Arith>(a: &mut A, f: Float, x: A::Value, z: A::Value, c: &[f64]) -> A::Value {
    let p = a.poly(f, z, c);
    let xz = a.mul(f, x, z);
    a.fma(f, xz, p, x)
}

/// The value, or a bound where it lies beyond; NaN stays.
fn clamp<A: Arith>(a: &mut A, f: Float, x: A::Value, low: f64, high: f64) -> A::Value {
    let (low, high) = (a.float(f, low), a.float(f, high));
    if f == Float::F32 {
        let x = a.float2(FloatOp::MinNan, f, x, high);
        return a.float2(FloatOp::MaxNan, f, x, low);
    }
    let above = a.fcmp(Relation::Gt, f, x, high);
    let x = a.select(f.width(), above, high, x);
    let below = a.fcmp(Relation::Lt, f, x, low);
    a.select(f.width(), below, low, x)
}

/// `y`, but `x` itself where it is so small that the two do not differ: keeps the sign of zero.
fn keep_small<A: Arith>(a: &mut A, f: Float, x: A::Value, y: A::Value) -> A::Value {
    let limit = a.float(f, either(f, 7.450_580_596_923_828e-9, 1.387_778_780_781_445_7e-17));
    let size = a.abs(f, x);
    let small = a.fcmp(Relation::Lt, f, size, limit);
    a.select(f.width(), small, x, y)
}

#[cfg(test)]
mod tests;
