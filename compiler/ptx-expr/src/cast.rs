//! Conversions between dtypes, by value and by bits.

use graph::dtype::{Class, DType};
use graph::expr::Rounding;

use crate::arith::Arith;
use crate::error::Error;
use crate::form::Form;
use crate::integer::wrap;
use crate::narrow;
use crate::op::{Convert, Float, Int, IntOp, Relation, Width};

/// What a cast does, all but its operand.
#[derive(Clone, Copy, Debug)]
pub struct Cast {
    pub from: DType,
    pub to: DType,
    pub saturate: bool,
    pub rounding: Rounding,
}

impl Cast {
    /// The value under the cast.
    pub fn emit<A: Arith>(self, a: &mut A, x: A::Value) -> Result<A::Value, Error> {
        let (from, to) = (Form::of(self.from)?, Form::of(self.to)?);
        Ok(match (from, to) {
            (Form::Pred, Form::Pred) => x,
            (Form::Int(ty), Form::Pred) => {
                let zero = a.int(ty, 0);
                a.icmp(Relation::Ne, ty, x, zero)
            }
            (Form::Float(f), Form::Pred) => {
                let zero = a.float(f, 0.0);
                a.fcmp(Relation::Ne, f, x, zero)
            }
            (Form::Pred, Form::Int(ty)) => {
                let (yes, no) = (a.int(ty, 1), a.int(ty, 0));
                let whole = a.select(ty.width(), x, yes, no);
                // One is -1 where a single bit is left, and more than the highest value of a signed one.
                if self.saturate { self.clamp(a, x, whole) } else { wrap(a, self.to, whole) }
            }
            (Form::Pred, Form::Float(f)) => {
                let (yes, no) = (a.float(f, 1.0), a.float(f, 0.0));
                let value = a.select(f.width(), x, yes, no);
                narrow::round(a, self.to, self.saturate, self.rounding, value)
            }
            (Form::Int(ty), Form::Float(Float::F64)) => a.convert(Convert::IntToFloat(ty, Float::F64), x),
            (Form::Int(ty), Form::Float(Float::F32)) => {
                // Beyond 24 bits an f32 rounds already, and those are beyond the range of f16.
                let rounds_twice = self.from.bits() > 16 && !matches!(self.to, DType::F32 | DType::F16);
                let value = if rounds_twice {
                    narrow::int_to_odd(a, ty, x)
                } else {
                    a.convert(Convert::IntToFloat(ty, Float::F32), x)
                };
                narrow::round(a, self.to, self.saturate, self.rounding, value)
            }
            (Form::Float(Float::F32), Form::Float(Float::F64)) => a.convert(Convert::F32ToF64, x),
            (Form::Float(Float::F64), Form::Float(Float::F64)) => x,
            (Form::Float(Float::F64), Form::Float(Float::F32)) if self.to == DType::F32 => {
                a.convert(Convert::F64ToF32, x)
            }
            (Form::Float(f), Form::Float(Float::F32)) => {
                if self.from == self.to && !self.saturate && self.to != DType::F8E8M0 {
                    return Ok(x);
                }
                let value = match f {
                    Float::F32 => x,
                    Float::F64 => {
                        let odd = narrow::f64_to_odd(a, x);
                        if self.to == DType::F8E8M0 { beyond_powers(a, x, odd) } else { odd }
                    }
                };
                narrow::round(a, self.to, self.saturate, self.rounding, value)
            }
            (Form::Float(f), Form::Int(ty)) => self.float_to_int(a, f, ty, x),
            (Form::Int(source), Form::Int(target)) => {
                let x = if self.saturate { self.clamp_source(a, source, x) } else { x };
                let resized = resize(a, source, target, x);
                wrap(a, self.to, resized)
            }
        })
    }

    fn float_to_int<A: Arith>(self, a: &mut A, f: Float, ty: Int, x: A::Value) -> A::Value {
        let (lo, hi) = limits(self.to);
        if self.saturate {
            // The conversion clamps to 32 or 64 bits, narrower ranges lie within.
            let signed_ok = self.to.bits() < 32;
            let through = if signed_ok { Int::S32 } else { ty };
            let whole = a.to_int(f, through, x);
            if !signed_ok {
                return whole;
            }
            let (lo, hi) = (a.i32(lo as i32), a.i32(hi as i32));
            let above = a.int2(IntOp::Max, Int::S32, whole, lo);
            return a.int2(IntOp::Min, Int::S32, above, hi);
        }
        if self.to == DType::U64 {
            let (signed, unsigned) = (a.to_int(f, Int::S64, x), a.to_int(f, Int::U64, x));
            let zero = a.float(f, 0.0);
            let positive = a.fcmp(Relation::Ge, f, x, zero);
            return a.select(Width::B64, positive, unsigned, signed);
        }
        if self.to == DType::I64 {
            return a.to_int(f, Int::S64, x);
        }
        // What NaN becomes has no low bits.
        let whole = a.convert(Convert::FloatToInt(f, Int::S64), x);
        let low = a.convert(Convert::Low, whole);
        wrap(a, self.to, low)
    }

    /// 0 or 1 within a range that may not have 1.
    fn clamp<A: Arith>(self, a: &mut A, condition: A::Value, whole: A::Value) -> A::Value {
        let (_, hi) = limits(self.to);
        if hi >= 1 {
            return whole;
        }
        let (width, hi) = (Width::B32, a.i32(hi as i32));
        let zero = a.u32(0);
        a.select(width, condition, hi, zero)
    }

    /// An integer taken into the range of the target, in its own format.
    fn clamp_source<A: Arith>(self, a: &mut A, source: Int, x: A::Value) -> A::Value {
        let ((from_lo, from_hi), (lo, hi)) = (limits(self.from), limits(self.to));
        let x = if lo > from_lo {
            let lo = a.int(source, lo as i64);
            a.int2(IntOp::Max, source, x, lo)
        } else {
            x
        };
        if hi < from_hi {
            let hi = a.int(source, hi as i64);
            a.int2(IntOp::Min, source, x, hi)
        } else {
            x
        }
    }
}

/// What is beyond all powers of two that f32 has is infinite; rounding to odd makes it the largest number.
fn beyond_powers<A: Arith>(a: &mut A, x: A::Value, odd: A::Value) -> A::Value {
    let size = a.abs(Float::F64, x);
    let limit = a.float(Float::F64, 2f64.powi(128));
    let over = a.fcmp(Relation::Ge, Float::F64, size, limit);
    let infinity = a.f32(f32::INFINITY);
    a.select(Width::B32, over, infinity, odd)
}

/// The same bits as another dtype of equal width; NaN gives its canonical ones.
pub fn bitcast<A: Arith>(a: &mut A, from: DType, to: DType, x: A::Value) -> Result<A::Value, Error> {
    let bits = register_bits(a, from, x)?;
    from_register_bits(a, to, bits)
}

/// The bits of a value as in memory, zeros above; NaN canonical.
pub(crate) fn register_bits<A: Arith>(a: &mut A, dtype: DType, x: A::Value) -> Result<A::Value, Error> {
    Ok(match (Form::of(dtype)?, dtype.bits()) {
        (Form::Pred, _) => {
            let (yes, no) = (a.u32(1), a.u32(0));
            a.select(Width::B32, x, yes, no)
        }
        (Form::Int(_), 32 | 64) => x,
        (Form::Int(_), bits) => {
            let mask = a.u32((1 << bits) - 1);
            a.and(Width::B32, x, mask)
        }
        (Form::Float(f), bits) => {
            let pattern = narrow::to_bits(a, dtype, x);
            match dtype {
                DType::F32 | DType::F64 | DType::F16 | DType::BF16 => {
                    let canonical = match (dtype, bits) {
                        (DType::F16, _) => a.u32(0x7E00),
                        (DType::BF16, _) => a.u32(0x7FC0),
                        _ => a.constant(f.width(), f.nan()),
                    };
                    let nan = a.is_nan(f, x);
                    a.select(f.width(), nan, canonical, pattern)
                }
                _ => pattern,
            }
        }
    })
}

/// The value of bits as in memory, zeros above.
pub(crate) fn from_register_bits<A: Arith>(a: &mut A, dtype: DType, bits: A::Value) -> Result<A::Value, Error> {
    Ok(match Form::of(dtype)? {
        Form::Pred => {
            let zero = a.u32(0);
            a.icmp(Relation::Ne, Int::U32, bits, zero)
        }
        Form::Int(_) if dtype.class() == Class::Signed => wrap(a, dtype, bits),
        Form::Int(_) => bits,
        Form::Float(_) => narrow::from_bits(a, dtype, bits),
    })
}

/// Between 32 and 64 bits; the target's narrow widths are not looked at.
pub(crate) fn resize<A: Arith>(a: &mut A, from: Int, to: Int, x: A::Value) -> A::Value {
    match (from.width(), to.width()) {
        (Width::B32, Width::B64) if from.is_signed() => a.convert(Convert::ExtendSigned, x),
        (Width::B32, Width::B64) => a.convert(Convert::ExtendZero, x),
        (Width::B64, Width::B32) => a.convert(Convert::Low, x),
        _ => x,
    }
}

/// The least and greatest value of an integer dtype.
fn limits(dtype: DType) -> (i128, i128) {
    let bits = dtype.bits().max(1);
    match dtype.class() {
        Class::Signed => (-(1i128 << (bits - 1)), (1i128 << (bits - 1)) - 1),
        Class::Unsigned | Class::Bool | Class::Float | Class::Str => (0, (1i128 << bits) - 1),
    }
}
