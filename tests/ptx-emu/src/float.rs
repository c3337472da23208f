//! Binary floats of any layout: the value of bits, and the bits of a value after one rounding.
//!
//! Values travel as f64. Where f64 cannot hold an intermediate result exactly it is rounded to odd (the last bit is set when anything was
//! lost), after which any rounding to a format at least two bits narrower is the right one.

use crate::types::Round;

/// Layout of a format.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Format {
    pub exponent: u32,
    pub mantissa: u32,
    /// All ones in the exponent are numbers too, but for the largest, a NaN (e4m3).
    pub no_infinity: bool,
}

pub(crate) const F16: Format = Format { exponent: 5, mantissa: 10, no_infinity: false };
pub(crate) const BF16: Format = Format { exponent: 8, mantissa: 7, no_infinity: false };
pub(crate) const TF32: Format = Format { exponent: 8, mantissa: 10, no_infinity: false };
pub(crate) const F32: Format = Format { exponent: 8, mantissa: 23, no_infinity: false };
pub(crate) const E4M3: Format = Format { exponent: 4, mantissa: 3, no_infinity: true };
pub(crate) const E5M2: Format = Format { exponent: 5, mantissa: 2, no_infinity: false };

impl Format {
    fn bias(self) -> i32 {
        (1 << (self.exponent - 1)) - 1
    }

    fn sign_bit(self) -> u32 {
        self.exponent + self.mantissa
    }

    /// The NaN that arithmetic returns.
    pub fn nan(self) -> u64 {
        (1 << self.sign_bit()) - 1
    }

    fn largest(self) -> u64 {
        if self.no_infinity { self.nan() - 1 } else { self.infinity() - 1 }
    }

    fn infinity(self) -> u64 {
        ((1 << self.exponent) - 1) << self.mantissa
    }

    pub fn is_nan(self, bits: u64) -> bool {
        let magnitude = bits & self.nan();
        if self.no_infinity { magnitude == self.nan() } else { magnitude > self.infinity() }
    }

    pub fn value(self, bits: u64) -> f64 {
        let magnitude = bits & self.nan();
        let negative = bits >> self.sign_bit() & 1 == 1;
        let field = (magnitude >> self.mantissa) as i32;
        let fraction = magnitude & ((1 << self.mantissa) - 1);
        let size = if self.is_nan(bits) {
            f64::NAN
        } else if !self.no_infinity && magnitude == self.infinity() {
            f64::INFINITY
        } else if field == 0 {
            fraction as f64 * exp2i(1 - self.bias() - self.mantissa as i32)
        } else {
            (fraction | 1 << self.mantissa) as f64 * exp2i(field - self.bias() - self.mantissa as i32)
        };
        if negative { -size } else { size }
    }

    /// The bits of a value. `finite` turns overflow into the largest number.
    pub fn round(self, x: f64, round: Round, finite: bool) -> u64 {
        if x.is_nan() {
            return self.nan();
        }
        let negative = x.is_sign_negative();
        let sign = u64::from(negative) << self.sign_bit();
        let raw = x.abs().to_bits();
        if raw == 0 {
            return sign;
        }
        if x.is_infinite() {
            return sign
                | if finite {
                    self.largest()
                } else if self.no_infinity {
                    self.nan()
                } else {
                    self.infinity()
                };
        }
        let field = (raw >> 52) as i32;
        let significand = if field == 0 { raw } else { raw & ((1 << 52) - 1) | 1 << 52 };
        let exponent = if field == 0 { -1074 } else { field - 1075 };
        let top = exponent + 63 - significand.leading_zeros() as i32;
        let lowest = 1 - self.bias();
        let quantum = top.max(lowest) - self.mantissa as i32;
        let shift = quantum - exponent;
        let (mut kept, rest, half) = if shift <= 0 {
            (significand << -shift, 0, 1)
        } else if shift >= 63 {
            (0, 1, 2)
        } else {
            (significand >> shift, significand & ((1 << shift) - 1), 1u64 << (shift - 1))
        };
        let up = match round {
            Round::Nearest => rest > half || rest == half && kept & 1 == 1,
            Round::Away => rest >= half,
            Round::Zero => false,
            Round::Down => negative && rest > 0,
            Round::Up => !negative && rest > 0,
        };
        kept += u64::from(up);
        // A carry out of the significand runs into the exponent, as it should.
        let field = (top.max(lowest) - lowest) as u64;
        let bits = (field << self.mantissa) + kept;
        if bits > self.largest() {
            let stays = match round {
                Round::Zero => true,
                Round::Down => !negative,
                Round::Up => negative,
                Round::Nearest | Round::Away => false,
            };
            let beyond = if finite || stays {
                self.largest()
            } else if self.no_infinity {
                self.nan()
            } else {
                self.infinity()
            };
            return sign | beyond;
        }
        sign | bits
    }
}

/// 2^n, for exponents that f64 has.
fn exp2i(n: i32) -> f64 {
    if n >= -1022 { f64::from_bits(((n + 1023) as u64) << 52) } else { f64::from_bits(1 << (n + 1074).max(0)) }
}

/// Moves a rounded result to its odd neighbour when something was lost.
fn odd(rounded: f64, lost: f64) -> f64 {
    if lost == 0.0 || lost.is_nan() || !rounded.is_finite() || rounded.to_bits() & 1 == 1 {
        rounded
    } else if lost > 0.0 {
        rounded.next_up()
    } else {
        rounded.next_down()
    }
}

pub(crate) fn add(a: f64, b: f64) -> f64 {
    odd(a + b, lost_by_sum(a, b))
}

/// What a sum loses to rounding.
pub(crate) fn lost_by_sum(a: f64, b: f64) -> f64 {
    let sum = a + b;
    let of_b = sum - a;
    (a - (sum - of_b)) + (b - of_b)
}

/// The sign of what a fused product and sum loses (exact but for overflow and underflow).
pub(crate) fn lost_by_fma(a: f64, b: f64, c: f64) -> f64 {
    let near = a.mul_add(b, c);
    let (high, low) = (a * b, a.mul_add(b, -(a * b)));
    let sum = high + c;
    let rest = add(lost_by_sum(high, c), low);
    add(sum - near, rest)
}

/// A nearest result, and the sign of what it lost, as a directed rounding has it.
pub(crate) fn directed(near: f64, lost: f64, round: Round) -> f64 {
    if lost == 0.0 || lost.is_nan() || near.is_nan() {
        return near;
    }
    let up = match round {
        Round::Up => true,
        Round::Down => false,
        Round::Zero => near < 0.0,
        Round::Nearest | Round::Away => return near,
    };
    if up && lost > 0.0 {
        near.next_up()
    } else if !up && lost < 0.0 {
        near.next_down()
    } else {
        near
    }
}

pub(crate) fn divide(a: f64, b: f64) -> f64 {
    let quotient = a / b;
    let rest = (-quotient).mul_add(b, a);
    odd(quotient, if b < 0.0 { -rest } else { rest })
}

pub(crate) fn root(a: f64) -> f64 {
    let root = a.sqrt();
    odd(root, (-root).mul_add(root, a))
}

pub(crate) fn from_int(v: i128) -> f64 {
    let size = v.unsigned_abs();
    let excess = (128 - size.leading_zeros()).saturating_sub(53);
    let kept = (size >> excess) as u64;
    let lost = size & ((1 << excess) - 1) != 0;
    let value = (kept | u64::from(lost)) as f64 * exp2i(excess as i32);
    if v < 0 { -value } else { value }
}

/// The integer that a rounding picks, as a float.
pub(crate) fn integral(x: f64, round: Round) -> f64 {
    match round {
        Round::Nearest => x.round_ties_even(),
        Round::Away => x.round(),
        Round::Zero => x.trunc(),
        Round::Down => x.floor(),
        Round::Up => x.ceil(),
    }
}

/// Bits of an element of a matrix or tensor as a value.
pub(crate) fn of_type(ty: crate::types::Ty) -> Option<Format> {
    use crate::types::Ty;
    match ty {
        Ty::F16 | Ty::F16x2 => Some(F16),
        Ty::Bf16 | Ty::Bf16x2 => Some(BF16),
        Ty::F32 => Some(F32),
        Ty::E4m3 | Ty::E4m3x2 => Some(E4M3),
        Ty::E5m2 | Ty::E5m2x2 => Some(E5M2),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every 16-bit pattern survives value → bits.
    #[test]
    fn formats_round_trip() {
        for format in [F16, BF16, E4M3, E5M2] {
            for bits in 0..1u64 << (format.sign_bit() + 1) {
                let value = format.value(bits);
                let expected = if value.is_nan() { format.nan() } else { bits };
                assert_eq!(format.round(value, Round::Nearest, false), expected, "{format:?} {bits:#x}");
            }
        }
    }

    /// The host's conversion from f64 is the reference for f32.
    #[test]
    fn f32_as_the_host_rounds() {
        let mut seed = 1u64;
        for _ in 0..200_000 {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let x = f64::from_bits(seed);
            let expected = if x.is_nan() { 0x7fff_ffff } else { (x as f32).to_bits() };
            assert_eq!(F32.round(x, Round::Nearest, false), u64::from(expected), "{x:e}");
        }
    }

    #[test]
    fn directed_roundings() {
        let check = |x: f64, expected: [u64; 5]| {
            let all = [Round::Nearest, Round::Away, Round::Zero, Round::Down, Round::Up];
            assert_eq!(all.map(|r| F16.round(x, r, false)), expected, "{x}");
        };
        // 1 + 2^-11 lies half way between 1 and 1 + 2^-10.
        check(1.0 + 2f64.powi(-11), [0x3c00, 0x3c01, 0x3c00, 0x3c00, 0x3c01]);
        check(-1.0 - 2f64.powi(-11), [0xbc00, 0xbc01, 0xbc00, 0xbc01, 0xbc00]);
        check(65520.0, [0x7c00, 0x7c00, 0x7bff, 0x7bff, 0x7c00]);
        check(2f64.powi(-26), [0, 0, 0, 0, 1]);
        assert_eq!(E4M3.round(1e9, Round::Nearest, true), 0x7e);
        assert_eq!(E4M3.value(0x7e), 448.0);
    }

    #[test]
    fn sums_round_once() {
        // 1 + 2^-60 is not 1 for a rounding upwards.
        let sum = add(1.0, 2f64.powi(-60));
        assert_eq!(F32.round(sum, Round::Up, false), u64::from(1f32.next_up().to_bits()));
        assert_eq!(F32.round(sum, Round::Nearest, false), u64::from(1f32.to_bits()));
    }
}
