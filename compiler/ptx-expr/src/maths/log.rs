//! Logarithms and the functions made of them.
//!
//! ```text
//! x = 2^e m      f32: 2/3 <= m < 4/3, ln m = f - f²/2 + f³ P(f), f = m - 1
//!                f64: √½ <= m < √2,   ln m = f - (f²/2 - s (f²/2 + R(s²))), s = f / (2 + f)
//! ln(1 + x): f = x 2^-e + (2^-e - 1) with the e of 1 + x, so that nothing of x is lost
//! ```

use super::{either, keep_small, odd};
use crate::arith::Arith;
use crate::op::{Convert, Float, Int, IntOp, Relation, Width};

const P32: [f64; 8] =
    [0.33333215, -0.24999797, 0.20010406, -0.16680479, 0.14005879, -0.12184359, 0.1398438, -0.12891284];
const R64: [f64; 7] = [
    0.6666666666666735,
    0.39999999999407043,
    0.28571428744250044,
    0.22222198366436158,
    0.18183575834975677,
    0.1531373757240481,
    0.14799258167758797,
];
const ATANH32: [f64; 5] = [0.33333334, 0.19999772, 0.14297159, 0.108628236, 0.11477828];

/// The bits from which exponents are counted: 2/3 or √½.
fn cut(f: Float) -> u64 {
    match f {
        Float::F32 => 0x3F2A_AAAB,
        Float::F64 => 0x3FE6_A09E_667F_3BCD,
    }
}

/// Exponent as a float, and what `1 + f` leaves above it: for positive finite numbers.
pub(super) fn split<A: Arith>(a: &mut A, f: Float, x: A::Value, from: u64) -> (A::Value, A::Value) {
    let width = f.width();
    let least = a.float(f, either(f, f64::from(f32::MIN_POSITIVE), f64::MIN_POSITIVE));
    let subnormal = a.fcmp(Relation::Lt, f, x, least);
    let power = f.fraction() + 2;
    let lift = a.float(f, (1u64 << power) as f64);
    let lifted = a.mul(f, x, lift);
    let x = a.select(width, subnormal, lifted, x);
    let (zero, less) = (a.u32(0), a.i32(-(power as i32)));
    let bias = a.select(Width::B32, subnormal, less, zero);
    let from = a.constant(width, from);
    let ordered = a.int2(IntOp::Sub, f.signed(), x, from);
    let count = a.u32(f.fraction());
    let exponent = a.int2(IntOp::Shr, f.signed(), ordered, count);
    let exponent = if f == Float::F64 { a.convert(Convert::Low, exponent) } else { exponent };
    let exponent = a.int2(IntOp::Add, Int::S32, exponent, bias);
    let exponent = a.convert(Convert::IntToFloat(Int::S32, f), exponent);
    let mask = a.constant(width, (1 << f.fraction()) - 1);
    let fraction = a.and(width, ordered, mask);
    let m = a.int2(IntOp::Add, f.signed(), fraction, from);
    let one = a.float(f, 1.0);
    (exponent, a.sub(f, m, one))
}

/// `e ln2 + ln(1 + x)` for a small x.
fn series<A: Arith>(a: &mut A, f: Float, e: A::Value, x: A::Value) -> A::Value {
    let high = a.float(f, either(f, f64::from(f32::from_bits(0x3F31_7218)), f64::from_bits(0x3FE6_2E42_FEE0_0000)));
    let low = a.float(f, either(f, -1.904_654_299_9e-9, 1.908_214_929_270_587_7e-10));
    let square = a.mul(f, x, x);
    if f == Float::F32 {
        let p = a.poly(f, x, &P32);
        let minus_half = a.f32(-0.5);
        let p = a.fma(f, p, x, minus_half);
        let y = a.fma(f, square, p, x);
        let y = a.fma(f, e, low, y);
        return a.fma(f, e, high, y);
    }
    let two = a.float(f, 2.0);
    let sum = a.add(f, x, two);
    let s = a.div(f, x, sum);
    let z = a.mul(f, s, s);
    let p = a.poly(f, z, &R64);
    let r = a.mul(f, z, p);
    let half = a.float(f, 0.5);
    let half_square = a.mul(f, square, half);
    let inner = a.add(f, half_square, r);
    let tail = a.mul(f, e, low);
    let part = a.fma(f, s, inner, tail);
    let part = a.sub(f, half_square, part);
    let part = a.sub(f, part, x);
    let part = a.neg(f, part);
    a.fma(f, e, high, part)
}

/// Natural logarithm.
pub(super) fn log<A: Arith>(a: &mut A, f: Float, x: A::Value) -> A::Value {
    let (e, m) = split(a, f, x, cut(f));
    let y = series(a, f, e, m);
    let zero = a.float(f, 0.0);
    ends(a, f, x, zero, y)
}

/// `y` for finite `x` above the pole, -infinity there, NaN below.
fn ends<A: Arith>(a: &mut A, f: Float, x: A::Value, pole: A::Value, y: A::Value) -> A::Value {
    let width = f.width();
    let (infinity, nan) = (a.float(f, f64::INFINITY), a.constant(width, f.nan()));
    let low = a.float(f, f64::NEG_INFINITY);
    let at_end = a.fcmp(Relation::Eq, f, x, infinity);
    let y = a.select(width, at_end, infinity, y);
    let at_pole = a.fcmp(Relation::Eq, f, x, pole);
    let y = a.select(width, at_pole, low, y);
    let inside = a.fcmp(Relation::Ge, f, x, pole);
    a.select(width, inside, y, nan)
}

/// `ln(1 + x)`.
pub(super) fn log1p<A: Arith>(a: &mut A, f: Float, x: A::Value) -> A::Value {
    let width = f.width();
    let one = a.float(f, 1.0);
    let sum = a.add(f, x, one);
    let from = a.constant(width, cut(f));
    let ordered = a.int2(IntOp::Sub, f.signed(), sum, from);
    let mask = a.constant(width, if f == Float::F32 { 0xFF80_0000 } else { 0xFFF0_0000_0000_0000 });
    let field = a.and(width, ordered, mask);
    let part = a.int2(IntOp::Sub, f.signed(), x, field);
    let four = a.float(f, 4.0);
    let power = a.int2(IntOp::Sub, f.signed(), four, field);
    let (quarter, minus_one) = (a.float(f, 0.25), a.float(f, -1.0));
    let rest = a.fma(f, power, quarter, minus_one);
    let fraction = a.add(f, part, rest);
    let count = a.u32(f.fraction());
    let exponent = a.int2(IntOp::Shr, f.signed(), field, count);
    let exponent = if f == Float::F64 { a.convert(Convert::Low, exponent) } else { exponent };
    let e = a.convert(Convert::IntToFloat(Int::S32, f), exponent);
    let y = series(a, f, e, fraction);
    let pole = a.float(f, -1.0);
    let y = ends(a, f, x, pole, y);
    keep_small(a, f, x, y)
}

/// `ln(1 + t)`, or where x is so large that its square overflows, `ln 2x`.
fn log1p_or_double<A: Arith>(a: &mut A, f: Float, x: A::Value, t: A::Value) -> A::Value {
    let limit = a.float(f, either(f, 4.611_686_018_427_388e18, 3.273_390_607_896_142e150));
    let large = a.fcmp(Relation::Gt, f, x, limit);
    let t = a.select(f.width(), large, x, t);
    let y = log1p(a, f, t);
    let (zero, ln2) = (a.float(f, 0.0), a.float(f, std::f64::consts::LN_2));
    let more = a.select(f.width(), large, ln2, zero);
    a.add(f, y, more)
}

/// Inverse hyperbolic sine: `ln(1 + (x + x² / (1 + √(1 + x²))))`.
pub(super) fn asinh<A: Arith>(a: &mut A, f: Float, x: A::Value) -> A::Value {
    let size = a.abs(f, x);
    let one = a.float(f, 1.0);
    let square = a.mul(f, size, size);
    let sum = a.fma(f, size, size, one);
    let root = a.sqrt(f, sum);
    let sum = a.add(f, root, one);
    let part = a.div(f, square, sum);
    let t = a.add(f, size, part);
    let y = log1p_or_double(a, f, size, t);
    let y = a.copysign(f, y, x);
    keep_small(a, f, x, y)
}

/// Inverse hyperbolic cosine: with t = x - 1, `ln(1 + t + √(2t + t²))`; NaN below 1.
pub(super) fn acosh<A: Arith>(a: &mut A, f: Float, x: A::Value) -> A::Value {
    let one = a.float(f, 1.0);
    let t = a.sub(f, x, one);
    let double = a.add(f, t, t);
    let square = a.fma(f, t, t, double);
    let root = a.sqrt(f, square);
    let sum = a.add(f, t, root);
    let y = log1p_or_double(a, f, x, sum);
    let inside = a.fcmp(Relation::Ge, f, x, one);
    let nan = a.constant(f.width(), f.nan());
    a.select(f.width(), inside, y, nan)
}

/// Inverse hyperbolic tangent: `ln(1 + 2x / (1 - x)) / 2`; NaN outside `-1..=1`.
pub(super) fn atanh<A: Arith>(a: &mut A, f: Float, x: A::Value) -> A::Value {
    let size = a.abs(f, x);
    let (one, half) = (a.float(f, 1.0), a.float(f, 0.5));
    let double = a.add(f, size, size);
    let rest = a.sub(f, one, size);
    let t = a.div(f, double, rest);
    let y = log1p(a, f, t);
    let y = a.mul(f, y, half);
    let far = a.copysign(f, y, x);
    if f == Float::F64 {
        return keep_small(a, f, x, far);
    }
    let z = a.mul(f, x, x);
    let near = odd(a, f, x, z, &ATANH32);
    let limit = a.f32(0.3);
    let is_near = a.fcmp(Relation::Lt, f, size, limit);
    a.select(f.width(), is_near, near, far)
}
