//! Sine, cosine and tangent: polynomials on a quarter turn, after [`reduce`].

use super::reduce::{reduce, reduce_pair};
use super::{by, keep_small, odd};
use crate::arith::Arith;
use crate::op::{Float, Int, IntOp, Relation, Width};

const SIN32: [f64; 4] = [-0.16666667, 0.008333329, -0.00019839335, 2.7183046e-06];
const SIN64: [f64; 6] = [
    -0.16666666666666632,
    0.008333333333322415,
    -0.00019841269829808385,
    2.7557313692111275e-06,
    -2.505075814427027e-08,
    1.589679727105973e-10,
];
const COS32: [f64; 3] = [0.041666646, -0.0013887367, 2.4438383e-05];
const COS64: [f64; 6] = [
    0.0416666666666666,
    -0.0013888888888874125,
    2.480158728948315e-05,
    -2.7557314352599146e-07,
    2.0875723308496393e-09,
    -1.1359649599333439e-11,
];
const TAN32: [f64; 7] = [0.33333352, 0.1333261, 0.054065637, 0.021254444, 0.010903792, 7.632255e-06, 0.004414845];

pub(super) fn sin<A: Arith>(a: &mut A, f: Float, x: A::Value) -> A::Value {
    let (r, q) = reduce(a, f, x);
    let y = turned(a, f, r, q);
    keep_small(a, f, x, y)
}

pub(super) fn cos<A: Arith>(a: &mut A, f: Float, x: A::Value) -> A::Value {
    let (r, q) = reduce(a, f, x);
    let one = a.u32(1);
    let q = a.int2(IntOp::Add, Int::U32, q, one);
    turned(a, f, r, q)
}

pub(super) fn tan<A: Arith>(a: &mut A, f: Float, x: A::Value) -> A::Value {
    if f == Float::F64 {
        let (r, q) = reduce(a, f, x);
        let steep = bit(a, q, 1);
        let (s, c) = (sine(a, f, r), cosine(a, f, r));
        let opposite = a.neg(f, c);
        let above = a.select(f.width(), steep, opposite, s);
        let below = a.select(f.width(), steep, s, c);
        let y = a.div(f, above, below);
        return keep_small(a, f, x, y);
    }
    // What the remainder lost in rounding counts up to 1.6 times: tan(r + l) = tan r + l (1 + tan² r).
    let (r, low, q) = reduce_pair(a, f, x);
    let z = a.mul(f, r, r);
    let p = a.poly(f, z, &TAN32);
    let rz = a.mul(f, r, z);
    let t = a.fma(f, rz, p, r);
    let square = a.mul(f, t, t);
    let lost = a.fma(f, square, low, low);
    let tail = a.fma(f, rz, p, lost);
    let t = a.add(f, r, tail);
    let minus_one = a.f32(-1.0);
    let inverse = a.div(f, minus_one, t);
    let steep = bit(a, q, 1);
    let y = a.select(f.width(), steep, inverse, t);
    keep_small(a, f, x, y)
}

/// The sine of r and so many quarter turns.
fn turned<A: Arith>(a: &mut A, f: Float, r: A::Value, q: A::Value) -> A::Value {
    let (s, c) = (sine(a, f, r), cosine(a, f, r));
    let (swapped, negative) = (bit(a, q, 1), bit(a, q, 2));
    let y = a.select(f.width(), swapped, c, s);
    let opposite = a.neg(f, y);
    a.select(f.width(), negative, opposite, y)
}

fn bit<A: Arith>(a: &mut A, q: A::Value, mask: u32) -> A::Value {
    let (mask, zero) = (a.u32(mask), a.u32(0));
    let bit = a.and(Width::B32, q, mask);
    a.icmp(Relation::Ne, Int::U32, bit, zero)
}

fn sine<A: Arith>(a: &mut A, f: Float, r: A::Value) -> A::Value {
    let z = a.mul(f, r, r);
    odd(a, f, r, z, by(f, &SIN32, &SIN64))
}

/// `1 - z/2 + z² P(z)`, what `1 - z/2` loses put back.
fn cosine<A: Arith>(a: &mut A, f: Float, r: A::Value) -> A::Value {
    let z = a.mul(f, r, r);
    let p = a.poly(f, z, by(f, &COS32, &COS64));
    let (one, half) = (a.float(f, 1.0), a.float(f, 0.5));
    let half_z = a.mul(f, z, half);
    let w = a.sub(f, one, half_z);
    let kept = a.sub(f, one, w);
    let lost = a.sub(f, kept, half_z);
    let square = a.mul(f, z, z);
    let rest = a.fma(f, square, p, lost);
    a.add(f, w, rest)
}
