//! Reduction of angles to a quarter turn.
//!
//! ```text
//! x = (4j + q) π/2 + r, |r| <= π/4
//!
//! small:  n = round(x 2/π), r = x - n (P1 + P2 + P3), three pieces of π/2
//! large:  x = m 2^e; m times the bits of 2/π around the point (three words of 32 or 64 bits), modulo 4
//! ```
//!
//! Idea: Payne and Hanek, "Radian Reduction for Trigonometric Functions", 1983.

use super::either;
use crate::arith::Arith;
use crate::op::{Convert, Float, FloatOp, Int, IntOp, Op, Relation, Width};

/// 2/π: the first 1216 bits after the point.
const TWO_OVER_PI: [u64; 19] = [
    0xA2F9_836E_4E44_1529,
    0xFC27_57D1_F534_DDC0,
    0xDB62_9599_3C43_9041,
    0xFE51_63AB_DEBB_C561,
    0xB724_6E3A_424D_D2E0,
    0x0649_2EEA_09D1_921C,
    0xFE1D_EB1C_B129_A73E,
    0xE882_35F5_2EBB_4484,
    0xE99C_7026_B45F_7E41,
    0x3991_D639_8353_39F4,
    0x9C84_5F8B_BDF9_283B,
    0x1FF8_97FF_DE05_980F,
    0xEF2F_118B_5A0A_6D1F,
    0x6D36_7ECF_27CB_09B7,
    0x4F46_3F66_9E5F_EA2D,
    0x7527_BAC7_EBE5_F17B,
    0x3D07_39F7_8A52_92EA,
    0x6BFB_5FB1_1F8D_5D08,
    0x5603_3046_FC7B_6BAB,
];

/// Remainder, and the quadrant in the low two bits of a 32-bit integer. NaN for infinities and NaN.
pub(super) fn reduce<A: Arith>(a: &mut A, f: Float, x: A::Value) -> (A::Value, A::Value) {
    let (r, _, q) = reduce_to(a, f, x, false);
    (r, q)
}

/// Remainder, what it lost in rounding (f32 only), and the quadrant.
pub(super) fn reduce_pair<A: Arith>(a: &mut A, f: Float, x: A::Value) -> (A::Value, A::Value, A::Value) {
    reduce_to(a, f, x, true)
}

fn reduce_to<A: Arith>(a: &mut A, f: Float, x: A::Value, pair: bool) -> (A::Value, A::Value, A::Value) {
    let magic = a.float(f, either(f, 12_582_912.0, 6_755_399_441_055_744.0));
    let turns = a.float(f, std::f64::consts::FRAC_2_PI);
    let shifted = a.fma(f, x, turns, magic);
    let n = a.sub(f, shifted, magic);
    let quadrant = match f {
        Float::F32 => shifted,
        Float::F64 => a.convert(Convert::Low, shifted),
    };
    let opposite = a.neg(f, n);
    let pieces: [u64; 3] = match f {
        Float::F32 => [0x3FC9_0FDA, 0x33A2_2168, 0x27C2_34C4],
        Float::F64 => [0x3FF9_21FB_5444_2D18, 0x3C91_A626_3314_5C06, 0x394C_1CD1_2902_4E08],
    };
    let [first, second, third] = pieces.map(|piece| a.constant(f.width(), piece));
    // The first difference is exact.
    let r = a.fma(f, opposite, first, x);
    let (r, low) = if pair {
        let product = a.mul(f, opposite, second);
        let negative = a.neg(f, product);
        let product_low = a.fma(f, opposite, second, negative);
        // Knuth's exact sum.
        let sum = a.add(f, r, product);
        let part = a.sub(f, sum, r);
        let (kept, moved) = (a.sub(f, sum, part), a.sub(f, product, part));
        let lost = a.sub(f, r, kept);
        let lost = a.add(f, lost, moved);
        let low = a.add(f, lost, product_low);
        let low = a.fma(f, opposite, third, low);
        let r = a.add(f, sum, low);
        let kept = a.sub(f, sum, r);
        (r, a.add(f, kept, low))
    } else {
        let r = a.fma(f, opposite, second, r);
        (a.fma(f, opposite, third, r), a.float(f, 0.0))
    };
    let size = a.abs(f, x);
    let limit = a.float(f, either(f, 65536.0, 268_435_456.0));
    let infinity = a.float(f, f64::INFINITY);
    let (far, finite) = (a.fcmp(Relation::Gt, f, size, limit), a.fcmp(Relation::Lt, f, size, infinity));
    let large = a.and(Width::Pred, far, finite);
    let parts = a.when(large, &[r, quadrant, low], |a| match f {
        Float::F32 => large32(a, x),
        Float::F64 => {
            let (r, q) = large64(a, x);
            vec![r, q, low]
        }
    });
    match parts.as_slice() {
        [r, q, low] => (*r, *low, *q),
        _ => (r, low, quadrant),
    }
}

/// Four consecutive words from a position on: the table is shifted by powers of two, as the bits of the position say.
fn window<A: Arith>(a: &mut A, width: Width, table: &[u64], position: A::Value, steps: u32) -> Vec<A::Value> {
    let mut words: Vec<A::Value> = table.iter().map(|w| a.constant(width, *w)).collect();
    let zero = a.u32(0);
    for step in (0..steps).rev() {
        let by = 1usize << step;
        let bit = a.u32(1 << step);
        let bit = a.and(Width::B32, position, bit);
        let set = a.icmp(Relation::Ne, Int::U32, bit, zero);
        // What four words need after the steps that are left.
        let keep = (by + 3).min(words.len());
        words = (0..keep)
            .map(|k| match (words.get(k), words.get(k + by)) {
                (Some(here), Some(there)) => a.select(width, set, *there, *here),
                (Some(here), None) => *here,
                (None, _) => a.constant(width, 0),
            })
            .collect();
    }
    words
}

/// The bits from a shift on, of the width of a word: high word shifted left, filled from the next.
fn funnel<A: Arith>(a: &mut A, ty: Int, high: A::Value, low: A::Value, by: A::Value) -> A::Value {
    let bits = a.u32(if ty == Int::U64 { 64 } else { 32 });
    let back = a.int2(IntOp::Sub, Int::U32, bits, by);
    let high = a.int2(IntOp::Shl, ty, high, by);
    let low = a.int2(IntOp::Shr, ty, low, back);
    a.or(ty.width(), high, low)
}

fn shift<A: Arith>(a: &mut A, op: IntOp, ty: Int, x: A::Value, by: u32) -> A::Value {
    let by = a.u32(by);
    a.int2(op, ty, x, by)
}

/// Remainder, quadrant, and what the remainder lost.
fn large32<A: Arith>(a: &mut A, x: A::Value) -> Vec<A::Value> {
    let size = a.abs(Float::F32, x);
    let field = shift(a, IntOp::Shr, Int::U32, size, 23);
    let (mask, hidden) = (a.u32(0x7F_FFFF), a.u32(0x80_0000));
    let m = a.and(Width::B32, size, mask);
    let m = a.or(Width::B32, m, hidden);
    // A word of zeros, then 2/π.
    let mut table = vec![0];
    table.extend(TWO_OVER_PI.iter().take(4).flat_map(|w| [w >> 32, w & 0xFFFF_FFFF]));
    let less = a.u32(120);
    let position = a.int2(IntOp::Sub, Int::U32, field, less);
    let word = shift(a, IntOp::Shr, Int::U32, position, 5);
    let words = window(a, Width::B32, &table, word, 3);
    let low_bits = a.u32(31);
    let by = a.and(Width::B32, position, low_bits);
    let zero = a.u32(0);
    let word = |k: usize| words.get(k).copied().unwrap_or(zero);
    let high = funnel(a, Int::U32, word(0), word(1), by);
    let middle = funnel(a, Int::U32, word(1), word(2), by);
    let low = funnel(a, Int::U32, word(2), word(3), by);
    // The product modulo 2^96, without its low word.
    let low = a.int2(IntOp::MulWide, Int::U32, m, low);
    let low = shift(a, IntOp::Shr, Int::U64, low, 32);
    let middle = a.int2(IntOp::MulWide, Int::U32, m, middle);
    let high = a.int2(IntOp::Mul, Int::U32, m, high);
    let high = a.apply(Op::Convert(Convert::Pack), &[zero, high]);
    let sum = a.int2(IntOp::Add, Int::U64, low, middle);
    let sum = a.int2(IntOp::Add, Int::U64, sum, high);
    let quadrant = shift(a, IntOp::Shr, Int::U64, sum, 62);
    let quadrant = a.convert(Convert::Low, quadrant);
    // The fraction of a quarter turn, from -1/2 to 1/2.
    let fraction = shift(a, IntOp::Shl, Int::U64, sum, 2);
    let carry = shift(a, IntOp::Shr, Int::U64, fraction, 63);
    let carry = a.convert(Convert::Low, carry);
    let quadrant = a.int2(IntOp::Add, Int::U32, quadrant, carry);
    let wide = a.convert(Convert::IntToFloat(Int::S64, Float::F64), fraction);
    let unit = a.float(Float::F64, std::f64::consts::FRAC_PI_2 / 18_446_744_073_709_551_616.0);
    let wide = a.mul(Float::F64, wide, unit);
    let r = a.convert(Convert::F64ToF32, wide);
    let back = a.convert(Convert::F32ToF64, r);
    let lost = a.sub(Float::F64, wide, back);
    let low = a.convert(Convert::F64ToF32, lost);
    let (r, q) = mirrored(a, Float::F32, x, r, quadrant);
    let (low, _) = mirrored(a, Float::F32, x, low, quadrant);
    vec![r, q, low]
}

fn large64<A: Arith>(a: &mut A, x: A::Value) -> (A::Value, A::Value) {
    let f = Float::F64;
    let size = a.abs(f, x);
    let field = shift(a, IntOp::Shr, Int::U64, size, 52);
    let field = a.convert(Convert::Low, field);
    let (mask, hidden) = (a.u64((1 << 52) - 1), a.u64(1 << 52));
    let m = a.and(Width::B64, size, mask);
    let m = a.or(Width::B64, m, hidden);
    let mut table = vec![0];
    table.extend(TWO_OVER_PI);
    let less = a.u32(1013);
    let position = a.int2(IntOp::Sub, Int::U32, field, less);
    let word = shift(a, IntOp::Shr, Int::U32, position, 6);
    let words = window(a, Width::B64, &table, word, 5);
    let low_bits = a.u32(63);
    let by = a.and(Width::B32, position, low_bits);
    let zero = a.u64(0);
    let word = |k: usize| words.get(k).copied().unwrap_or(zero);
    let high = funnel(a, Int::U64, word(0), word(1), by);
    let middle = funnel(a, Int::U64, word(1), word(2), by);
    let low = funnel(a, Int::U64, word(2), word(3), by);
    // The product modulo 2^192, without its low word.
    let carried = a.int2(IntOp::MulHigh, Int::U64, m, low);
    let product = a.int2(IntOp::Mul, Int::U64, m, middle);
    let bottom = a.int2(IntOp::Add, Int::U64, product, carried);
    let carry = a.icmp(Relation::Lt, Int::U64, bottom, carried);
    let (one, none) = (a.u64(1), a.u64(0));
    let carry = a.select(Width::B64, carry, one, none);
    let top = a.int2(IntOp::MulHigh, Int::U64, m, middle);
    let upper = a.int2(IntOp::Mul, Int::U64, m, high);
    let top = a.int2(IntOp::Add, Int::U64, top, upper);
    let top = a.int2(IntOp::Add, Int::U64, top, carry);
    let quadrant = shift(a, IntOp::Shr, Int::U64, top, 62);
    let two = a.u32(2);
    let (top, bottom) = (funnel(a, Int::U64, top, bottom, two), shift(a, IntOp::Shl, Int::U64, bottom, 2));
    // From one half on, one quarter turn more, and a negative fraction.
    let over = shift(a, IntOp::Shr, Int::U64, top, 63);
    let quadrant = a.int2(IntOp::Add, Int::U64, quadrant, over);
    let quadrant = a.convert(Convert::Low, quadrant);
    let negative = a.icmp(Relation::Ne, Int::U64, over, none);
    let (flipped_top, flipped_bottom) = (a.not(Width::B64, top), a.not(Width::B64, bottom));
    let top = a.select(Width::B64, negative, flipped_top, top);
    let bottom = a.select(Width::B64, negative, flipped_bottom, bottom);
    let unit = std::f64::consts::FRAC_PI_2 / 18_446_744_073_709_551_616.0;
    let high = a.convert(Convert::IntToFloat(Int::U64, f), top);
    let low = a.convert(Convert::IntToFloat(Int::U64, f), bottom);
    let (unit, below) = (a.float(f, unit), a.float(f, 1.0 / 18_446_744_073_709_551_616.0));
    let wide = a.fma(f, low, below, high);
    let r = a.mul(f, wide, unit);
    let opposite = a.neg(f, r);
    let r = a.select(Width::B64, negative, opposite, r);
    mirrored(a, f, x, r, quadrant)
}

/// A negative angle has the negative remainder and quadrant.
fn mirrored<A: Arith>(a: &mut A, f: Float, x: A::Value, r: A::Value, quadrant: A::Value) -> (A::Value, A::Value) {
    let zero = a.float(f, 0.0);
    let negative = a.fcmp(Relation::Lt, f, x, zero);
    let opposite = a.float1(FloatOp::Neg, f, r);
    let none = a.u32(0);
    let back = a.int2(IntOp::Sub, Int::U32, none, quadrant);
    (a.select(f.width(), negative, opposite, r), a.select(Width::B32, negative, back, quadrant))
}
