//! Runs sequences on the host, in the machine's semantics: tests, and folding of constants.

use crate::arith::Arith;
use crate::op::{Approx, BitOp, Convert, Feature, Float, FloatOp, Int, IntOp, Number, Op, Relation, Width};

/// Values are their bits; predicates are 0 and 1.
#[derive(Clone, Copy, Debug, Default)]
pub struct Host {
    /// Whether the target that is played has bf16 operations.
    pub bf16: bool,
}

impl Arith for Host {
    type Value = u64;

    fn constant(&mut self, _: Width, bits: u64) -> u64 {
        bits
    }

    fn known(&self, value: u64) -> Option<u64> {
        Some(value)
    }

    fn apply(&mut self, op: Op, args: &[u64]) -> u64 {
        evaluate(op, args)
    }

    fn when(&mut self, condition: u64, otherwise: &[u64], body: impl FnOnce(&mut Self) -> Vec<u64>) -> Vec<u64> {
        if condition != 0 { body(self) } else { otherwise.to_vec() }
    }

    fn iterate(&mut self, start: &[u64], mut body: impl FnMut(&mut Self, &[u64]) -> (Vec<u64>, u64)) -> Vec<u64> {
        let mut state = start.to_vec();
        loop {
            let (next, again) = body(self, &state);
            state = next;
            if again == 0 {
                return state;
            }
        }
    }

    fn has(&self, feature: Feature) -> bool {
        match feature {
            Feature::Bf16 => self.bf16,
        }
    }
}

/// The result of an operation on bits; an operand that is missing is 0.
pub fn evaluate(op: Op, args: &[u64]) -> u64 {
    let arg = |k: usize| args.get(k).copied().unwrap_or(0);
    let (x, y, z) = (arg(0), arg(1), arg(2));
    match op {
        Op::Float(op, Float::F32) => u64::from(float32(op, single(x), single(y), single(z)).to_bits()),
        Op::Float(op, Float::F64) => float64(op, double(x), double(y), double(z)).to_bits(),
        Op::Approx(op) => u64::from(approx(op, single(x)).to_bits()),
        Op::Int(op, ty) => int(op, ty, x, y, z),
        Op::Bits(op, width) => bits(op, width, x, y),
        Op::Compare(relation, number) => u64::from(compare(relation, number, x, y)),
        Op::Select(_) => {
            if x != 0 {
                y
            } else {
                z
            }
        }
        Op::Convert(op) => convert(op, x, y),
        Op::FmaF16 => fma_narrow(half_value, half_pattern, x, y, z),
        Op::FmaBf16 => fma_narrow(bf16_value, bf16_pattern, x, y, z),
    }
}

fn single(bits: u64) -> f32 {
    f32::from_bits(bits as u32)
}

fn double(bits: u64) -> f64 {
    f64::from_bits(bits)
}

/// One of two numbers; NaN if either is.
macro_rules! extreme {
    ($x:ident, $y:ident, $first:expr) => {
        if $x.is_nan() || $y.is_nan() {
            $x + $y
        } else if $first {
            $x
        } else {
            $y
        }
    };
}

/// One definition for both widths.
macro_rules! float_op {
    ($name:ident, $float:ty) => {
        fn $name(op: FloatOp, x: $float, y: $float, z: $float) -> $float {
            match op {
                FloatOp::Add => x + y,
                FloatOp::Sub => x - y,
                FloatOp::Mul => x * y,
                FloatOp::Div => x / y,
                FloatOp::Fma => x.mul_add(y, z),
                FloatOp::MinNan => extreme!(x, y, x < y || (x == y && x.is_sign_negative())),
                FloatOp::MaxNan => extreme!(x, y, x > y || (x == y && x.is_sign_positive())),
                FloatOp::Neg => -x,
                FloatOp::Abs => x.abs(),
                FloatOp::Sqrt => x.sqrt(),
                FloatOp::Rint => x.round_ties_even(),
                FloatOp::Floor => x.floor(),
                FloatOp::Ceil => x.ceil(),
                FloatOp::Trunc => x.trunc(),
            }
        }
    };
}

float_op!(float32, f32);
float_op!(float64, f64);

/// A sum and its exact error (Knuth); the error of an infinite sum is taken as 0.
fn two_sum(x: f64, y: f64) -> (f64, f64) {
    let sum = x + y;
    if !sum.is_finite() {
        return (sum, 0.0);
    }
    let part = sum - x;
    (sum, (x - (sum - part)) + (y - part))
}

fn approx(op: Approx, x: f32) -> f32 {
    match op {
        Approx::Ex2 => x.exp2(),
        Approx::Lg2 => x.log2(),
        Approx::Tanh => x.tanh(),
        Approx::Sin => x.sin(),
        Approx::Cos => x.cos(),
        Approx::Rcp => 1.0 / x,
        Approx::Sqrt => x.sqrt(),
        Approx::Rsqrt => (1.0 / f64::from(x).sqrt()) as f32,
    }
}

fn int(op: IntOp, ty: Int, x: u64, y: u64, z: u64) -> u64 {
    let wide = |bits: u64| match ty {
        Int::S32 => i128::from(bits as i32),
        Int::U32 => i128::from(bits as u32),
        Int::S64 => i128::from(bits as i64),
        Int::U64 => i128::from(bits),
    };
    let (a, b) = (wide(x), wide(y));
    let count = if ty.width() == Width::B64 { 64 } else { 32 };
    let value = match op {
        IntOp::Add => a + b,
        IntOp::Sub => a - b,
        // The product of two u64 fits no i128, but its low bits do not care.
        IntOp::Mul | IntOp::MulWide => a.wrapping_mul(b),
        IntOp::MulHigh if ty == Int::U64 => ((u128::from(x) * u128::from(y)) >> 64) as i128,
        IntOp::MulHigh => (a * b) >> count,
        IntOp::Mad => a.wrapping_mul(b).wrapping_add(wide(z)),
        IntOp::Div => a.checked_div(b).unwrap_or(-1),
        IntOp::Rem => a.checked_rem(b).unwrap_or(-1),
        IntOp::Min => a.min(b),
        IntOp::Max => a.max(b),
        IntOp::Shl => {
            let amount = y as u32;
            if amount >= count { 0 } else { a << amount }
        }
        IntOp::Shr => a >> (y as u32).min(count),
    };
    if ty.width() == Width::B32 && op != IntOp::MulWide { u64::from(value as u32) } else { value as u64 }
}

fn bits(op: BitOp, width: Width, x: u64, y: u64) -> u64 {
    let mask = match width {
        Width::Pred => 1,
        Width::B32 => u64::from(u32::MAX),
        Width::B64 => u64::MAX,
    };
    match op {
        BitOp::And => x & y,
        BitOp::Or => x | y,
        BitOp::Xor => x ^ y,
        BitOp::Not => !x & mask,
        BitOp::Ones => u64::from((x & mask).count_ones()),
        BitOp::LeadingZeros if width == Width::B64 => u64::from(x.leading_zeros()),
        BitOp::LeadingZeros => u64::from((x as u32).leading_zeros()),
    }
}

fn compare(relation: Relation, number: Number, x: u64, y: u64) -> bool {
    use std::cmp::Ordering::{Equal, Greater, Less};
    let order = match number {
        Number::Float(Float::F32) => single(x).partial_cmp(&single(y)),
        Number::Float(Float::F64) => double(x).partial_cmp(&double(y)),
        Number::Int(Int::S32) => Some((x as i32).cmp(&(y as i32))),
        Number::Int(Int::U32) => Some((x as u32).cmp(&(y as u32))),
        Number::Int(Int::S64) => Some((x as i64).cmp(&(y as i64))),
        Number::Int(Int::U64) => Some(x.cmp(&y)),
    };
    match relation {
        Relation::Eq => order == Some(Equal),
        Relation::Ne => order != Some(Equal),
        Relation::Lt => order == Some(Less),
        Relation::Le => matches!(order, Some(Less | Equal)),
        Relation::Gt => order == Some(Greater),
        Relation::Ge => matches!(order, Some(Greater | Equal)),
    }
}

fn convert(op: Convert, x: u64, y: u64) -> u64 {
    let low = x as u32;
    match op {
        Convert::F32ToF64 => f64::from(single(x)).to_bits(),
        Convert::F64ToF32 => u64::from((double(x) as f32).to_bits()),
        Convert::F64ToF32ToZero => {
            let nearest = double(x) as f32;
            let away = f64::from(nearest).abs() > double(x).abs();
            u64::from(if away { nearest.to_bits() - 1 } else { nearest.to_bits() })
        }
        Convert::IntToFloat(ty, f) => match (ty, f) {
            (Int::S32, Float::F32) => u64::from((low as i32 as f32).to_bits()),
            (Int::U32, Float::F32) => u64::from((low as f32).to_bits()),
            (Int::S64, Float::F32) => u64::from((x as i64 as f32).to_bits()),
            (Int::U64, Float::F32) => u64::from((x as f32).to_bits()),
            (Int::S32, Float::F64) => f64::from(low as i32).to_bits(),
            (Int::U32, Float::F64) => f64::from(low).to_bits(),
            (Int::S64, Float::F64) => (x as i64 as f64).to_bits(),
            (Int::U64, Float::F64) => (x as f64).to_bits(),
        },
        Convert::IntToF32ToZero(ty) => {
            let exact = match ty {
                Int::S32 => i128::from(low as i32),
                Int::U32 => i128::from(low),
                Int::S64 => i128::from(x as i64),
                Int::U64 => i128::from(x),
            };
            let nearest = exact as f32;
            let away = (nearest as i128).unsigned_abs() > exact.unsigned_abs();
            u64::from(if away { nearest.to_bits() - 1 } else { nearest.to_bits() })
        }
        Convert::FloatToInt(f, ty) => {
            let (value, plain) = match f {
                Float::F32 => (f64::from(single(x)), ty.width() == Width::B32),
                Float::F64 => (double(x), false),
            };
            match ty {
                _ if value.is_nan() && plain => 0,
                Int::S32 | Int::U32 if value.is_nan() => 1 << 31,
                Int::S64 | Int::U64 if value.is_nan() => 1 << 63,
                Int::S32 => u64::from(value as i32 as u32),
                Int::U32 => u64::from(value as u32),
                Int::S64 => value as i64 as u64,
                Int::U64 => value as u64,
            }
        }
        Convert::ExtendSigned => i64::from(low as i32) as u64,
        Convert::ExtendZero | Convert::Low => u64::from(low),
        Convert::High => x >> 32,
        Convert::Pack => u64::from(low) | y << 32,
        Convert::SignExtend(bits) => {
            let shift = 32u32.saturating_sub(u32::from(bits));
            u64::from((((low << shift) as i32) >> shift) as u32)
        }
        Convert::F16ToF32 => u64::from((half_value(x) as f32).to_bits()),
        Convert::F32ToF16 => half_pattern(f64::from(single(x))),
        Convert::F32ToBf16 => bf16_pattern(f64::from(single(x))),
    }
}

fn half_value(bits: u64) -> f64 {
    graph::narrow::decode(graph::dtype::DType::F16, bits & 0xFFFF)
}

fn bf16_value(bits: u64) -> f64 {
    graph::narrow::decode(graph::dtype::DType::BF16, bits & 0xFFFF)
}

/// The hardware's NaN of 16-bit formats has all bits but the sign.
fn half_pattern(value: f64) -> u64 {
    if value.is_nan() { 0x7FFF } else { graph::narrow::encode(graph::dtype::DType::F16, value, false) }
}

fn bf16_pattern(value: f64) -> u64 {
    if value.is_nan() { 0x7FFF } else { graph::narrow::encode(graph::dtype::DType::BF16, value, false) }
}

/// The product is exact; the sum is rounded to odd, so that rounding again rounds once.
fn fma_narrow(value: fn(u64) -> f64, pattern: fn(f64) -> u64, x: u64, y: u64, z: u64) -> u64 {
    let (sum, error) = two_sum(value(x) * value(y), value(z));
    let odd = if error == 0.0 || sum.to_bits() & 1 == 1 {
        sum
    } else if (error > 0.0) == (sum > 0.0) {
        f64::from_bits(sum.to_bits() + 1)
    } else {
        f64::from_bits(sum.to_bits() - 1)
    };
    pattern(odd)
}
