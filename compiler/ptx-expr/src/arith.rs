//! The machine that expressions are written for: values of 32 or 64 bits and predicates, and operations on them.
//!
//! Everything in this crate is a sequence over [`Arith`]: [`crate::host::Host`] runs it, [`crate::machine::Machine`] emits
//! it as PTX, an operation an instruction. So what a test runs on the host is what the GPU executes.
//!
//! Small values stand in 32 bits: bool as a predicate, integers below 32 bits sign or zero extended, floats below 32 bits
//! as the `f32` of the same value, 16-bit patterns in the low half.

use std::fmt::Debug;

/// Width of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Width {
    Pred,
    B32,
    B64,
}

/// Float formats of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Float {
    F32,
    F64,
}

/// Integer formats of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Int {
    S32,
    U32,
    S64,
    U64,
}

/// What a comparison reads its operands as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Number {
    Float(Float),
    Int(Int),
}

/// Comparisons. With NaN only `Ne` holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Relation {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

/// Float operations, correctly rounded, subnormals included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FloatOp {
    Add,
    Sub,
    Mul,
    Div,
    /// Three operands.
    Fma,
    Neg,
    Abs,
    Sqrt,
    /// To an integer, ties to even.
    Rint,
    Floor,
    Ceil,
    Trunc,
}

/// Approximations of the hardware, f32. Hosts compute them more precisely.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Approx {
    /// `2^x`, 2 ULP.
    Ex2,
    /// `log2 x`, 2^-22 relative, absolute near 1.
    Lg2,
    /// 2^-11 relative.
    Tanh,
    /// 2^-20.5 absolute on -π..=π.
    Sin,
    Cos,
    /// 1 ULP.
    Rcp,
    /// 2 ULP.
    Sqrt,
    Rsqrt,
}

/// Integer operations; they wrap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IntOp {
    Add,
    Sub,
    Mul,
    /// High half of the product.
    MulHigh,
    /// Low half of `a * b + c`; three operands.
    Mad,
    /// 32 bits times 32 bits, in 64.
    MulWide,
    /// Truncated; by zero, any value.
    Div,
    Rem,
    Min,
    Max,
    /// By 0 to all bits, unsigned 32-bit amount; more shifts everything out.
    Shl,
    /// As `Shl`, with copies of the sign if signed.
    Shr,
}

/// Operations on bits, of any width but for the last three.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BitOp {
    And,
    Or,
    Xor,
    Not,
    /// Count of ones, in 32 bits.
    Ones,
    /// Count of zeros above the highest one, in 32 bits.
    LeadingZeros,
}

/// Conversions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Convert {
    F32ToF64,
    F64ToF32,
    /// Rounded toward zero.
    F64ToF32ToZero,
    /// To nearest, ties to even.
    IntToFloat(Int, Float),
    /// To f32, rounded toward zero.
    IntToF32ToZero(Int),
    /// Truncated and clamped. NaN: 0 from f32 to 32 bits, else only the highest bit.
    FloatToInt(Float, Int),
    /// 32 bits to 64, with copies of the sign.
    ExtendSigned,
    /// 32 bits to 64, with zeros.
    ExtendZero,
    /// The low 32 of 64 bits.
    Low,
    /// The high 32 of 64 bits.
    High,
    /// Low and high halves to 64 bits.
    Pack,
    /// So many low bits of 32, sign extended.
    SignExtend(u8),
    /// The pattern in the low 16 bits.
    F16ToF32,
    /// To a pattern in the low 16 bits.
    F32ToF16,
    /// To a pattern in the low 16 bits; see [`Feature::Bf16`].
    F32ToBf16,
}

/// One operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Op {
    Float(FloatOp, Float),
    Approx(Approx),
    Int(IntOp, Int),
    Bits(BitOp, Width),
    Compare(Relation, Number),
    /// Predicate, value if true, value if false; not for predicates.
    Select(Width),
    Convert(Convert),
    /// `a * b + c` of f16 patterns.
    FmaF16,
    /// `a * b + c` of bf16 patterns; see [`Feature::Bf16`].
    FmaBf16,
}

/// What not every target has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Feature {
    /// Conversion to bf16 and fma of it.
    Bf16,
}

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

impl Float {
    pub fn width(self) -> Width {
        match self {
            Float::F32 => Width::B32,
            Float::F64 => Width::B64,
        }
    }

    /// The integers of the same width.
    pub fn signed(self) -> Int {
        match self {
            Float::F32 => Int::S32,
            Float::F64 => Int::S64,
        }
    }

    /// Bits of the fraction.
    pub fn fraction(self) -> u32 {
        match self {
            Float::F32 => 23,
            Float::F64 => 52,
        }
    }

    /// What the exponent field holds for 1.0.
    pub fn bias(self) -> i64 {
        match self {
            Float::F32 => 127,
            Float::F64 => 1023,
        }
    }

    /// The sign bit.
    pub fn sign(self) -> u64 {
        match self {
            Float::F32 => 1 << 31,
            Float::F64 => 1 << 63,
        }
    }

    /// The canonical NaN.
    pub fn nan(self) -> u64 {
        match self {
            Float::F32 => u64::from(f32::NAN.to_bits()),
            Float::F64 => f64::NAN.to_bits(),
        }
    }
}

impl Int {
    pub fn width(self) -> Width {
        match self {
            Int::S32 | Int::U32 => Width::B32,
            Int::S64 | Int::U64 => Width::B64,
        }
    }

    pub fn is_signed(self) -> bool {
        matches!(self, Int::S32 | Int::S64)
    }
}

impl Number {
    pub fn width(self) -> Width {
        match self {
            Number::Float(f) => f.width(),
            Number::Int(ty) => ty.width(),
        }
    }
}

impl Op {
    /// Width of the result.
    pub fn result(self) -> Width {
        match self {
            Op::Float(_, f) => f.width(),
            Op::Approx(_) | Op::FmaF16 | Op::FmaBf16 => Width::B32,
            Op::Int(IntOp::MulWide, _) => Width::B64,
            Op::Int(_, ty) => ty.width(),
            Op::Bits(BitOp::Ones | BitOp::LeadingZeros, _) => Width::B32,
            Op::Bits(_, width) | Op::Select(width) => width,
            Op::Compare(..) => Width::Pred,
            Op::Convert(convert) => convert.result(),
        }
    }
}

impl Convert {
    /// Width of the result.
    pub fn result(self) -> Width {
        match self {
            Convert::IntToFloat(_, f) => f.width(),
            Convert::FloatToInt(_, ty) => ty.width(),
            Convert::F32ToF64 | Convert::ExtendSigned | Convert::ExtendZero | Convert::Pack => Width::B64,
            Convert::F64ToF32
            | Convert::F64ToF32ToZero
            | Convert::IntToF32ToZero(_)
            | Convert::Low
            | Convert::High
            | Convert::SignExtend(_)
            | Convert::F16ToF32
            | Convert::F32ToF16
            | Convert::F32ToBf16 => Width::B32,
        }
    }
}
