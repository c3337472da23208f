//! Powers and the cube root.
//!
//! ```text
//! |x|^y = e^(y ln |x|) in f64; the sign is that of x where y is odd; the exceptions of IEEE 754 are selected afterwards
//! ```

use super::exp::exp_wide;
use super::log::ln_wide;
use super::round::Int;

/// `x^y` with the special cases of IEEE 754: `x^0` and `1^y` are 1 even for NaN.
#[inline(always)]
pub fn pow(x: f32, y: f32) -> f32 {
    let size = x.abs();
    let whole = y as i32;
    // From 2^24 on every f32 is even; from 2^23 on it is an integer.
    let large = y.abs() >= 16_777_216.0;
    let integer = large || whole as f32 == y;
    let odd = integer && !large && whole & 1 != 0;
    let result = exp_wide(f64::from(y) * ln_wide(f64::from(size))) as f32;
    let result = if size == 1.0 && !y.is_nan() { 1.0 } else { result };
    let result = if x < 0.0 && !integer && size < f32::INFINITY && y.abs() < f32::INFINITY { f32::NAN } else { result };
    let result = if odd { result.copysign(x) } else { result };
    if y == 0.0 || x == 1.0 { 1.0 } else { result }
}

/// Cube root, negative for negative numbers.
#[inline(always)]
pub fn cbrt(x: f32) -> f32 {
    (exp_wide(ln_wide(f64::from(x.abs())) * (1.0 / 3.0)) as f32).copysign(x)
}

/// Integer power, wrapping. A negative exponent gives the truncated quotient: 0, or ±1 for a base of ±1; 0 for a base of 0.
#[inline]
pub fn int_pow<T: Int>(base: T, exponent: i64) -> T {
    if exponent < 0 {
        if base == T::ONE {
            return T::ONE;
        }
        if base == T::ZERO.sub(T::ONE) && T::SIGNED {
            return if exponent % 2 == 0 { T::ONE } else { base };
        }
        return T::ZERO;
    }
    let (mut result, mut square, mut left) = (T::ONE, base, exponent);
    while left > 0 {
        if left & 1 == 1 {
            result = result.mul(square);
        }
        square = square.mul(square);
        left >>= 1;
    }
    result
}
