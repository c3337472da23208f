//! Inverse circular functions.
//!
//! ```text
//! asin: |x| <= ½ an odd polynomial; else π/2 - 2 asin(√((1-|x|)/2))
//! atan2: the lesser over the greater; f64: above tan(π/8) by π/4 + atan((t-1)/(t+1)); an odd polynomial; mirrored back
//! ```

use super::{by, either, odd};
use crate::arith::Arith;
use crate::op::{Float, Int, Number, Relation, Width};

const ASIN32: [f64; 5] = [0.16666754, 0.07495233, 0.045478333, 0.024141027, 0.042230494];
const ASIN64: [f64; 12] = [
    0.16666666666665375,
    0.07500000000344846,
    0.04464285682194923,
    0.03038195939626097,
    0.022371751924444943,
    0.017359795788678096,
    0.013884349323648912,
    0.012174948773523079,
    0.006503493578772707,
    0.019594414355786727,
    -0.01632681046430871,
    0.031981772877477097,
];
const ATAN32: [f64; 9] = [
    -0.33333302,
    0.19998638,
    -0.14265245,
    0.10957575,
    -0.08419451,
    0.058234356,
    -0.03145547,
    0.011064302,
    -0.0018271798,
];
const ATAN64: [f64; 11] = [
    -0.333333333333332,
    0.19999999999953774,
    -0.14285714280215658,
    0.11111110784418123,
    -0.09090897785044402,
    0.07692060691586002,
    -0.06663109314027713,
    0.058479262143321734,
    -0.05039463858910555,
    0.03806841028084348,
    -0.01791120559158433,
];

/// A multiple of π/4 in two pieces.
fn angle<A: Arith>(a: &mut A, f: Float, eighths: f64) -> (A::Value, A::Value) {
    let high = either(f, f64::from(std::f32::consts::FRAC_PI_4), std::f64::consts::FRAC_PI_4);
    let low = either(f, -2.185_569_500_093_121_4e-8, 3.061_616_997_868_383e-17);
    (a.float(f, eighths * high), a.float(f, eighths * low))
}

/// `angle - x`.
fn complement<A: Arith>(a: &mut A, f: Float, eighths: f64, x: A::Value) -> A::Value {
    let (high, low) = angle(a, f, eighths);
    let x = a.sub(f, x, low);
    a.sub(f, high, x)
}

/// `t` and `y - t` for `y = asin t`, with `t = |x|` up to ½, beyond `√((1-|x|)/2)`; and whether it is beyond. NaN where there is
/// none.
fn arc<A: Arith>(a: &mut A, f: Float, x: A::Value) -> (A::Value, A::Value, A::Value) {
    let width = f.width();
    let size = a.abs(f, x);
    let (half, minus_half) = (a.float(f, 0.5), a.float(f, -0.5));
    let beyond = a.fcmp(Relation::Gt, f, size, half);
    let square = a.mul(f, size, size);
    let rest = a.fma(f, size, minus_half, half);
    let z = a.select(width, beyond, rest, square);
    let root = a.sqrt(f, rest);
    let t = a.select(width, beyond, root, size);
    let p = a.poly(f, z, by(f, &ASIN32, &ASIN64));
    let tz = a.mul(f, t, z);
    (t, a.mul(f, tz, p), beyond)
}

/// Arc sine; NaN outside `-1..=1`.
pub(super) fn asin<A: Arith>(a: &mut A, f: Float, x: A::Value) -> A::Value {
    let (t, tail, beyond) = arc(a, f, x);
    let near = a.add(f, t, tail);
    let (high, low) = angle(a, f, 2.0);
    let minus_two = a.float(f, -2.0);
    let whole = a.fma(f, t, minus_two, high);
    let kept = a.sub(f, high, whole);
    let lost = a.fma(f, t, minus_two, kept);
    let low = a.add(f, low, lost);
    let rest = a.fma(f, tail, minus_two, low);
    let far = a.add(f, whole, rest);
    let y = a.select(f.width(), beyond, far, near);
    a.copysign(f, y, x)
}

/// Arc cosine; NaN outside `-1..=1`.
pub(super) fn acos<A: Arith>(a: &mut A, f: Float, x: A::Value) -> A::Value {
    let width = f.width();
    let (t, tail, beyond) = arc(a, f, x);
    let y = a.add(f, t, tail);
    let double = a.add(f, y, y);
    let y = a.select(width, beyond, double, y);
    let zero = a.float(f, 0.0);
    let negative = a.fcmp(Relation::Lt, f, x, zero);
    let signed = a.copysign(f, y, x);
    let middle = complement(a, f, 2.0, signed);
    let far = complement(a, f, 4.0, y);
    let end = a.select(width, negative, far, y);
    a.select(width, beyond, end, middle)
}

/// Arc tangent.
pub(super) fn atan<A: Arith>(a: &mut A, f: Float, x: A::Value) -> A::Value {
    let one = a.float(f, 1.0);
    atan2(a, f, x, one)
}

/// Angle of the point `(x, y)`, with the signs of zeros and the infinities of IEEE 754.
pub(crate) fn atan2<A: Arith>(a: &mut A, f: Float, y: A::Value, x: A::Value) -> A::Value {
    let width = f.width();
    let (height, length) = (a.abs(f, y), a.abs(f, x));
    let steep = a.fcmp(Relation::Gt, f, height, length);
    let low = a.select(width, steep, length, height);
    let high = a.select(width, steep, height, length);
    let base = match f {
        Float::F32 => {
            let t = a.div(f, low, high);
            let z = a.mul(f, t, t);
            odd(a, f, t, z, &ATAN32)
        }
        Float::F64 => {
            // Sums must not overflow.
            let limit = a.float(f, 4.0e307);
            let large = a.fcmp(Relation::Gt, f, high, limit);
            let (quarter, whole) = (a.float(f, 0.25), a.float(f, 1.0));
            let scale = a.select(width, large, quarter, whole);
            let (low, high) = (a.mul(f, low, scale), a.mul(f, high, scale));
            let bound = a.float(f, 0.414_213_562_373_095_03);
            let bound = a.mul(f, high, bound);
            let upper = a.fcmp(Relation::Gt, f, low, bound);
            let (difference, sum) = (a.sub(f, low, high), a.add(f, low, high));
            let above = a.select(width, upper, difference, low);
            let below = a.select(width, upper, sum, high);
            let t = a.div(f, above, below);
            let z = a.mul(f, t, t);
            let part = odd(a, f, t, z, &ATAN64);
            let opposite = a.neg(f, part);
            let moved = complement(a, f, 1.0, opposite);
            a.select(width, upper, moved, part)
        }
    };
    // Two zeros, or two infinities.
    let equal = a.fcmp(Relation::Eq, f, low, high);
    let zero = a.float(f, 0.0);
    let none = a.fcmp(Relation::Eq, f, high, zero);
    let (quarter, _) = angle(a, f, 1.0);
    let diagonal = a.select(width, none, zero, quarter);
    let base = a.select(width, equal, diagonal, base);
    let turned = complement(a, f, 2.0, base);
    let base = a.select(width, steep, turned, base);
    let ty = Number::Int(if width == Width::B32 { Int::S32 } else { Int::S64 });
    let sign = a.constant(width, 0);
    let left = a.compare(Relation::Lt, ty, x, sign);
    let mirrored = complement(a, f, 4.0, base);
    let base = a.select(width, left, mirrored, base);
    let angle = a.copysign(f, base, y);
    // The sign of a NaN does not count.
    let sum = a.add(f, x, y);
    let nan = a.is_nan(f, sum);
    let (x_nan, y_nan) = (a.is_nan(f, x), a.is_nan(f, y));
    let either = a.or(Width::Pred, x_nan, y_nan);
    let nan = a.and(Width::Pred, nan, either);
    a.select(width, nan, sum, angle)
}
