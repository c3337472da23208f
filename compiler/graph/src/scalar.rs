//! One element as a value: its dtype and its bit pattern, and the two number classes arithmetic runs in.
//!
//! Every float format up to 64 bits is exact in `f64`, every integer format fits `i64` (u64 by its bits). [`Num`] is that
//! working form; [`Scalar`] is the stored one. Conversions between narrow floats live in [`crate::narrow`].

use crate::dtype::{Class, DType};
use crate::narrow;

/// A typed element by its bit pattern; unused high bits are zero, so equality is bit equality.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scalar {
    pub dtype: DType,
    pub bits: u64,
}

/// The working form of an element in arithmetic.
#[derive(Clone, Copy, Debug)]
pub enum Num {
    F(f64),
    /// Signed values sign-extended, unsigned ones zero-extended (u64 by its bits), bool 0 or 1.
    I(i64),
}

impl Num {
    /// The value as a float, whatever its class; u64 must go through [`Scalar::as_f64`].
    pub fn as_f64(self) -> f64 {
        match self {
            Num::F(v) => v,
            Num::I(v) => v as f64,
        }
    }

    /// The value as an integer, floats truncated and saturated.
    pub fn as_i64(self) -> i64 {
        match self {
            Num::F(v) => v as i64,
            Num::I(v) => v,
        }
    }
}

impl Scalar {
    /// The element of `dtype` nearest to a float (round half to even, overflow to infinity where the format has one).
    /// Integers truncate and saturate; bool is `value != 0`.
    pub fn from_f64(dtype: DType, value: f64) -> Scalar {
        let bits = match dtype.class() {
            Class::Float => narrow::encode(dtype, value, false),
            Class::Signed => value as i64 as u64,
            Class::Unsigned => value as u64,
            Class::Bool => u64::from(value != 0.0),
            Class::Str => 0,
        };
        Scalar { dtype, bits: mask(dtype, bits) }
    }

    /// The element of `dtype` for an integer: wrapped to the width, or converted to the nearest float.
    pub fn from_i64(dtype: DType, value: i64) -> Scalar {
        let bits = match dtype.class() {
            Class::Float => narrow::encode(dtype, value as f64, false),
            Class::Signed | Class::Unsigned => value as u64,
            Class::Bool => u64::from(value != 0),
            Class::Str => 0,
        };
        Scalar { dtype, bits: mask(dtype, bits) }
    }

    /// The element of `dtype` for a number in its class's working form.
    pub fn from_num(dtype: DType, value: Num) -> Scalar {
        match value {
            Num::F(v) => Scalar::from_f64(dtype, v),
            Num::I(v) => Scalar::from_i64(dtype, v),
        }
    }

    /// True or false.
    pub fn bool(value: bool) -> Scalar {
        Scalar { dtype: DType::Bool, bits: u64::from(value) }
    }

    /// A float of 32 bits.
    pub fn f32(value: f32) -> Scalar {
        Scalar { dtype: DType::F32, bits: u64::from(value.to_bits()) }
    }

    /// An integer of 64 bits.
    pub fn i64(value: i64) -> Scalar {
        Scalar { dtype: DType::I64, bits: value as u64 }
    }

    /// Zero of a dtype.
    pub fn zero(dtype: DType) -> Scalar {
        Scalar::from_i64(dtype, 0)
    }

    /// The lowest value: -infinity where the format has it, else the lowest finite one.
    pub fn lowest(dtype: DType) -> Scalar {
        match dtype.class() {
            Class::Float => Scalar::from_f64(dtype, f64::NEG_INFINITY),
            Class::Signed => Scalar { dtype, bits: mask(dtype, 1u64 << (dtype.bits() - 1)) },
            Class::Unsigned | Class::Bool | Class::Str => Scalar { dtype, bits: 0 },
        }
    }

    /// The highest value: infinity where the format has it, else the highest finite one.
    pub fn highest(dtype: DType) -> Scalar {
        match dtype.class() {
            Class::Float => Scalar::from_f64(dtype, f64::INFINITY),
            Class::Signed => Scalar { dtype, bits: mask(dtype, (1u64 << (dtype.bits() - 1)) - 1) },
            Class::Unsigned => Scalar { dtype, bits: mask(dtype, u64::MAX) },
            Class::Bool => Scalar::bool(true),
            Class::Str => Scalar { dtype, bits: 0 },
        }
    }

    /// The working form.
    pub fn num(self) -> Num {
        match self.dtype.class() {
            Class::Float => Num::F(narrow::decode(self.dtype, self.bits)),
            Class::Signed => {
                let shift = 64 - self.dtype.bits();
                Num::I(((self.bits << shift) as i64) >> shift)
            }
            Class::Unsigned | Class::Bool | Class::Str => Num::I(self.bits as i64),
        }
    }

    /// The value as a float; exact for every float format and for integers up to 53 bits.
    pub fn as_f64(self) -> f64 {
        match self.dtype {
            DType::U64 => self.bits as f64,
            _ => self.num().as_f64(),
        }
    }

    /// The value as an integer, floats truncated and saturated.
    pub fn as_i64(self) -> i64 {
        self.num().as_i64()
    }
}

fn mask(dtype: DType, bits: u64) -> u64 {
    match dtype.bits() {
        0 => 0,
        64 => bits,
        width => bits & ((1u64 << width) - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_wrap_and_sign_extend() {
        assert_eq!(Scalar::from_i64(DType::I8, 200).as_i64(), -56);
        assert_eq!(Scalar::from_i64(DType::U4, 17).as_i64(), 1);
        assert_eq!(Scalar::from_i64(DType::I4, -1).bits, 0xF);
        assert_eq!(Scalar::lowest(DType::I2).as_i64(), -2);
        assert_eq!(Scalar::highest(DType::U64).as_f64(), 18446744073709551615.0);
    }

    #[test]
    fn floats_round_to_their_format() {
        assert_eq!(Scalar::from_f64(DType::F32, 0.1).as_f64(), f64::from(0.1f32));
        assert_eq!(Scalar::from_f64(DType::F16, 65520.0).as_f64(), f64::INFINITY);
        assert_eq!(Scalar::from_f64(DType::BF16, 1.0 + 1.0 / 256.0).as_f64(), 1.0);
    }
}
