//! Operations of the machine, as data: what each takes and yields.

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
    /// The lesser; NaN if either is.
    MinNan,
    /// The greater; NaN if either is.
    MaxNan,
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
