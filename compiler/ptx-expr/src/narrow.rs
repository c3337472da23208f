//! Floats below 32 bits: rounding an f32 to their values, and their patterns.
//!
//! ```text
//! round     normal:     add half a unit in the last kept bit (and the bit itself: ties to even), clear the rest
//!           subnormal:  (|x| + M) - M, where the last bit of M is the format's smallest step
//! pattern   subnormal:  low bits of |x| + M            normal: the f32's bits, shifted and rebiased
//! ```
//!
//! Rules of range, NaN and zero are those of [`graph::narrow`].

use graph::dtype::DType;
use graph::expr::Rounding;

use crate::arith::Arith;
use crate::op::{Convert, Feature, Float, Int, IntOp, Op, Relation, Width};

const F: Float = Float::F32;
const W: Width = Width::B32;

/// A format with a sign, up to 8 bits.
struct Small {
    exponent: u32,
    mantissa: u32,
    bias: i32,
    top: Top,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Top {
    /// Infinity and NaN.
    Ieee,
    /// NaN is all ones.
    FiniteNan,
    /// NaN is the pattern of -0.
    UnsignedZero,
    /// Neither; NaN becomes -0.
    Finite,
}

fn small(dtype: DType) -> Option<Small> {
    let (exponent, mantissa, bias, top) = match dtype {
        DType::F8E4M3FN => (4, 3, 7, Top::FiniteNan),
        DType::F8E4M3FNUZ => (4, 3, 8, Top::UnsignedZero),
        DType::F8E5M2 => (5, 2, 15, Top::Ieee),
        DType::F8E5M2FNUZ => (5, 2, 16, Top::UnsignedZero),
        DType::F4E2M1 => (2, 1, 1, Top::Finite),
        _ => return None,
    };
    Some(Small { exponent, mantissa, bias, top })
}

impl Small {
    fn power(exponent: i32) -> f32 {
        f32::from_bits(((exponent + 127) as u32) << 23)
    }

    /// Adding it leaves the multiple of the smallest step in the low bits.
    fn magic(&self) -> f32 {
        Small::power(23 + 1 - self.bias - self.mantissa as i32)
    }

    fn smallest_normal(&self) -> f32 {
        Small::power(1 - self.bias)
    }

    fn largest(&self) -> f32 {
        let highest = (1i32 << self.exponent) - 1;
        let (field, lost) = match self.top {
            Top::Ieee => (highest - 1, 1),
            Top::FiniteNan => (highest, 2),
            Top::UnsignedZero | Top::Finite => (highest, 1),
        };
        let significand = (2u32 << self.mantissa) - lost;
        significand as f32 * Small::power(field - self.bias - self.mantissa as i32)
    }

    fn sign_shift(&self) -> u32 {
        31 - (self.exponent + self.mantissa)
    }
}

/// The value of `dtype` next to an f32, as an f32: what a cast does. F32 and F64 pass.
pub fn round<A: Arith>(a: &mut A, dtype: DType, saturate: bool, rounding: Rounding, x: A::Value) -> A::Value {
    match dtype {
        DType::F16 => {
            let x = if saturate { within(a, dtype, x) } else { x };
            let pattern = a.convert(Convert::F32ToF16, x);
            a.convert(Convert::F16ToF32, pattern)
        }
        DType::BF16 => {
            let x = if saturate { within(a, dtype, x) } else { x };
            let pattern = to_bf16(a, x);
            shift_left(a, pattern, 16)
        }
        DType::F8E8M0 => {
            let code = to_e8m0(a, saturate, rounding, x);
            from_e8m0(a, code)
        }
        _ => match small(dtype) {
            Some(format) => round_small(a, &format, saturate, x),
            None => x,
        },
    }
}

/// The pattern of a value (already of the dtype, or to be rounded as after an operation) in the low bits.
pub fn to_bits<A: Arith>(a: &mut A, dtype: DType, x: A::Value) -> A::Value {
    match dtype {
        DType::F16 => a.convert(Convert::F32ToF16, x),
        DType::BF16 => to_bf16(a, x),
        DType::F8E8M0 => to_e8m0(a, false, Rounding::Up, x),
        _ => match small(dtype) {
            Some(format) => {
                let x = round_small(a, &format, false, x);
                encode(a, &format, x)
            }
            None => x,
        },
    }
}

/// The value of the pattern in the low bits; what is above is zero.
pub fn from_bits<A: Arith>(a: &mut A, dtype: DType, pattern: A::Value) -> A::Value {
    match dtype {
        DType::F16 => a.convert(Convert::F16ToF32, pattern),
        DType::BF16 => shift_left(a, pattern, 16),
        // The upper half of an f16.
        DType::F8E5M2 => {
            let half = shift_left(a, pattern, 8);
            a.convert(Convert::F16ToF32, half)
        }
        DType::F8E8M0 => from_e8m0(a, pattern),
        _ => match small(dtype) {
            Some(format) => decode(a, &format, pattern),
            None => pattern,
        },
    }
}

/// `a * b + c` rounded to the dtype once.
pub fn fma<A: Arith>(a: &mut A, dtype: DType, x: A::Value, y: A::Value, z: A::Value) -> A::Value {
    let native = match dtype {
        DType::F16 => Some(Op::FmaF16),
        DType::BF16 if a.has(Feature::Bf16) => Some(Op::FmaBf16),
        _ => None,
    };
    if let Some(op) = native {
        let patterns = [x, y, z].map(|v| to_bits(a, dtype, v));
        let sum = a.apply(op, &patterns);
        return from_bits(a, dtype, sum);
    }
    // The product is exact in f64. The sum is rounded to odd, so that rounding again rounds once.
    let [x, y, z] = [x, y, z].map(|v| a.convert(Convert::F32ToF64, v));
    let product = a.mul(Float::F64, x, y);
    let sum = sum_to_odd(a, product, z);
    let sum = f64_to_odd(a, sum);
    round(a, dtype, false, Rounding::Up, sum)
}

/// The sum of two f64, rounded to odd: where it is not exact, the neighbour whose last bit is set.
pub(crate) fn sum_to_odd<A: Arith>(a: &mut A, x: A::Value, y: A::Value) -> A::Value {
    let f = Float::F64;
    let sum = a.add(f, x, y);
    // Knuth's exact error.
    let part = a.sub(f, sum, x);
    let (kept, moved) = (a.sub(f, sum, part), a.sub(f, y, part));
    let lost = a.sub(f, x, kept);
    let error = a.add(f, lost, moved);
    let zero = a.float(f, 0.0);
    let (below, above) = (a.fcmp(Relation::Lt, f, error, zero), a.fcmp(Relation::Gt, f, error, zero));
    // NaN, as of infinities, is neither.
    let inexact = a.or(Width::Pred, below, above);
    let negative = a.fcmp(Relation::Lt, f, sum, zero);
    let away = a.xor(Width::Pred, below, negative);
    let away = a.and(Width::Pred, away, inexact);
    let one = a.u64(1);
    let less = a.int2(IntOp::Sub, Int::U64, sum, one);
    let cut = a.select(Width::B64, away, less, sum);
    let odd = a.or(Width::B64, cut, one);
    a.select(Width::B64, inexact, odd, sum)
}

/// An f64 as an f32 that rounds to any narrower format as the f64 would.
pub fn f64_to_odd<A: Arith>(a: &mut A, x: A::Value) -> A::Value {
    let y = a.convert(Convert::F64ToF32ToZero, x);
    let back = a.convert(Convert::F32ToF64, y);
    let exact = a.fcmp(Relation::Eq, Float::F64, back, x);
    let one = a.u32(1);
    let odd = a.or(W, y, one);
    a.select(W, exact, y, odd)
}

/// An integer as an f32 that rounds to any narrower format as the integer would.
pub fn int_to_odd<A: Arith>(a: &mut A, ty: Int, x: A::Value) -> A::Value {
    let y = a.convert(Convert::IntToF32ToZero(ty), x);
    let back = a.convert(Convert::FloatToInt(F, ty), y);
    let exact = a.icmp(Relation::Eq, ty, back, x);
    let one = a.u32(1);
    let odd = a.or(W, y, one);
    a.select(W, exact, y, odd)
}

fn shift_left<A: Arith>(a: &mut A, x: A::Value, by: u32) -> A::Value {
    let by = a.u32(by);
    a.int2(IntOp::Shl, Int::U32, x, by)
}

fn shift_right<A: Arith>(a: &mut A, x: A::Value, by: u32) -> A::Value {
    let by = a.u32(by);
    a.int2(IntOp::Shr, Int::U32, x, by)
}

fn to_bf16<A: Arith>(a: &mut A, x: A::Value) -> A::Value {
    if a.has(Feature::Bf16) {
        return a.convert(Convert::F32ToBf16, x);
    }
    let rounded = round_mantissa(a, x, 16);
    let nan = a.is_nan(F, x);
    let quiet = a.u32(0x7FFF_0000);
    let rounded = a.select(W, nan, quiet, rounded);
    shift_right(a, rounded, 16)
}

/// Rounds away the low bits of an f32's pattern, ties to even; they are not cleared. A carry moves into the exponent.
fn round_mantissa<A: Arith>(a: &mut A, x: A::Value, bits: u32) -> A::Value {
    let odd = shift_right(a, x, bits);
    let one = a.u32(1);
    let odd = a.and(W, odd, one);
    let below_half = a.u32((1 << (bits - 1)) - 1);
    let sum = a.int2(IntOp::Add, Int::U32, x, below_half);
    a.int2(IntOp::Add, Int::U32, sum, odd)
}

/// An f32 that a 16-bit float rounds to no infinity unless it is one: finite values beyond the largest are that, NaN stays.
pub fn within<A: Arith>(a: &mut A, dtype: DType, x: A::Value) -> A::Value {
    let largest = match dtype {
        DType::F16 => 65504.0,
        DType::BF16 => f32::from_bits(0x7F7F_0000),
        _ => return x,
    };
    let (largest, infinity) = (a.f32(largest), a.f32(f32::INFINITY));
    let size = a.abs(F, x);
    let beyond = a.fcmp(Relation::Gt, F, size, largest);
    let finite = a.fcmp(Relation::Lt, F, size, infinity);
    let over = a.and(Width::Pred, beyond, finite);
    let end = a.copysign(F, largest, x);
    a.select(W, over, end, x)
}

fn round_small<A: Arith>(a: &mut A, format: &Small, saturate: bool, x: A::Value) -> A::Value {
    let size = a.abs(F, x);
    let dropped = 23 - format.mantissa;
    let normal = round_mantissa(a, size, dropped);
    let mask = a.u32(!0 << dropped);
    let normal = a.and(W, normal, mask);
    let magic = a.f32(format.magic());
    let shifted = a.add(F, size, magic);
    let tiny = a.sub(F, shifted, magic);
    let limit = a.f32(format.smallest_normal());
    let subnormal = a.fcmp(Relation::Lt, F, size, limit);
    let rounded = a.select(W, subnormal, tiny, normal);
    let nan = a.is_nan(F, x);
    let largest = a.f32(format.largest());
    let over = a.fcmp(Relation::Gt, F, rounded, largest);
    let beyond = match (format.top, saturate) {
        (Top::Finite, _) | (_, true) => format.largest(),
        (Top::Ieee, false) => f32::INFINITY,
        (Top::FiniteNan | Top::UnsignedZero, false) => f32::NAN,
    };
    let beyond = a.f32(beyond);
    let rounded = a.select(W, over, beyond, rounded);
    let (signed, nan_is) = match format.top {
        Top::Finite => (a.copysign(F, rounded, x), -0.0),
        Top::Ieee | Top::FiniteNan => (a.copysign(F, rounded, x), f32::NAN),
        Top::UnsignedZero => {
            let signed = a.copysign(F, rounded, x);
            // -0 + 0 is 0.
            let zero = a.f32(0.0);
            (a.add(F, signed, zero), f32::NAN)
        }
    };
    let nan_is = a.f32(nan_is);
    a.select(W, nan, nan_is, signed)
}

/// The pattern of a value of the format.
fn encode<A: Arith>(a: &mut A, format: &Small, x: A::Value) -> A::Value {
    let size = a.abs(F, x);
    let magic = a.f32(format.magic());
    let shifted = a.add(F, size, magic);
    let tiny = a.int2(IntOp::Sub, Int::U32, shifted, magic);
    let rebias = a.u32(((127 - format.bias) as u32) << 23);
    let normal = a.int2(IntOp::Sub, Int::U32, size, rebias);
    let normal = shift_right(a, normal, 23 - format.mantissa);
    let limit = a.f32(format.smallest_normal());
    let subnormal = a.fcmp(Relation::Lt, F, size, limit);
    let magnitude = a.select(W, subnormal, tiny, normal);
    let sign_bit = 1u32 << (format.exponent + format.mantissa);
    let sign = shift_right(a, x, format.sign_shift());
    let mask = a.u32(sign_bit);
    let sign = a.and(W, sign, mask);
    let (nan_pattern, infinity) = match format.top {
        Top::Ieee => {
            let infinity = ((1 << format.exponent) - 1) << format.mantissa;
            (infinity | 1 << (format.mantissa - 1), Some(infinity))
        }
        Top::FiniteNan => (sign_bit - 1, None),
        Top::UnsignedZero | Top::Finite => (sign_bit, None),
    };
    let magnitude = match infinity {
        None => magnitude,
        Some(pattern) => {
            let end = a.f32(f32::INFINITY);
            let infinite = a.fcmp(Relation::Eq, F, size, end);
            let pattern = a.u32(pattern);
            a.select(W, infinite, pattern, magnitude)
        }
    };
    let code = a.or(W, magnitude, sign);
    let nan = a.is_nan(F, x);
    let nan_pattern = a.u32(nan_pattern);
    a.select(W, nan, nan_pattern, code)
}

/// The bits are moved to where an f32 has them; a product with a power of two puts the bias right, subnormals too.
fn decode<A: Arith>(a: &mut A, format: &Small, pattern: A::Value) -> A::Value {
    let sign_bit = 1u32 << (format.exponent + format.mantissa);
    let size_mask = a.u32(sign_bit - 1);
    let magnitude = a.and(W, pattern, size_mask);
    let moved = shift_left(a, magnitude, 23 - format.mantissa);
    let scale = a.f32(Small::power(127 - format.bias));
    let size = a.mul(F, moved, scale);
    let mask = a.u32(sign_bit);
    let sign = a.and(W, pattern, mask);
    let sign = shift_left(a, sign, format.sign_shift());
    let value = a.or(W, size, sign);
    let is_nan = match format.top {
        Top::Finite | Top::Ieee => None,
        Top::FiniteNan => Some(a.icmp(Relation::Eq, Int::U32, magnitude, size_mask)),
        Top::UnsignedZero => Some(a.icmp(Relation::Eq, Int::U32, pattern, mask)),
    };
    match is_nan {
        None => value,
        Some(is_nan) => {
            let nan = a.f32(f32::NAN);
            a.select(W, is_nan, nan, value)
        }
    }
}

/// Powers of two from 2^-127 to 2^127; 0 and what is below becomes the lowest.
fn to_e8m0<A: Arith>(a: &mut A, saturate: bool, rounding: Rounding, x: A::Value) -> A::Value {
    let size = a.abs(F, x);
    let field = shift_right(a, size, 23);
    // From 2^-127 to 2^-126 an f32 is subnormal, and its fraction one bit longer.
    let normal_limit = a.u32(0x0080_0000);
    let subnormal = a.icmp(Relation::Lt, Int::U32, size, normal_limit);
    let doubled = shift_left(a, size, 1);
    let fraction = a.select(W, subnormal, doubled, size);
    let mask = a.u32(0x007F_FFFF);
    let fraction = a.and(W, fraction, mask);
    let code = match rounding {
        Rounding::Down => field,
        Rounding::Up | Rounding::Nearest => {
            let least = a.u32(if rounding == Rounding::Up { 1 } else { 0x0040_0000 });
            let up = a.icmp(Relation::Ge, Int::U32, fraction, least);
            let one = a.u32(1);
            let next = a.int2(IntOp::Add, Int::U32, field, one);
            a.select(W, up, next, field)
        }
    };
    let lowest = a.u32(0x0040_0000);
    let below = a.icmp(Relation::Lt, Int::U32, size, lowest);
    let zero = a.u32(0);
    let code = a.select(W, below, zero, code);
    let end = a.u32(if saturate { 0xFE } else { 0xFF });
    let code = a.int2(IntOp::Min, Int::U32, code, end);
    let nan = a.is_nan(F, x);
    let nan_pattern = a.u32(0xFF);
    a.select(W, nan, nan_pattern, code)
}

fn from_e8m0<A: Arith>(a: &mut A, code: A::Value) -> A::Value {
    let moved = shift_left(a, code, 23);
    let zero = a.u32(0);
    let lowest = a.icmp(Relation::Eq, Int::U32, code, zero);
    let half = a.u32(0x0040_0000);
    let value = a.select(W, lowest, half, moved);
    let all = a.u32(0xFF);
    let is_nan = a.icmp(Relation::Eq, Int::U32, code, all);
    let nan = a.f32(f32::NAN);
    a.select(W, is_nan, nan, value)
}
