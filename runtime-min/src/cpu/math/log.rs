//! Logarithms through f64.
//!
//! ```text
//! x = 2^e m, √½ ≤ m < √2      ln x = e ln2 + 2 artanh(s), s = (m - 1) / (m + 1), |s| < 0.172, by its series
//! ```
//!
//! Every f32, subnormals too, is a normal f64, so no scaling is needed.

use super::poly;

/// Natural logarithm.
#[inline(always)]
pub fn ln(x: f32) -> f32 {
    ln_wide(f64::from(x)) as f32
}

/// Logarithm to base 2; exact for powers of two.
#[inline(always)]
pub fn log2(x: f32) -> f32 {
    (ln_wide(f64::from(x)) * core::f64::consts::LOG2_E) as f32
}

/// Logarithm to base 10; exact for powers of ten.
#[inline(always)]
pub fn log10(x: f32) -> f32 {
    (ln_wide(f64::from(x)) * core::f64::consts::LOG10_E) as f32
}

/// `ln(1 + x)`, precise near zero.
#[inline(always)]
pub fn log1p(x: f32) -> f32 {
    log1p_wide(f64::from(x)) as f32
}

/// `ln x` with a relative error below 1e-11, for zero, normal numbers, infinities and NaN.
#[inline(always)]
pub(super) fn ln_wide(x: f64) -> f64 {
    // 2 s^2k / (2k + 1)
    const SERIES: [f64; 8] = [2.0, 2.0 / 3.0, 2.0 / 5.0, 2.0 / 7.0, 2.0 / 9.0, 2.0 / 11.0, 2.0 / 13.0, 2.0 / 15.0];
    const SQRT_HALF: u64 = 0x3FE6_A09E_667F_3BCD;
    const MANTISSA: u64 = (1 << 52) - 1;
    const MAGIC: f64 = 6_755_399_441_055_744.0;
    // Counting from √½ puts the cut between exponents there.
    let ordered = x.to_bits().wrapping_sub(SQRT_HALF);
    let m = f64::from_bits((ordered & MANTISSA).wrapping_add(SQRT_HALF));
    // Modulo 4096, the exponent is placed in the low bits of a number that has no fraction.
    let e = f64::from_bits(MAGIC.to_bits().wrapping_add(ordered >> 52));
    let e = e - MAGIC;
    let e = if e >= 2048.0 { e - 4096.0 } else { e };
    let s = (m - 1.0) / (m + 1.0);
    let y = e * core::f64::consts::LN_2 + s * poly(s * s, &SERIES);
    let y = if x == 0.0 { f64::NEG_INFINITY } else { y };
    let y = if x == f64::INFINITY { x } else { y };
    // Catches negative numbers and NaN.
    if x >= 0.0 { y } else { f64::NAN }
}

/// `ln(1 + x)`: the rounding of the sum is put back to first order.
#[inline(always)]
pub(super) fn log1p_wide(x: f64) -> f64 {
    let sum = 1.0 + x;
    let lost = (x - (sum - 1.0)) / sum;
    let y = ln_wide(sum) + if sum > 0.0 && sum < f64::INFINITY { lost } else { 0.0 };
    // Keeps the sign of zero.
    if x == 0.0 { x } else { y }
}
