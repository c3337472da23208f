//! Encoding and decoding of every float format through `f64`, in integer arithmetic (same bits on every host).
//!
//! Source of the 8-bit formats: the ONNX documentation's table "Float stored in 8 bits" (after arXiv 2209.05433 and
//! 2206.02915); of `f8e8m0` and `f4e2m1`: the OCP Microscaling specification 1.0.

use crate::dtype::DType;

/// Layout of a small float format.
struct Format {
    exponent: i32,
    mantissa: i32,
    bias: i32,
    /// What the top of the range holds.
    top: Top,
}

enum Top {
    /// IEEE 754: the highest exponent is infinity and NaN.
    Ieee,
    /// No infinity; all ones is NaN.
    FiniteNan,
    /// No infinity, no negative zero; the pattern of -0 is NaN.
    UnsignedZero,
    /// Neither infinity nor NaN.
    Finite,
}

fn format(dtype: DType) -> Option<Format> {
    let (exponent, mantissa, bias, top) = match dtype {
        DType::F16 => (5, 10, 15, Top::Ieee),
        DType::BF16 => (8, 7, 127, Top::Ieee),
        DType::F8E4M3FN => (4, 3, 7, Top::FiniteNan),
        DType::F8E4M3FNUZ => (4, 3, 8, Top::UnsignedZero),
        DType::F8E5M2 => (5, 2, 15, Top::Ieee),
        DType::F8E5M2FNUZ => (5, 2, 16, Top::UnsignedZero),
        DType::F4E2M1 => (2, 1, 1, Top::Finite),
        _ => return None,
    };
    Some(Format { exponent, mantissa, bias, top })
}

/// The bit pattern of `value` in `dtype`, rounded half to even. Out of range: the highest finite value with `saturate`,
/// else infinity or NaN, whichever the format has (`f4e2m1` always saturates, and NaN is -0 there, as the ONNX backend
/// tests have it). `f8e8m0` rounds up in magnitude.
pub fn encode(dtype: DType, value: f64, saturate: bool) -> u64 {
    match dtype {
        DType::F64 => value.to_bits(),
        DType::F32 => u64::from((value as f32).to_bits()),
        DType::F8E8M0 => encode_e8m0(value, saturate),
        _ => format(dtype).map_or(0, |f| encode_small(&f, value, saturate)),
    }
}

/// The value of a bit pattern of `dtype`.
pub fn decode(dtype: DType, bits: u64) -> f64 {
    match dtype {
        DType::F64 => f64::from_bits(bits),
        DType::F32 => f64::from(f32::from_bits(bits as u32)),
        DType::F8E8M0 => {
            if bits & 0xFF == 0xFF {
                f64::NAN
            } else {
                exp2i((bits & 0xFF) as i32 - 127)
            }
        }
        _ => format(dtype).map_or(0.0, |f| decode_small(&f, bits)),
    }
}

/// Rounds a value to a float format, staying in `f64`; other dtypes pass through.
pub fn round_to(dtype: DType, value: f64) -> f64 {
    match dtype {
        DType::F64 => value,
        DType::F32 => f64::from(value as f32),
        _ if dtype.is_float() => decode(dtype, encode(dtype, value, false)),
        _ => value,
    }
}

fn exp2i(exponent: i32) -> f64 {
    if exponent >= -1022 {
        f64::from_bits(((exponent + 1023) as u64) << 52)
    } else {
        f64::from_bits(1u64 << (exponent + 1074).clamp(0, 51))
    }
}

fn nan_pattern(f: &Format) -> u64 {
    let sign = 1u64 << (f.exponent + f.mantissa);
    match f.top {
        Top::Ieee => ((1u64 << f.exponent) - 1) << f.mantissa | 1u64 << (f.mantissa - 1),
        Top::FiniteNan => sign - 1,
        Top::UnsignedZero | Top::Finite => sign,
    }
}

/// The highest finite magnitude's pattern.
fn highest_finite(f: &Format) -> u64 {
    let all = (1u64 << (f.exponent + f.mantissa)) - 1;
    match f.top {
        Top::Ieee => (((1u64 << f.exponent) - 1) << f.mantissa) - 1,
        Top::FiniteNan => all - 1,
        Top::UnsignedZero | Top::Finite => all,
    }
}

fn overflow_pattern(f: &Format, sign: u64) -> u64 {
    match f.top {
        Top::Ieee => sign | ((1u64 << f.exponent) - 1) << f.mantissa,
        Top::FiniteNan => sign | nan_pattern(f),
        Top::UnsignedZero => nan_pattern(f),
        Top::Finite => sign | highest_finite(f),
    }
}

fn encode_small(f: &Format, value: f64, saturate: bool) -> u64 {
    let sign_bit = 1u64 << (f.exponent + f.mantissa);
    let negative = value.is_sign_negative();
    let sign = if negative { sign_bit } else { 0 };
    if value.is_nan() {
        let keep = if matches!(f.top, Top::UnsignedZero) { 0 } else { sign };
        return keep | nan_pattern(f);
    }
    if value.is_infinite() {
        return if saturate && !matches!(f.top, Top::Ieee if f.exponent == 8 || f.mantissa == 10) {
            sign | highest_finite(f)
        } else {
            overflow_pattern(f, sign)
        };
    }
    let bits = value.to_bits();
    let raw_exponent = ((bits >> 52) & 0x7FF) as i32;
    let significand = if raw_exponent == 0 { bits & ((1 << 52) - 1) } else { (bits & ((1 << 52) - 1)) | 1 << 52 };
    let exponent = raw_exponent.max(1) - 1023;
    // The value is significand * 2^(exponent - 52); the target unit in the last place is 2^(scale - mantissa).
    let scale = exponent.max(1 - f.bias);
    let shift = 52 - f.mantissa + (scale - exponent);
    let rounded = if shift >= 64 { 0 } else { round_half_even(significand, shift as u32) };
    let magnitude = if rounded < (1u64 << f.mantissa) {
        rounded
    } else {
        // `rounded` carries the hidden bit; adding the biased exponent minus one lets a carry move up by itself.
        (((scale + f.bias - 1) as u64) << f.mantissa) + rounded
    };
    if magnitude > highest_finite(f) {
        return if saturate { sign | highest_finite(f) } else { overflow_pattern(f, sign) };
    }
    if magnitude == 0 && matches!(f.top, Top::UnsignedZero) {
        return 0;
    }
    sign | magnitude
}

fn round_half_even(value: u64, shift: u32) -> u64 {
    let whole = value >> shift;
    let rest = value & ((1u64 << shift) - 1);
    let half = 1u64 << (shift - 1);
    if rest > half || (rest == half && whole & 1 == 1) { whole + 1 } else { whole }
}

fn decode_small(f: &Format, bits: u64) -> f64 {
    let sign_bit = 1u64 << (f.exponent + f.mantissa);
    let sign = if bits & sign_bit != 0 { -1.0 } else { 1.0 };
    let magnitude = bits & (sign_bit - 1);
    let exponent = (magnitude >> f.mantissa) as i32;
    let fraction = (magnitude & ((1 << f.mantissa) - 1)) as f64;
    let highest = (1 << f.exponent) - 1;
    match f.top {
        Top::Ieee if exponent == highest => {
            return if fraction == 0.0 { sign * f64::INFINITY } else { f64::NAN };
        }
        Top::FiniteNan if magnitude == sign_bit - 1 => return f64::NAN,
        Top::UnsignedZero if bits & (2 * sign_bit - 1) == sign_bit => return f64::NAN,
        _ => {}
    }
    let unit = exp2i(-f.mantissa);
    if exponent == 0 {
        sign * fraction * unit * exp2i(1 - f.bias)
    } else {
        sign * (1.0 + fraction * unit) * exp2i(exponent - f.bias)
    }
}

fn encode_e8m0(value: f64, saturate: bool) -> u64 {
    if value.is_nan() {
        return 0xFF;
    }
    if value.is_infinite() {
        return if saturate { 0xFE } else { 0xFF };
    }
    let bits = value.abs().to_bits();
    let exponent = (bits >> 52) as i32 - 1023;
    let fraction = bits & ((1 << 52) - 1);
    let exponent = if fraction != 0 { exponent + 1 } else { exponent };
    match exponent {
        e if e < -127 => 0,
        e if e > 127 => {
            if saturate {
                0xFE
            } else {
                0xFF
            }
        }
        e => (e + 127) as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_survives_a_round_trip() {
        for dtype in [
            DType::F16,
            DType::BF16,
            DType::F8E4M3FN,
            DType::F8E4M3FNUZ,
            DType::F8E5M2,
            DType::F8E5M2FNUZ,
            DType::F8E8M0,
            DType::F4E2M1,
        ] {
            for bits in 0..1u64 << dtype.bits() {
                let value = decode(dtype, bits);
                if value.is_nan() {
                    assert!(decode(dtype, encode(dtype, value, false)).is_nan(), "{dtype} {bits:#x}");
                } else {
                    assert_eq!(encode(dtype, value, false), bits, "{dtype} {bits:#x} {value}");
                }
            }
        }
    }

    #[test]
    fn half_precision_agrees_with_the_half_crate() {
        for bits in (0..u32::MAX).step_by(65_521) {
            let x = f32::from_bits(bits);
            if x.is_nan() {
                continue;
            }
            assert_eq!(encode(DType::F16, f64::from(x), false), u64::from(half::f16::from_f32(x).to_bits()), "{x}");
            assert_eq!(encode(DType::BF16, f64::from(x), false), u64::from(half::bf16::from_f32(x).to_bits()), "{x}");
        }
    }

    #[test]
    fn saturation_follows_the_onnx_table() {
        assert_eq!(decode(DType::F8E4M3FN, encode(DType::F8E4M3FN, 1e6, true)), 448.0);
        assert!(decode(DType::F8E4M3FN, encode(DType::F8E4M3FN, 1e6, false)).is_nan());
        assert_eq!(decode(DType::F8E5M2, encode(DType::F8E5M2, 1e6, true)), 57344.0);
        assert!(decode(DType::F8E5M2, encode(DType::F8E5M2, 1e6, false)).is_infinite());
        assert_eq!(decode(DType::F4E2M1, encode(DType::F4E2M1, 100.0, false)), 6.0);
        assert_eq!(encode(DType::F4E2M1, f64::NAN, false), 8);
    }
}
