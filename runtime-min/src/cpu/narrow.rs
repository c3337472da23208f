//! Conversions between f32 and the small formats, and access to packed 4-bit and 2-bit elements. Integer code, total.
//!
//! ```text
//! format     sign exp man  bias  largest  infinity   NaN
//! e4m3fn      1    4   3     7       448  none       S.1111.111
//! e4m3fnuz    1    4   3     8       240  none       1.0000.000, no negative zero
//! e5m2        1    5   2    15     57344  S.11111.00 S.11111.xx
//! e5m2fnuz    1    5   2    16     57344  none       1.00000.00, no negative zero
//! e2m1        1    2   1     1         6  none       none (becomes -0)
//! e8m0        0    8   0   127     2^127  none       all ones; there is no zero
//! ```
//!
//! Rounding is to nearest, ties to even. With `saturate` what lies beyond the largest value, infinities too, becomes the largest;
//! without it becomes infinity where there is one, else NaN: the tables of the ONNX operator Cast, version 25.

/// A format with a sign.
#[derive(Debug, Clone, Copy)]
struct Format {
    exponent_bits: u32,
    mantissa_bits: u32,
    bias: i32,
    /// Code of the largest finite value.
    largest: u8,
    /// Code of infinity.
    infinity: Option<u8>,
    /// Code of NaN; with `unsigned_zero` it takes the place of negative zero.
    nan: u8,
    unsigned_zero: bool,
}

const E4M3FN: Format = Format {
    exponent_bits: 4,
    mantissa_bits: 3,
    bias: 7,
    largest: 0x7E,
    infinity: None,
    nan: 0x7F,
    unsigned_zero: false,
};
const E4M3FNUZ: Format = Format {
    exponent_bits: 4,
    mantissa_bits: 3,
    bias: 8,
    largest: 0x7F,
    infinity: None,
    nan: 0x80,
    unsigned_zero: true,
};
const E5M2: Format = Format {
    exponent_bits: 5,
    mantissa_bits: 2,
    bias: 15,
    largest: 0x7B,
    infinity: Some(0x7C),
    nan: 0x7F,
    unsigned_zero: false,
};
const E5M2FNUZ: Format = Format {
    exponent_bits: 5,
    mantissa_bits: 2,
    bias: 16,
    largest: 0x7F,
    infinity: None,
    nan: 0x80,
    unsigned_zero: true,
};

/// To float8 e4m3fn.
pub fn f32_to_e4m3fn(x: f32, saturate: bool) -> u8 {
    encode(x, saturate, &E4M3FN)
}
/// To float8 e4m3fnuz.
pub fn f32_to_e4m3fnuz(x: f32, saturate: bool) -> u8 {
    encode(x, saturate, &E4M3FNUZ)
}
/// To float8 e5m2.
pub fn f32_to_e5m2(x: f32, saturate: bool) -> u8 {
    encode(x, saturate, &E5M2)
}
/// To float8 e5m2fnuz.
pub fn f32_to_e5m2fnuz(x: f32, saturate: bool) -> u8 {
    encode(x, saturate, &E5M2FNUZ)
}
/// From float8 e4m3fn.
pub fn e4m3fn_to_f32(code: u8) -> f32 {
    decode(code, &E4M3FN)
}
/// From float8 e4m3fnuz.
pub fn e4m3fnuz_to_f32(code: u8) -> f32 {
    decode(code, &E4M3FNUZ)
}
/// From float8 e5m2.
pub fn e5m2_to_f32(code: u8) -> f32 {
    decode(code, &E5M2)
}
/// From float8 e5m2fnuz.
pub fn e5m2fnuz_to_f32(code: u8) -> f32 {
    decode(code, &E5M2FNUZ)
}

/// To float4 e2m1, in the low nibble; always saturates, NaN becomes -0 as in the ONNX node tests.
pub fn f32_to_e2m1(x: f32) -> u8 {
    if x.is_nan() {
        return 8;
    }
    let sign = (x.to_bits() >> 28) as u8 & 8;
    sign | rounded(x, 1, 1).min(7) as u8
}

/// From float4 e2m1 in the low nibble.
pub fn e2m1_to_f32(code: u8) -> f32 {
    const HALVES: [f32; 8] = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0];
    let size = HALVES[usize::from(code & 7)];
    if code & 8 == 0 { size } else { -size }
}

/// How e8m0 rounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScaleRounding {
    /// Away from zero.
    Up,
    /// Towards zero.
    Down,
    /// To nearest, ties up.
    Nearest,
}

/// To float8 e8m0; the sign is ignored. Out of range, zero included: the nearest end with `saturate`, else NaN.
pub fn f32_to_e8m0(x: f32, saturate: bool, rounding: ScaleRounding) -> u8 {
    const NAN: u8 = 0xFF;
    let bits = x.to_bits() & 0x7FFF_FFFF;
    if bits > 0x7F80_0000 {
        return NAN;
    }
    // 2^-127 is subnormal in f32; below it is out of range.
    if bits < 0x0040_0000 {
        let reaches = bits > 0 && rounding == ScaleRounding::Up;
        return if saturate || reaches { 0 } else { NAN };
    }
    let exponent = bits >> 23;
    // Fraction of the step to the next power of two, in 23 bits.
    let fraction = if exponent == 0 { (bits << 1) & 0x7F_FFFF } else { bits & 0x7F_FFFF };
    let up = match rounding {
        ScaleRounding::Up => fraction > 0,
        ScaleRounding::Down => false,
        ScaleRounding::Nearest => fraction >= 0x40_0000,
    };
    let code = exponent + u32::from(up);
    match (code > 254, saturate) {
        (true, true) => 254,
        (true, false) => NAN,
        (false, _) => code as u8,
    }
}

/// From float8 e8m0.
pub fn e8m0_to_f32(code: u8) -> f32 {
    match code {
        0 => f32::from_bits(0x0040_0000),
        255 => f32::NAN,
        _ => f32::from_bits(u32::from(code) << 23),
    }
}

#[inline(always)]
fn encode(x: f32, saturate: bool, f: &Format) -> u8 {
    let sign = (x.to_bits() >> 24) as u8 & 0x80;
    let sized = |code: u8| if f.unsigned_zero && code & 0x7F == 0 { code } else { code | sign };
    if x.is_nan() {
        return sized(f.nan);
    }
    let code = if x.is_infinite() { u32::MAX } else { rounded(x, f.mantissa_bits, f.bias) };
    if code <= u32::from(f.largest) {
        return sized(code as u8);
    }
    sized(if saturate { f.largest } else { f.infinity.unwrap_or(f.nan) })
}

/// The code of `|x|` with unlimited exponent: `exponent << mantissa_bits | mantissa`, rounded to nearest even.
#[inline(always)]
fn rounded(x: f32, mantissa_bits: u32, bias: i32) -> u32 {
    let bits = x.to_bits() & 0x7FFF_FFFF;
    let field = (bits >> 23) as i32;
    let mantissa = if field == 0 { bits } else { (bits & 0x7F_FFFF) | 0x80_0000 };
    // Below the smallest normal number the step stays the same, so more bits are dropped.
    let exponent = field.max(1) - 127;
    let least = 1 - bias;
    let dropped = (23 - mantissa_bits as i32) + (least - exponent).max(0);
    if dropped > 25 {
        return 0;
    }
    let kept = mantissa >> dropped;
    let rest = mantissa & ((1 << dropped) - 1);
    let half = 1u32 << (dropped - 1);
    let up = rest > half || (rest == half && kept & 1 == 1);
    // A carry out of the mantissa moves on into the exponent.
    (((exponent.max(least) - least) as u32) << mantissa_bits) + kept + u32::from(up)
}

#[inline(always)]
fn decode(code: u8, f: &Format) -> f32 {
    let size = code & 0x7F;
    let sign = u32::from(code & 0x80) << 24;
    if f.unsigned_zero {
        if code == f.nan {
            return f32::NAN;
        }
    } else if size > f.largest {
        return if f.infinity == Some(size) { f32::from_bits(sign | 0x7F80_0000) } else { f32::NAN };
    }
    let mantissa = u32::from(size) & ((1 << f.mantissa_bits) - 1);
    let exponent = (u32::from(size) >> f.mantissa_bits) & ((1 << f.exponent_bits) - 1);
    if exponent > 0 {
        let wide = exponent.wrapping_add(127).wrapping_sub(f.bias as u32);
        return f32::from_bits(sign | wide << 23 | mantissa << (23 - f.mantissa_bits));
    }
    // mantissa * 2^(1 - bias - mantissa_bits), exact.
    let step = f32::from_bits(128u32.wrapping_sub(f.bias as u32 + f.mantissa_bits) << 23);
    f32::from_bits((mantissa as f32 * step).to_bits() | sign)
}

/// Element `i` of packed 4-bit data, low nibble first; 0 past the end.
#[inline]
pub fn get_u4(bytes: &[u8], i: usize) -> u8 {
    (bytes.get(i / 2).copied().unwrap_or(0) >> (i % 2 * 4)) & 15
}

/// Element `i` as a signed 4-bit integer.
#[inline]
pub fn get_i4(bytes: &[u8], i: usize) -> i8 {
    ((get_u4(bytes, i) << 4) as i8) >> 4
}

/// Writes the low four bits of `value` as element `i`; nothing past the end.
#[inline]
pub fn set_4(bytes: &mut [u8], i: usize, value: u8) {
    if let Some(byte) = bytes.get_mut(i / 2) {
        let shift = i % 2 * 4;
        *byte = (*byte & !(15 << shift)) | (value & 15) << shift;
    }
}

/// Element `i` of packed 2-bit data, low bits first; 0 past the end.
#[inline]
pub fn get_u2(bytes: &[u8], i: usize) -> u8 {
    (bytes.get(i / 4).copied().unwrap_or(0) >> (i % 4 * 2)) & 3
}

/// Element `i` as a signed 2-bit integer.
#[inline]
pub fn get_i2(bytes: &[u8], i: usize) -> i8 {
    ((get_u2(bytes, i) << 6) as i8) >> 6
}

/// Writes the low two bits of `value` as element `i`; nothing past the end.
#[inline]
pub fn set_2(bytes: &mut [u8], i: usize, value: u8) {
    if let Some(byte) = bytes.get_mut(i / 4) {
        let shift = i % 4 * 2;
        *byte = (*byte & !(3 << shift)) | (value & 3) << shift;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every f32 of a sample goes to the nearest code, ties to the even one.
    fn nearest(limit: u8, decode: impl Fn(u8) -> f32, encode: impl Fn(f32) -> u8) {
        let values: Vec<f64> = (0..=limit).map(|c| f64::from(decode(c))).collect();
        assert!(values.windows(2).all(|w| w[0] < w[1]));
        let top = values[limit as usize];
        let ties = values.windows(2).map(|w| ((w[0] + w[1]) / 2.0) as f32);
        for x in
            (0..0x7F80_0000u32).step_by(9973).map(f32::from_bits).chain(ties).chain(values.iter().map(|&v| v as f32))
        {
            if f64::from(x) > top {
                continue;
            }
            let error = |c: usize| (values[c] - f64::from(x)).abs();
            let best = (0..values.len()).min_by(|&a, &b| error(a).total_cmp(&error(b)).then((a % 2).cmp(&(b % 2))));
            assert_eq!(Some(usize::from(encode(x))), best, "{x:e}");
        }
    }

    #[test]
    fn rounds_to_nearest_even() {
        nearest(0x7E, e4m3fn_to_f32, |x| f32_to_e4m3fn(x, true));
        nearest(0x7F, e4m3fnuz_to_f32, |x| f32_to_e4m3fnuz(x, true));
        nearest(0x7B, e5m2_to_f32, |x| f32_to_e5m2(x, true));
        nearest(0x7F, e5m2fnuz_to_f32, |x| f32_to_e5m2fnuz(x, true));
        nearest(7, e2m1_to_f32, f32_to_e2m1);
    }

    #[test]
    fn codes_survive_a_round_trip() {
        for code in 0..=255u8 {
            for saturate in [false, true] {
                let same = |v: f32, back: u8| v.is_nan() || v.is_infinite() || back == code;
                assert!(same(e4m3fn_to_f32(code), f32_to_e4m3fn(e4m3fn_to_f32(code), saturate)));
                assert!(same(e4m3fnuz_to_f32(code), f32_to_e4m3fnuz(e4m3fnuz_to_f32(code), saturate)));
                assert!(same(e5m2_to_f32(code), f32_to_e5m2(e5m2_to_f32(code), saturate)));
                assert!(same(e5m2fnuz_to_f32(code), f32_to_e5m2fnuz(e5m2fnuz_to_f32(code), saturate)));
                for rounding in [ScaleRounding::Up, ScaleRounding::Down, ScaleRounding::Nearest] {
                    assert_eq!(f32_to_e8m0(e8m0_to_f32(code), saturate, rounding), code);
                }
            }
        }
    }

    #[test]
    fn limits_follow_the_tables() {
        let inf = f32::INFINITY;
        assert_eq!(
            [448.0, 240.0, 57344.0, 57344.0],
            [e4m3fn_to_f32(0x7E), e4m3fnuz_to_f32(0x7F), e5m2_to_f32(0x7B), e5m2fnuz_to_f32(0x7F)]
        );
        for x in [inf, 1e9] {
            assert_eq!((f32_to_e4m3fn(x, true), f32_to_e4m3fn(-x, false)), (0x7E, 0xFF));
            assert_eq!((f32_to_e4m3fnuz(-x, true), f32_to_e4m3fnuz(x, false)), (0xFF, 0x80));
            assert_eq!((f32_to_e5m2(-x, true), f32_to_e5m2(-x, false)), (0xFB, 0xFC));
            assert_eq!((f32_to_e5m2fnuz(x, true), f32_to_e5m2fnuz(-x, false)), (0x7F, 0x80));
            assert_eq!((f32_to_e2m1(x), f32_to_e2m1(-x)), (7, 15));
        }
        // 464 lies half way to the next step and rounds to even, which is 448; more overflows.
        assert_eq!((f32_to_e4m3fn(464.0, false), f32_to_e4m3fn(464.1, false)), (0x7E, 0x7F));
        assert_eq!(
            (f32_to_e4m3fn(-0.0, true), f32_to_e4m3fnuz(-0.0, true), f32_to_e5m2fnuz(-1e-30, true)),
            (0x80, 0, 0)
        );
        assert!(e5m2_to_f32(0x7D).is_nan() && e4m3fn_to_f32(0xFF).is_nan() && e5m2_to_f32(0xFC) == -inf);
        assert_eq!(f32_to_e2m1(f32::NAN), 8);
    }

    #[test]
    fn scales() {
        use ScaleRounding::{Down, Nearest, Up};
        for (x, want) in [
            (1.0, [127, 127, 127]),
            (3.0, [129, 128, 129]),
            (2.5, [129, 128, 128]),
            (1e-45, [0, 0, 0]),
            (0.0, [0, 0, 0]),
        ] {
            assert_eq!([Up, Down, Nearest].map(|r| f32_to_e8m0(x, true, r)), want, "{x}");
        }
        assert_eq!((f32_to_e8m0(f32::MAX, true, Up), f32_to_e8m0(f32::MAX, false, Up)), (254, 255));
        assert_eq!((f32_to_e8m0(f32::INFINITY, true, Down), f32_to_e8m0(f32::INFINITY, false, Down)), (254, 255));
        assert_eq!((f32_to_e8m0(0.0, false, Nearest), f32_to_e8m0(f32::from_bits(0x60_0000), true, Nearest)), (255, 1));
    }

    #[test]
    fn packed_elements() {
        let mut bytes = [0xA5, 0xF0];
        assert_eq!((get_u4(&bytes, 0), get_u4(&bytes, 1), get_i4(&bytes, 3), get_u4(&bytes, 4)), (5, 10, -1, 0));
        assert_eq!((get_u2(&bytes, 0), get_i2(&bytes, 1), get_i2(&bytes, 3)), (1, 1, -2));
        set_4(&mut bytes, 1, 0xFC);
        set_2(&mut bytes, 4, 3);
        set_4(&mut bytes, 9, 1);
        assert_eq!(bytes, [0xC5, 0xF3]);
    }
}
