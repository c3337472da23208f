//! `exp` and the functions made of it.
//!
//! ```text
//! x = n ln2 + r, |r| <= ln2 / 2      e^r - 1 = r + r² P(r)      e^x = 2^n e^r, the power in two factors
//! ```
//!
//! Idea: Cody and Waite, "Software Manual for the Elementary Functions", 1980.

use super::{by, clamp, either, keep_small, odd};
use crate::arith::Arith;
use crate::op::{Convert, Float, Int, IntOp, Op, Relation};

const P32: [f64; 5] = [0.49999997, 0.16666543, 0.0416672, 0.008366579, 0.0013882527];
const P64: [f64; 10] = [
    0.5000000000000006,
    0.16666666666666588,
    0.0416666666665761,
    0.008333333333389929,
    0.001388888893179676,
    0.00019841269718405948,
    2.4801504977284965e-05,
    2.7557408780784984e-06,
    2.762616191535158e-07,
    2.5053793720195194e-08,
];
const SINH32: [f64; 4] = [0.16666667, 0.0083333505, 0.00019836056, 2.8175016e-06];
const SINH64: [f64; 7] = [
    0.16666666666666669,
    0.008333333333333137,
    0.00019841269841438513,
    2.7557319155064355e-06,
    2.505212344331335e-08,
    1.6057236751049418e-10,
    7.759424115242577e-13,
];
const TANH32: [f64; 6] = [-0.3333333, 0.13333295, -0.053959783, 0.021783695, -0.008416548, 0.0023986974];

/// `e^x`.
pub(super) fn exp<A: Arith>(a: &mut A, f: Float, x: A::Value) -> A::Value {
    let zero = a.u32(0);
    scaled_exp(a, f, x, zero)
}

/// `2^bias e^x`.
fn scaled_exp<A: Arith>(a: &mut A, f: Float, x: A::Value, bias: A::Value) -> A::Value {
    let (n, r) = reduce_clamped(a, f, x);
    let n = a.int2(IntOp::Add, Int::S32, n, bias);
    let y = match f {
        Float::F32 => {
            let p = series(a, f, r);
            let one = a.f32(1.0);
            a.add(f, p, one)
        }
        Float::F64 => whole_series(a, f, r),
    };
    scale(a, f, y, n)
}

fn reduce_clamped<A: Arith>(a: &mut A, f: Float, x: A::Value) -> (A::Value, A::Value) {
    let x = clamp(a, f, x, either(f, -105.0, -746.0), either(f, 90.0, 711.0));
    reduce(a, f, x)
}

/// `e^r`.
pub(super) fn whole_series<A: Arith>(a: &mut A, f: Float, r: A::Value) -> A::Value {
    let (sum, tail) = series_pair(a, f, r);
    a.add(f, sum, tail)
}

/// `e^r` as the sum of two: what `1 + r` loses is put back.
fn series_pair<A: Arith>(a: &mut A, f: Float, r: A::Value) -> (A::Value, A::Value) {
    let one = a.float(f, 1.0);
    let sum = a.add(f, r, one);
    let kept = a.sub(f, one, sum);
    let lost = a.add(f, kept, r);
    let p = a.poly(f, r, by(f, &P32, &P64));
    let square = a.mul(f, r, r);
    (sum, a.fma(f, square, p, lost))
}

/// n as an integer, and r.
pub(super) fn reduce<A: Arith>(a: &mut A, f: Float, x: A::Value) -> (A::Value, A::Value) {
    // Adding it rounds to an integer, which then stands in the low bits.
    let magic = a.float(f, either(f, 12_582_912.0, 6_755_399_441_055_744.0));
    let log2e = a.float(f, std::f64::consts::LOG2_E);
    let shifted = a.fma(f, x, log2e, magic);
    let whole = a.sub(f, shifted, magic);
    let n = match f {
        Float::F32 => a.int2(IntOp::Sub, Int::S32, shifted, magic),
        Float::F64 => a.convert(Convert::Low, shifted),
    };
    let opposite = a.neg(f, whole);
    let high = a.float(f, either(f, f64::from(f32::from_bits(0x3F31_7217)), std::f64::consts::LN_2));
    // The rest of ln2 beyond the high part.
    let low = a.float(f, either(f, 5.769_999_054_2e-8, 2.319_046_813_846_299_6e-17));
    let r = a.fma(f, opposite, high, x);
    (n, a.fma(f, opposite, low, r))
}

/// `e^r - 1`.
fn series<A: Arith>(a: &mut A, f: Float, r: A::Value) -> A::Value {
    let p = a.poly(f, r, by(f, &P32, &P64));
    let square = a.mul(f, r, r);
    a.fma(f, square, p, r)
}

/// `y 2^n`; the only rounding of a subnormal result is the last.
pub(super) fn scale<A: Arith>(a: &mut A, f: Float, y: A::Value, n: A::Value) -> A::Value {
    let one = a.u32(1);
    let half = a.int2(IntOp::Shr, Int::S32, n, one);
    let rest = a.int2(IntOp::Sub, Int::S32, n, half);
    let (half, rest) = (power_of_two(a, f, half), power_of_two(a, f, rest));
    let y = a.mul(f, y, half);
    a.mul(f, y, rest)
}

/// `2^n` where that is a normal number.
pub(super) fn power_of_two<A: Arith>(a: &mut A, f: Float, n: A::Value) -> A::Value {
    if f == Float::F32 {
        let (unit, one) = (a.u32(1 << 23), a.f32(1.0));
        return a.apply(Op::Int(IntOp::Mad, Int::S32), &[n, unit, one]);
    }
    let (unit, one) = (a.u32(1 << 20), a.u32(0x3FF0_0000));
    let high = a.apply(Op::Int(IntOp::Mad, Int::S32), &[n, unit, one]);
    let low = a.u32(0);
    a.apply(Op::Convert(Convert::Pack), &[low, high])
}

/// `e^x - 1 = 2 (2^(n-1) p + (2^(n-1) - 1/2))`.
pub(super) fn expm1<A: Arith>(a: &mut A, f: Float, x: A::Value) -> A::Value {
    let inside = clamp(a, f, x, -50.0, either(f, 89.0, 709.9));
    let (n, r) = reduce(a, f, inside);
    let p = series(a, f, r);
    let one = a.u32(1);
    let less = a.int2(IntOp::Sub, Int::S32, n, one);
    let power = power_of_two(a, f, less);
    let minus_half = a.float(f, -0.5);
    let rest = a.add(f, power, minus_half);
    let y = a.fma(f, power, p, rest);
    let y = a.add(f, y, y);
    keep_small(a, f, x, y)
}

/// `1 / (1 + e^-x)`.
pub(super) fn sigmoid<A: Arith>(a: &mut A, f: Float, x: A::Value) -> A::Value {
    let size = a.abs(f, x);
    let opposite = a.neg(f, size);
    let (n, r) = reduce_clamped(a, f, opposite);
    let (whole, tail) = series_pair(a, f, r);
    let y = a.add(f, whole, tail);
    let e = scale(a, f, y, n);
    let (zero, one) = (a.float(f, 0.0), a.float(f, 1.0));
    let low = a.fcmp(Relation::Lt, f, x, zero);
    let above = a.select(f.width(), low, e, one);
    let sum = a.add(f, one, e);
    let quotient = a.div(f, above, sum);
    if f == Float::F64 {
        return quotient;
    }
    // One step of Newton's on what was lost: of the sum, of e, and of the quotient.
    let kept = a.sub(f, whole, y);
    let e_low = a.add(f, kept, tail);
    let e_low = scale(a, f, e_low, n);
    let kept = a.sub(f, one, sum);
    let sum_low = a.add(f, kept, e);
    let sum_low = a.add(f, sum_low, e_low);
    let above_low = a.select(f.width(), low, e_low, zero);
    let opposite = a.neg(f, quotient);
    let rest = a.fma(f, opposite, sum, above);
    let rest = a.fma(f, opposite, sum_low, rest);
    let rest = a.add(f, rest, above_low);
    // 1 / sum, nearly.
    let from_one = a.sub(f, one, quotient);
    let inverse = a.select(f.width(), low, from_one, quotient);
    a.fma(f, rest, inverse, quotient)
}

/// Hyperbolic sine.
pub(super) fn sinh<A: Arith>(a: &mut A, f: Float, x: A::Value) -> A::Value {
    let size = a.abs(f, x);
    let z = a.mul(f, x, x);
    let near = odd(a, f, x, z, by(f, &SINH32, &SINH64));
    let (half, rest) = halves(a, f, size);
    let far = a.sub(f, half, rest);
    let far = a.copysign(f, far, x);
    let one = a.float(f, 1.0);
    let is_near = a.fcmp(Relation::Lt, f, size, one);
    a.select(f.width(), is_near, near, far)
}

/// Hyperbolic cosine.
pub(super) fn cosh<A: Arith>(a: &mut A, f: Float, x: A::Value) -> A::Value {
    let size = a.abs(f, x);
    let (half, rest) = halves(a, f, size);
    a.add(f, half, rest)
}

/// `e^x / 2` and `e^-x / 2`; the first overflows later than `e^x`.
fn halves<A: Arith>(a: &mut A, f: Float, x: A::Value) -> (A::Value, A::Value) {
    let bias = a.i32(-1);
    let half = scaled_exp(a, f, x, bias);
    let quarter = a.float(f, 0.25);
    let rest = a.div(f, quarter, half);
    (half, rest)
}

/// Hyperbolic tangent.
pub(super) fn tanh<A: Arith>(a: &mut A, f: Float, x: A::Value) -> A::Value {
    let size = a.abs(f, x);
    let (one, two) = (a.float(f, 1.0), a.float(f, 2.0));
    let double = a.add(f, size, size);
    if f == Float::F64 {
        // With t = e^2x - 1: t / (t + 2).
        let double = clamp(a, f, double, 0.0, 44.0);
        let t = expm1(a, f, double);
        let sum = a.add(f, t, two);
        let y = a.div(f, t, sum);
        let y = a.copysign(f, y, x);
        return keep_small(a, f, x, y);
    }
    let z = a.mul(f, x, x);
    let near = odd(a, f, size, z, &TANH32);
    let e = exp(a, f, double);
    let sum = a.add(f, e, one);
    let part = a.div(f, two, sum);
    let far = a.sub(f, one, part);
    let limit = a.f32(0.55);
    let is_near = a.fcmp(Relation::Lt, f, size, limit);
    let y = a.select(f.width(), is_near, near, far);
    a.copysign(f, y, x)
}
