//! Remainders of floats, exact.
//!
//! ```text
//! |x| = m 2^e, |y| = k 2^g:    r = m mod k;  as long as e > g: r = r 2^s mod k, e = e - s, with s bits at a time
//! ```

use super::either;
use crate::arith::Arith;
use crate::maths::exp::power_of_two;
use crate::op::{Convert, Float, Int, IntOp, Relation, Width};

/// Remainder with the sign of the dividend; NaN for an infinite dividend and a zero divisor.
pub(crate) fn fmod<A: Arith>(a: &mut A, f: Float, x: A::Value, y: A::Value) -> A::Value {
    let width = f.width();
    let (size, divisor) = (a.abs(f, x), a.abs(f, y));
    let less = a.fcmp(Relation::Lt, f, size, divisor);
    let (m, e) = parts(a, f, size);
    let (k, g) = parts(a, f, divisor);
    let left = a.int2(IntOp::Sub, Int::S32, e, g);
    let zero = a.u32(0);
    let none = a.int2(IntOp::Max, Int::S32, left, zero);
    // Where the dividend is the lesser, or nothing can be divided, one turn is enough.
    let left = a.select(Width::B32, less, zero, none);
    let room = a.i32(either(f, 40.0, 11.0) as i32);
    let state = a.iterate(&[m, left], |a, state| {
        let &[rest, left] = state else { return (state.to_vec(), a.bool(false)) };
        let step = a.int2(IntOp::Min, Int::S32, left, room);
        let shifted = a.int2(IntOp::Shl, Int::U64, rest, step);
        let rest = a.int2(IntOp::Rem, Int::U64, shifted, k);
        let left = a.int2(IntOp::Sub, Int::S32, left, step);
        let again = a.icmp(Relation::Gt, Int::S32, left, zero);
        (vec![rest, left], again)
    });
    let rest = state.first().copied().unwrap_or(m);
    // r 2^(g - fraction), in two exact factors.
    let whole = a.convert(Convert::IntToFloat(Int::U64, f), rest);
    let unit = a.float(f, either(f, 1.0 / 8_388_608.0, 1.0 / 4_503_599_627_370_496.0));
    let scaled = a.mul(f, whole, unit);
    let bias = a.i32(f.bias() as i32);
    let exponent = a.int2(IntOp::Sub, Int::S32, g, bias);
    let power = power_of_two(a, f, exponent);
    let value = a.mul(f, scaled, power);
    let value = a.select(width, less, size, value);
    let value = a.copysign(f, value, x);
    let (infinity, nothing) = (a.float(f, f64::INFINITY), a.float(f, 0.0));
    let finite = a.fcmp(Relation::Lt, f, size, infinity);
    let some = a.fcmp(Relation::Gt, f, divisor, nothing);
    let defined = a.and(Width::Pred, finite, some);
    let nan = a.constant(width, f.nan());
    a.select(width, defined, value, nan)
}

/// Remainder with the sign of the divisor; nothing left is a zero of its sign.
pub(crate) fn floor_mod<A: Arith>(a: &mut A, f: Float, x: A::Value, y: A::Value) -> A::Value {
    let rest = fmod(a, f, x, y);
    let zero = a.float(f, 0.0);
    let none = a.fcmp(Relation::Eq, f, rest, zero);
    let signed_zero = a.copysign(f, zero, y);
    let (rest_low, y_low) = (a.fcmp(Relation::Lt, f, rest, zero), a.fcmp(Relation::Lt, f, y, zero));
    let differ = a.xor(Width::Pred, rest_low, y_low);
    let sum = a.add(f, rest, y);
    let value = a.select(f.width(), differ, sum, rest);
    a.select(f.width(), none, signed_zero, value)
}

/// Significand as a 64-bit integer, and the exponent field, which is 1 for subnormals too.
fn parts<A: Arith>(a: &mut A, f: Float, x: A::Value) -> (A::Value, A::Value) {
    let x = if f == Float::F32 { a.convert(Convert::ExtendZero, x) } else { x };
    let count = a.u32(f.fraction());
    let field = a.int2(IntOp::Shr, Int::U64, x, count);
    let field = a.convert(Convert::Low, field);
    let (mask, hidden) = (a.u64((1 << f.fraction()) - 1), a.u64(1 << f.fraction()));
    let fraction = a.and(Width::B64, x, mask);
    let whole = a.or(Width::B64, fraction, hidden);
    let (zero, one) = (a.u32(0), a.u32(1));
    let subnormal = a.icmp(Relation::Eq, Int::U32, field, zero);
    let significand = a.select(Width::B64, subnormal, fraction, whole);
    let exponent = a.select(Width::B32, subnormal, one, field);
    (significand, exponent)
}
