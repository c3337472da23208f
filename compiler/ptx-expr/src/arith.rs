//! The machine that expressions are written for: values of 32 or 64 bits and predicates, and operations on them.
//!
//! Everything in this crate is a sequence over [`Arith`]: [`crate::host::Host`] runs it, [`crate::machine::Machine`] emits
//! it as PTX, an operation an instruction. So what a test runs on the host is what the GPU executes.
//!
//! Small values stand in 32 bits: bool as a predicate, integers below 32 bits sign or zero extended, floats below 32 bits
//! as the `f32` of the same value, 16-bit patterns in the low half.

use std::fmt::Debug;

use crate::op::{BitOp, Convert, Feature, Float, FloatOp, Int, IntOp, Number, Op, Relation, Width};

/// Whatever a sequence is run on.
pub trait Arith: Sized {
    type Value: Copy + Debug + PartialEq;

    /// A constant by its bits.
    fn constant(&mut self, width: Width, bits: u64) -> Self::Value;

    /// The bits of a value that is a constant to whoever emits.
    fn known(&self, value: Self::Value) -> Option<u64>;

    /// The result of an operation.
    fn apply(&mut self, op: Op, args: &[Self::Value]) -> Self::Value;

    /// What `body` yields where the condition holds, else `otherwise`. Rarely taken ways go here; a `body` must not be
    /// counted on to run.
    fn when(
        &mut self,
        condition: Self::Value,
        otherwise: &[Self::Value],
        body: impl FnOnce(&mut Self) -> Vec<Self::Value>,
    ) -> Vec<Self::Value>;

    /// Starts with `start`; the body yields the next values and whether there is another turn. There is always a first.
    fn iterate(
        &mut self,
        start: &[Self::Value],
        body: impl FnMut(&mut Self, &[Self::Value]) -> (Vec<Self::Value>, Self::Value),
    ) -> Vec<Self::Value>;

    /// Whether the target has this.
    fn has(&self, feature: Feature) -> bool;

    fn bool(&mut self, value: bool) -> Self::Value {
        self.constant(Width::Pred, u64::from(value))
    }

    fn u32(&mut self, value: u32) -> Self::Value {
        self.constant(Width::B32, u64::from(value))
    }

    fn i32(&mut self, value: i32) -> Self::Value {
        self.u32(value as u32)
    }

    fn u64(&mut self, value: u64) -> Self::Value {
        self.constant(Width::B64, value)
    }

    fn i64(&mut self, value: i64) -> Self::Value {
        self.u64(value as u64)
    }

    fn f32(&mut self, value: f32) -> Self::Value {
        self.u32(value.to_bits())
    }

    /// A float constant, rounded to the format.
    fn float(&mut self, f: Float, value: f64) -> Self::Value {
        match f {
            Float::F32 => self.f32(value as f32),
            Float::F64 => self.u64(value.to_bits()),
        }
    }

    /// A constant integer of the width of the format.
    fn int(&mut self, ty: Int, value: i64) -> Self::Value {
        match ty.width() {
            Width::B64 => self.i64(value),
            Width::B32 | Width::Pred => self.u32(value as u32),
        }
    }

    fn float1(&mut self, op: FloatOp, f: Float, x: Self::Value) -> Self::Value {
        self.apply(Op::Float(op, f), &[x])
    }

    fn float2(&mut self, op: FloatOp, f: Float, x: Self::Value, y: Self::Value) -> Self::Value {
        self.apply(Op::Float(op, f), &[x, y])
    }

    fn add(&mut self, f: Float, x: Self::Value, y: Self::Value) -> Self::Value {
        self.float2(FloatOp::Add, f, x, y)
    }

    fn sub(&mut self, f: Float, x: Self::Value, y: Self::Value) -> Self::Value {
        self.float2(FloatOp::Sub, f, x, y)
    }

    fn mul(&mut self, f: Float, x: Self::Value, y: Self::Value) -> Self::Value {
        self.float2(FloatOp::Mul, f, x, y)
    }

    fn div(&mut self, f: Float, x: Self::Value, y: Self::Value) -> Self::Value {
        self.float2(FloatOp::Div, f, x, y)
    }

    /// `x * y + z`, rounded once.
    fn fma(&mut self, f: Float, x: Self::Value, y: Self::Value, z: Self::Value) -> Self::Value {
        self.apply(Op::Float(FloatOp::Fma, f), &[x, y, z])
    }

    fn neg(&mut self, f: Float, x: Self::Value) -> Self::Value {
        self.float1(FloatOp::Neg, f, x)
    }

    fn abs(&mut self, f: Float, x: Self::Value) -> Self::Value {
        self.float1(FloatOp::Abs, f, x)
    }

    fn sqrt(&mut self, f: Float, x: Self::Value) -> Self::Value {
        self.float1(FloatOp::Sqrt, f, x)
    }

    fn int2(&mut self, op: IntOp, ty: Int, x: Self::Value, y: Self::Value) -> Self::Value {
        self.apply(Op::Int(op, ty), &[x, y])
    }

    fn and(&mut self, width: Width, x: Self::Value, y: Self::Value) -> Self::Value {
        self.apply(Op::Bits(BitOp::And, width), &[x, y])
    }

    fn or(&mut self, width: Width, x: Self::Value, y: Self::Value) -> Self::Value {
        self.apply(Op::Bits(BitOp::Or, width), &[x, y])
    }

    fn xor(&mut self, width: Width, x: Self::Value, y: Self::Value) -> Self::Value {
        self.apply(Op::Bits(BitOp::Xor, width), &[x, y])
    }

    fn not(&mut self, width: Width, x: Self::Value) -> Self::Value {
        self.apply(Op::Bits(BitOp::Not, width), &[x])
    }

    fn compare(&mut self, relation: Relation, number: Number, x: Self::Value, y: Self::Value) -> Self::Value {
        self.apply(Op::Compare(relation, number), &[x, y])
    }

    /// A comparison of floats.
    fn fcmp(&mut self, relation: Relation, f: Float, x: Self::Value, y: Self::Value) -> Self::Value {
        self.compare(relation, Number::Float(f), x, y)
    }

    /// A comparison of integers.
    fn icmp(&mut self, relation: Relation, ty: Int, x: Self::Value, y: Self::Value) -> Self::Value {
        self.compare(relation, Number::Int(ty), x, y)
    }

    fn is_nan(&mut self, f: Float, x: Self::Value) -> Self::Value {
        self.fcmp(Relation::Ne, f, x, x)
    }

    /// One of two values; of predicates too.
    fn select(&mut self, width: Width, c: Self::Value, x: Self::Value, y: Self::Value) -> Self::Value {
        match width {
            Width::B32 | Width::B64 => self.apply(Op::Select(width), &[c, x, y]),
            Width::Pred => {
                let yes = self.and(width, c, x);
                let not = self.not(width, c);
                let no = self.and(width, not, y);
                self.or(width, yes, no)
            }
        }
    }

    fn convert(&mut self, convert: Convert, x: Self::Value) -> Self::Value {
        self.apply(Op::Convert(convert), &[x])
    }

    /// Truncated to an integer, clamped; NaN is 0.
    fn to_int(&mut self, f: Float, ty: Int, x: Self::Value) -> Self::Value {
        let whole = self.convert(Convert::FloatToInt(f, ty), x);
        if f == Float::F32 && ty.width() == Width::B32 {
            return whole;
        }
        let nan = self.is_nan(f, x);
        let zero = self.int(ty, 0);
        self.select(ty.width(), nan, zero, whole)
    }

    /// `x` with the sign of `y`.
    fn copysign(&mut self, f: Float, x: Self::Value, y: Self::Value) -> Self::Value {
        let width = f.width();
        let sign = self.constant(width, f.sign());
        let sign = self.and(width, y, sign);
        let size = self.abs(f, x);
        self.or(width, size, sign)
    }

    /// `c[0] + c[1] x + c[2] x^2 …` by Horner's rule.
    fn poly(&mut self, f: Float, x: Self::Value, c: &[f64]) -> Self::Value {
        let mut terms = c.iter().rev();
        let mut sum = match terms.next() {
            Some(highest) => self.float(f, *highest),
            None => return self.float(f, 0.0),
        };
        for term in terms {
            let term = self.float(f, *term);
            sum = self.fma(f, sum, x, term);
        }
        sum
    }
}
