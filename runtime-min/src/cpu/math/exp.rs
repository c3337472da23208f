//! `exp`, `exp_flushed`, `tanh`, `sigmoid` in f32; `exp2`, `expm1`, `sinh`, `cosh` through f64.
//!
//! ```text
//! x = n ln2 + r, |r| ≤ ln2 / 2      e^x = 2^n e^r      e^r by a polynomial
//! ```
//!
//! Idea: Cody and Waite, "Software Manual for the Elementary Functions", 1980.

use super::{poly, poly32};

/// Adding and subtracting it rounds to an integer, which then stands in the low bits.
const MAGIC32: f32 = 12_582_912.0;
const MAGIC64: f64 = 6_755_399_441_055_744.0;

/// `e^x`.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    // Outside these bounds the result is zero or infinite; NaN passes through.
    let x = if x > 90.0 { 90.0 } else { x };
    let x = if x < -105.0 { -105.0 } else { x };
    let (y, n) = reduced(x);
    // Two factors, so that the only rounding of a subnormal result is the last.
    let half = n >> 1;
    y * power_of_two(half) * power_of_two(n.wrapping_sub(half))
}

/// `e^x` for `x` that is not positive, and zero where that is no normal number: subnormal operands cost the processor a
/// hundred times what others do, and what is lost is below 1.2e-38.
#[inline(always)]
pub fn exp_flushed(x: f32) -> f32 {
    // Just above the logarithm of the least normal number; NaN passes through.
    const LEAST: f32 = -87.336;
    let clamped = if x < LEAST { LEAST } else { x };
    let (y, n) = reduced(clamped);
    let y = y * power_of_two(n);
    if x < LEAST { 0.0 } else { y }
}

/// `e^x` for `x` in `-87..=88`, where the result is a normal number; NaN passes through.
#[inline(always)]
pub(super) fn exp_normal(x: f32) -> f32 {
    let (y, n) = reduced(x);
    y * power_of_two(n)
}

/// `e^r` and `n`, where `x = n ln2 + r`.
#[inline(always)]
fn reduced(x: f32) -> (f32, i32) {
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    const TAIL: [f32; 5] = [0.5, 0.166_665_73, 0.041_666_55, 0.008_363_774, 0.001_392_692_7];
    let shifted = x * core::f32::consts::LOG2_E + MAGIC32;
    let n = (shifted.to_bits() as i32).wrapping_sub(MAGIC32.to_bits() as i32);
    let whole = shifted - MAGIC32;
    let r = (x - whole * LN2_HIGH) - whole * LN2_LOW;
    ((r * r) * poly32(r, &TAIL) + r + 1.0, n)
}

/// `2^n` for `n` in `-126..=127`.
#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits((n.wrapping_add(127) as u32) << 23)
}

/// Hyperbolic tangent.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    const ODD: [f32; 6] = [-0.333_333_33, 0.133_333, -0.053_958_46, 0.021_762_503, -0.008_323_187, 0.002_269_501_7];
    let (size, z) = (x.abs(), x * x);
    let near = x * (z * poly32(z, &ODD)) + x;
    let far = 1.0 - 2.0 / (exp(2.0 * size) + 1.0);
    (if size < 0.625 { near } else { far }).copysign(x)
}

/// `1 / (1 + e^-x)`, without overflow, precise where it is nearly zero, and zero where it is no normal number.
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    let e = exp_flushed(-x.abs());
    let low = x < 0.0;
    let sum = 1.0 + e;
    // Chosen by bits: as floats, the compiler would divide both and choose then.
    let above = f32::from_bits(if low { e.to_bits() } else { 1f32.to_bits() });
    let y = above / sum;
    // What the sum lost in rounding is put back to first order; 1 / sum is already known from y.
    let lost = (1.0 - sum) + e;
    // Too small to count; its product with a small y would be subnormal.
    let lost = if lost.abs() > 1e-9 { lost } else { 0.0 };
    y - y * (lost * if low { 1.0 - y } else { y })
}

/// `2^x`.
#[inline(always)]
pub fn exp2(x: f32) -> f32 {
    let x = f64::from(x);
    let x = if x > 200.0 { 200.0 } else { x };
    let x = if x < -200.0 { -200.0 } else { x };
    let shifted = x + MAGIC64;
    scaled(shifted, (x - (shifted - MAGIC64)) * core::f64::consts::LN_2) as f32
}

/// `e^x - 1`, precise near zero.
#[inline(always)]
pub fn expm1(x: f32) -> f32 {
    // x^k / (k + 1)!
    const NEAR: [f64; 11] = [
        1.0,
        1.0 / 2.0,
        1.0 / 6.0,
        1.0 / 24.0,
        1.0 / 120.0,
        1.0 / 720.0,
        1.0 / 5040.0,
        1.0 / 40320.0,
        1.0 / 362_880.0,
        1.0 / 3_628_800.0,
        1.0 / 39_916_800.0,
    ];
    let wide = f64::from(x);
    let near = wide * poly(wide, &NEAR);
    let far = exp_wide(wide) - 1.0;
    (if wide.abs() < 0.5 { near } else { far }) as f32
}

/// Hyperbolic sine.
#[inline(always)]
pub fn sinh(x: f32) -> f32 {
    // z^k / (2k + 1)!
    const NEAR: [f64; 6] = [1.0, 1.0 / 6.0, 1.0 / 120.0, 1.0 / 5040.0, 1.0 / 362_880.0, 1.0 / 39_916_800.0];
    let wide = f64::from(x);
    let e = exp_wide(wide);
    let near = wide * poly(wide * wide, &NEAR);
    let far = 0.5 * e - 0.5 / e;
    (if wide.abs() < 0.5 { near } else { far }) as f32
}

/// Hyperbolic cosine.
#[inline(always)]
pub fn cosh(x: f32) -> f32 {
    let e = exp_wide(f64::from(x));
    (0.5 * e + 0.5 / e) as f32
}

/// `e^x` with a relative error below 1e-11; saturates at `e^±700`.
#[inline(always)]
pub(super) fn exp_wide(x: f64) -> f64 {
    let x = if x > 700.0 { 700.0 } else { x };
    let x = if x < -700.0 { -700.0 } else { x };
    let shifted = x * core::f64::consts::LOG2_E + MAGIC64;
    scaled(shifted, x - (shifted - MAGIC64) * core::f64::consts::LN_2)
}

/// `2^n e^r`, where the low bits of `shifted` are n.
#[inline(always)]
fn scaled(shifted: f64, r: f64) -> f64 {
    // r^k / k!
    const SERIES: [f64; 10] = [
        1.0,
        1.0,
        1.0 / 2.0,
        1.0 / 6.0,
        1.0 / 24.0,
        1.0 / 120.0,
        1.0 / 720.0,
        1.0 / 5040.0,
        1.0 / 40320.0,
        1.0 / 362_880.0,
    ];
    let bits = shifted.to_bits().wrapping_sub(MAGIC64.to_bits()).wrapping_add(1023) << 52;
    poly(r, &SERIES) * f64::from_bits(bits)
}
