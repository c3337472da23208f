//! Powers: `|x|^y = e^(y ln |x|)` with the logarithm in two floats.
//!
//! ```text
//! |x| = 2^e m, s = (m - 1) / (m + 1), z = s²
//! ln m = s (2 + z (2/3 + z Q(z)))        all but Q in two floats, by exact products and sums
//! ```
//!
//! Idea of arithmetic in two floats: Dekker, "A floating-point technique for extending the available precision", 1971.

use super::exp::{reduce, scale, whole_series};
use super::log::split;
use super::{by, clamp, either};
use crate::arith::Arith;
use crate::op::{Float, FloatOp, Relation, Width};

const Q32: [f64; 4] = [0.39999998, 0.28571877, 0.22184853, 0.1947067];
const Q64: [f64; 8] = [
    0.39999999999999974,
    0.2857142857144535,
    0.22222222217478232,
    0.18181818877468178,
    0.15384556382351475,
    0.13336336242637864,
    0.11674435913139893,
    0.11992203510974364,
];

/// A number as the sum of two floats.
struct Pair<V> {
    high: V,
    low: V,
}

/// `x^y` with the special cases of IEEE 754: `x^0` and `1^y` are 1 even for NaN.
pub(crate) fn pow<A: Arith>(a: &mut A, f: Float, x: A::Value, y: A::Value) -> A::Value {
    match known_power(a, f, x, y) {
        Some(special) => special,
        None => general(a, f, x, y),
    }
}

pub(super) fn general<A: Arith>(a: &mut A, f: Float, x: A::Value, y: A::Value) -> A::Value {
    let width = f.width();
    let size = a.abs(f, x);
    let (zero, one, infinity) = (a.float(f, 0.0), a.float(f, 1.0), a.float(f, f64::INFINITY));
    let log = ln_pair(a, f, size);
    let result = exp_product(a, f, y, &log);
    // Ends of the base, by the sign of the exponent.
    let falling = a.fcmp(Relation::Lt, f, y, zero);
    let at_zero = a.select(width, falling, infinity, zero);
    let at_infinity = a.select(width, falling, zero, infinity);
    let is_zero = a.fcmp(Relation::Eq, f, size, zero);
    let result = a.select(width, is_zero, at_zero, result);
    let is_infinite = a.fcmp(Relation::Eq, f, size, infinity);
    let result = a.select(width, is_infinite, at_infinity, result);
    // Ends of the exponent.
    let y_size = a.abs(f, y);
    let y_infinite = a.fcmp(Relation::Eq, f, y_size, infinity);
    let below_one = a.fcmp(Relation::Lt, f, size, one);
    let grows = a.xor(Width::Pred, below_one, falling);
    let at_end = a.select(width, grows, zero, infinity);
    let result = a.select(width, y_infinite, at_end, result);
    let is_one = a.fcmp(Relation::Eq, f, size, one);
    let result = a.select(width, is_one, one, result);
    // The sign of the base: even and odd exponents keep or pass it, others have no value.
    let whole = a.float1(FloatOp::Trunc, f, y);
    let integer = a.fcmp(Relation::Eq, f, whole, y);
    let half = a.float(f, 0.5);
    let halved = a.mul(f, y, half);
    let whole = a.float1(FloatOp::Trunc, f, halved);
    let uneven = a.fcmp(Relation::Ne, f, whole, halved);
    let odd = a.and(Width::Pred, integer, uneven);
    let signed = a.copysign(f, result, x);
    let result = a.select(width, odd, signed, result);
    let negative = a.fcmp(Relation::Lt, f, x, zero);
    let x_finite = a.fcmp(Relation::Lt, f, size, infinity);
    let broken = a.not(Width::Pred, integer);
    let undefined = a.and(Width::Pred, negative, x_finite);
    let undefined = a.and(Width::Pred, undefined, broken);
    let nan = a.constant(width, f.nan());
    let result = a.select(width, undefined, nan, result);
    let (x_nan, y_nan) = (a.is_nan(f, x), a.is_nan(f, y));
    let either = a.or(Width::Pred, x_nan, y_nan);
    let result = a.select(width, either, nan, result);
    let no_power = a.fcmp(Relation::Eq, f, y, zero);
    let unit = a.fcmp(Relation::Eq, f, x, one);
    let always = a.or(Width::Pred, no_power, unit);
    a.select(width, always, one, result)
}

/// Exponents for which there is something shorter and as precise.
fn known_power<A: Arith>(a: &mut A, f: Float, x: A::Value, y: A::Value) -> Option<A::Value> {
    let bits = a.known(y)?;
    let exponent = match f {
        Float::F32 => f64::from(f32::from_bits(bits as u32)),
        Float::F64 => f64::from_bits(bits),
    };
    if exponent == 0.0 {
        return Some(a.float(f, 1.0));
    }
    if exponent == 1.0 {
        return Some(x);
    }
    if exponent == 2.0 {
        return Some(a.mul(f, x, x));
    }
    if exponent == 3.0 {
        let square = a.mul(f, x, x);
        return Some(a.mul(f, square, x));
    }
    if exponent == -1.0 {
        let one = a.float(f, 1.0);
        return Some(a.div(f, one, x));
    }
    if exponent == 0.5 {
        // Of -0 and -infinity the root is neither -0 nor NaN.
        let zero = a.float(f, 0.0);
        let sum = a.add(f, x, zero);
        let root = a.sqrt(f, sum);
        let low = a.float(f, f64::NEG_INFINITY);
        let at_end = a.fcmp(Relation::Eq, f, x, low);
        let infinity = a.float(f, f64::INFINITY);
        return Some(a.select(f.width(), at_end, infinity, root));
    }
    None
}

/// `ln x` of a positive finite number.
fn ln_pair<A: Arith>(a: &mut A, f: Float, x: A::Value) -> Pair<A::Value> {
    // √½, so that s is small on both sides.
    let from = if f == Float::F32 { 0x3F35_04F3 } else { 0x3FE6_A09E_667F_3BCD };
    let (e, m) = split(a, f, x, from);
    let two = a.float(f, 2.0);
    let sum = a.add(f, m, two);
    let kept = a.sub(f, sum, two);
    let sum_low = a.sub(f, m, kept);
    let s_high = a.div(f, m, sum);
    let opposite = a.neg(f, s_high);
    let rest = a.fma(f, opposite, sum, m);
    let rest = a.fma(f, opposite, sum_low, rest);
    let s_low = a.div(f, rest, sum);
    let s = Pair { high: s_high, low: s_low };
    let z = product(a, f, &s, &s);
    let q = a.poly(f, z.high, by(f, &Q32, &Q64));
    let zero = a.float(f, 0.0);
    let zq = product(a, f, &z, &Pair { high: q, low: zero });
    let third = Pair {
        high: a.float(f, 2.0 / 3.0),
        low: a.float(f, either(f, -1.986_821_492_513_020_8e-8, 3.700_743_415_417_188e-17)),
    };
    let inner = sum_pair(a, f, &third, &zq);
    let part = product(a, f, &z, &inner);
    let factor = sum_pair(a, f, &Pair { high: two, low: zero }, &part);
    let ln = product(a, f, &s, &factor);
    let high = a.float(f, either(f, 0.693_115_234_375, 0.693_147_180_558_298_714_458_942_4));
    let low = a.float(f, either(f, 3.194_618_494_530_941_7e-5, 1.646_594_958_289_708_1e-12));
    let whole = a.mul(f, e, high);
    let tail = a.mul(f, e, low);
    sum_pair(a, f, &Pair { high: whole, low: tail }, &ln)
}

/// A product; exact but for the product of the low parts.
fn product<A: Arith>(a: &mut A, f: Float, x: &Pair<A::Value>, y: &Pair<A::Value>) -> Pair<A::Value> {
    let high = a.mul(f, x.high, y.high);
    let opposite = a.neg(f, high);
    let low = a.fma(f, x.high, y.high, opposite);
    let low = a.fma(f, x.high, y.low, low);
    Pair { high, low: a.fma(f, x.low, y.high, low) }
}

/// A sum; the first is the greater, or zero.
fn sum_pair<A: Arith>(a: &mut A, f: Float, x: &Pair<A::Value>, y: &Pair<A::Value>) -> Pair<A::Value> {
    let high = a.add(f, x.high, y.high);
    let kept = a.sub(f, x.high, high);
    let lost = a.add(f, kept, y.high);
    let low = a.add(f, x.low, y.low);
    let low = a.add(f, lost, low);
    // The low part is put within half a unit of the high one.
    let sum = a.add(f, high, low);
    let kept = a.sub(f, high, sum);
    Pair { high: sum, low: a.add(f, kept, low) }
}

/// `e^(y log)`.
fn exp_product<A: Arith>(a: &mut A, f: Float, y: A::Value, log: &Pair<A::Value>) -> A::Value {
    let high = a.mul(f, y, log.high);
    let opposite = a.neg(f, high);
    let low = a.fma(f, y, log.high, opposite);
    let low = a.fma(f, y, log.low, low);
    // Beyond the bounds the result is zero or infinite, and the low part may be no number.
    let (bottom, top) = (either(f, -110.0, -760.0), either(f, 95.0, 720.0));
    let size = a.abs(f, high);
    let bound = a.float(f, either(f, 200.0, 1000.0));
    let inside = a.fcmp(Relation::Lt, f, size, bound);
    let zero = a.float(f, 0.0);
    let low = a.select(f.width(), inside, low, zero);
    let high = clamp(a, f, high, bottom, top);
    let (n, r) = reduce(a, f, high);
    let r = a.add(f, r, low);
    let y = whole_series(a, f, r);
    scale(a, f, y, n)
}
