//! Rounding, remainders and conversions.
//!
//! Rounding adds and subtracts 2^23, so that it needs no instruction beyond SSE2. Integer operations wrap and are total: division
//! by zero gives 0. Saturating conversions are Rust's `as`; [`wrap_to_i64`] followed by `as` is the wrapping one.

/// The nearest integer, halves to even; keeps the sign of zero.
#[inline(always)]
pub fn round_half_even(x: f32) -> f32 {
    const LIMIT: f32 = 8_388_608.0;
    let size = x.abs();
    let rounded = ((size + LIMIT) - LIMIT).copysign(x);
    if size < LIMIT { rounded } else { x }
}

/// The largest integer not above `x`.
#[inline(always)]
pub fn floor(x: f32) -> f32 {
    let near = round_half_even(x);
    if near > x { near - 1.0 } else { near }
}

/// The smallest integer not below `x`.
#[inline(always)]
pub fn ceil(x: f32) -> f32 {
    -floor(-x)
}

/// The integer part.
#[inline(always)]
pub fn trunc(x: f32) -> f32 {
    floor(x.abs()).copysign(x)
}

/// Remainder with the sign of the divisor, as Python's `%`.
#[inline]
pub fn floor_mod(x: f32, y: f32) -> f32 {
    let r = x % y;
    if r == 0.0 {
        0f32.copysign(y)
    } else if (r < 0.0) != (y < 0.0) {
        r + y
    } else {
        r
    }
}

/// [`floor_mod`] in f64.
#[inline]
pub fn floor_mod_f64(x: f64, y: f64) -> f64 {
    let r = x % y;
    if r == 0.0 {
        0f64.copysign(y)
    } else if (r < 0.0) != (y < 0.0) {
        r + y
    } else {
        r
    }
}

/// Integers of all widths, with wrapping operations.
pub trait Int: Copy + PartialEq + PartialOrd {
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// Whether negative values exist.
    const SIGNED: bool;
    /// Sum.
    fn add(self, other: Self) -> Self;
    /// Difference.
    fn sub(self, other: Self) -> Self;
    /// Product.
    fn mul(self, other: Self) -> Self;
    /// Remainder with the sign of the dividend; 0 for a divisor of 0.
    fn rem(self, other: Self) -> Self;
}

macro_rules! int {
    ($($t:ty),*) => {$(
        impl Int for $t {
            const ZERO: Self = 0;
            const ONE: Self = 1;
            const SIGNED: bool = <$t>::MIN != 0;
            #[inline(always)]
            fn add(self, other: Self) -> Self { self.wrapping_add(other) }
            #[inline(always)]
            fn sub(self, other: Self) -> Self { self.wrapping_sub(other) }
            #[inline(always)]
            fn mul(self, other: Self) -> Self { self.wrapping_mul(other) }
            #[inline(always)]
            fn rem(self, other: Self) -> Self { if other == 0 { 0 } else { self.wrapping_rem(other) } }
        }
    )*};
}
int!(i8, i16, i32, i64, u8, u16, u32, u64);

/// Remainder with the sign of the divisor, as Python's `%`; 0 for a divisor of 0.
#[inline]
pub fn floor_mod_int<T: Int>(x: T, y: T) -> T {
    let r = x.rem(y);
    if r != T::ZERO && (r < T::ZERO) != (y < T::ZERO) { r.add(y) } else { r }
}

/// Remainder with the sign of the dividend, as C's `%`; 0 for a divisor of 0.
#[inline]
pub fn trunc_mod_int<T: Int>(x: T, y: T) -> T {
    x.rem(y)
}

/// The integer part modulo 2^64; 0 for infinities and NaN. `wrap_to_i64(v) as i8` wraps modulo 2^8.
#[inline]
pub fn wrap_to_i64(x: f64) -> i64 {
    let bits = x.to_bits();
    let exponent = ((bits >> 52) & 2047) as i32 - 1075;
    let mantissa = (bits & ((1 << 52) - 1)) | 1 << 52;
    let size = match exponent {
        ..=-53 => 0,
        -52..=-1 => mantissa >> -exponent,
        0..=63 => mantissa << exponent,
        _ => 0,
    };
    let size = size as i64;
    if x < 0.0 { size.wrapping_neg() } else { size }
}
