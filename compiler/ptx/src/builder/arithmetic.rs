//! Arithmetic by type: one helper for what has a row for integers, one for floats, one for halves.

use super::Builder;
use crate::form::Form;
use crate::inst::{Operand, Reg, Special};
use crate::table::Op;
use crate::token::{Cmp, Ftz, Meaning, Relu, Round, Type};

/// Rows of one operation: integers, f32 and f64, f16, bf16.
struct Family {
    int: Op,
    float: Op,
    half: Op,
    bhalf: Op,
    /// Whether the row for floats has a rounding.
    rounded: bool,
}

impl Family {
    fn form(&self, ty: Type) -> Form {
        match (ty, ty.meaning()) {
            (Type::Bf16 | Type::Bf16x2, _) => Form::new(self.bhalf, ty),
            (Type::F16 | Type::F16x2, _) => Form::new(self.half, ty),
            (_, Meaning::Float | Meaning::Pair) if self.rounded => Form::new(self.float, (Round::Rn, ty)),
            (_, Meaning::Float | Meaning::Pair) => Form::new(self.float, ty),
            (_, Meaning::Truth | Meaning::Bits | Meaning::Unsigned | Meaning::Signed) => Form::new(self.int, ty),
        }
    }
}

const ADD: Family = Family { int: Op::Add, float: Op::AddFloat, half: Op::AddHalf, bhalf: Op::AddBhalf, rounded: true };
const SUB: Family = Family { int: Op::Sub, float: Op::SubFloat, half: Op::SubHalf, bhalf: Op::SubBhalf, rounded: true };
const MUL: Family =
    Family { int: Op::MulLo, float: Op::MulFloat, half: Op::MulHalf, bhalf: Op::MulBhalf, rounded: true };
const MAD: Family =
    Family { int: Op::MadLo, float: Op::FmaFloat, half: Op::FmaHalf, bhalf: Op::FmaBhalf, rounded: true };
const DIV: Family =
    Family { int: Op::Div, float: Op::DivFloat, half: Op::DivFloat, bhalf: Op::DivFloat, rounded: true };
const MIN: Family = Family { int: Op::Min, float: Op::MinFloat, half: Op::MinHalf, bhalf: Op::MinHalf, rounded: false };
const MAX: Family = Family { int: Op::Max, float: Op::MaxFloat, half: Op::MaxHalf, bhalf: Op::MaxHalf, rounded: false };
const ABS: Family =
    Family { int: Op::Abs, float: Op::AbsFloat, half: Op::AbsHalf, bhalf: Op::AbsBhalf, rounded: false };
const NEG: Family =
    Family { int: Op::Neg, float: Op::NegFloat, half: Op::NegHalf, bhalf: Op::NegBhalf, rounded: false };

/// Helpers `name(ty, a, b) -> Reg` of a family.
macro_rules! binary {
    ($($(#[$doc:meta])* $name:ident $family:ident)*) => {
        impl Builder {$(
            $(#[$doc])*
            pub fn $name(&mut self, ty: Type, a: impl Into<Operand>, b: impl Into<Operand>) -> Reg {
                self.value($family.form(ty), [a.into(), b.into()])
            }
        )*}
    };
}

binary! {
    add ADD
    sub SUB
    /// The low half for integers.
    mul MUL
    /// For floats the correctly rounded quotient; integers by zero are the caller's care.
    div DIV
    /// For floats, a number wins over NaN.
    min MIN
    /// For floats, a number wins over NaN.
    max MAX
}

/// Helpers for rows with a type in slot 0 and two operands.
macro_rules! typed {
    ($($(#[$doc:meta])* $name:ident $op:ident)*) => {
        impl Builder {$(
            $(#[$doc])*
            pub fn $name(&mut self, ty: Type, a: impl Into<Operand>, b: impl Into<Operand>) -> Reg {
                self.value(Form::new(Op::$op, ty), [a.into(), b.into()])
            }
        )*}
    };
}

typed! {
    mul_hi MulHi
    /// The product in twice the width.
    mul_wide MulWide
    rem Rem
    copysign Copysign
    and And
    or Or
    xor Xor
    shl Shl
    shr Shr
}

/// Helpers for `f32` rows with one operand and a choice of flushing subnormals.
macro_rules! approximate {
    ($($name:ident $op:ident)*) => {
        impl Builder {$(
            pub fn $name(&mut self, ftz: Ftz, a: impl Into<Operand>) -> Reg {
                self.value(Form::new(Op::$op, ftz), [a.into()])
            }
        )*}
    };
}

approximate! {
    rcp_approx RcpApprox
    sqrt_approx SqrtApprox
    rsqrt_approx RsqrtApprox
    ex2_approx Ex2Approx
    lg2_approx Lg2Approx
    sin_approx SinApprox
    cos_approx CosApprox
}

impl Builder {
    /// `a * b + c`: the low half for integers, fused for floats.
    pub fn mad(&mut self, ty: Type, a: impl Into<Operand>, b: impl Into<Operand>, c: impl Into<Operand>) -> Reg {
        self.value(MAD.form(ty), [a.into(), b.into(), c.into()])
    }

    /// `a * b + c` into the register of `c`.
    pub fn accumulate(&mut self, ty: Type, a: impl Into<Operand>, b: impl Into<Operand>, c: Reg) {
        self.emit(MAD.form(ty), [c.into(), a.into(), b.into(), c.into()]);
    }

    /// `a * b + c` with the product and `c` in twice the width of `ty`.
    pub fn mad_wide(&mut self, ty: Type, a: impl Into<Operand>, b: impl Into<Operand>, c: impl Into<Operand>) -> Reg {
        self.value(Form::new(Op::MadWide, ty), [a.into(), b.into(), c.into()])
    }

    pub fn neg(&mut self, ty: Type, a: impl Into<Operand>) -> Reg {
        self.value(NEG.form(ty), [a.into()])
    }

    pub fn abs(&mut self, ty: Type, a: impl Into<Operand>) -> Reg {
        self.value(ABS.form(ty), [a.into()])
    }

    pub fn not(&mut self, ty: Type, a: impl Into<Operand>) -> Reg {
        self.value(Form::new(Op::Not, ty), [a.into()])
    }

    /// The lesser; NaN if either is.
    pub fn min_nan(&mut self, ty: Type, a: impl Into<Operand>, b: impl Into<Operand>) -> Reg {
        self.nan_wins(ty, Op::MinNan, Op::MinNanHalf, &MIN, [a.into(), b.into()])
    }

    /// The greater; NaN if either is.
    pub fn max_nan(&mut self, ty: Type, a: impl Into<Operand>, b: impl Into<Operand>) -> Reg {
        self.nan_wins(ty, Op::MaxNan, Op::MaxNanHalf, &MAX, [a.into(), b.into()])
    }

    fn nan_wins(&mut self, ty: Type, float: Op, half: Op, plain: &Family, [a, b]: [Operand; 2]) -> Reg {
        match ty {
            Type::F32 => self.value(Form::new(float, ()), [a, b]),
            Type::F16 | Type::F16x2 | Type::Bf16 | Type::Bf16x2 => self.value(Form::new(half, ty), [a, b]),
            Type::F64 => {
                // No such form: the sum of two numbers of which one is NaN is NaN.
                let number = self.setp(Cmp::Num, ty, a.clone(), b.clone());
                let best = self.value(plain.form(ty), [a.clone(), b.clone()]);
                let nan = self.add(ty, a, b);
                self.selp(ty, best, nan, number)
            }
            _ => self.value(plain.form(ty), [a, b]),
        }
    }

    /// The correctly rounded reciprocal.
    pub fn rcp(&mut self, ty: Type, a: impl Into<Operand>) -> Reg {
        self.value(Form::new(Op::RcpFloat, (Round::Rn, ty)), [a.into()])
    }

    /// The correctly rounded root.
    pub fn sqrt(&mut self, ty: Type, a: impl Into<Operand>) -> Reg {
        self.value(Form::new(Op::SqrtFloat, (Round::Rn, ty)), [a.into()])
    }

    /// A float rounded to an integer, as a float.
    pub fn round(&mut self, round: Round, ty: Type, a: impl Into<Operand>) -> Reg {
        match ty {
            Type::F16 => self.value(Form::new(Op::RoundHalf, round), [a.into()]),
            _ => self.value(Form::new(Op::RoundFloat, (round, ty)), [a.into()]),
        }
    }

    pub fn tanh_approx(&mut self, a: impl Into<Operand>) -> Reg {
        self.value(Form::new(Op::TanhApprox, ()), [a.into()])
    }

    pub fn div_approx(&mut self, ftz: Ftz, a: impl Into<Operand>, b: impl Into<Operand>) -> Reg {
        self.value(Form::new(Op::DivApprox, ftz), [a.into(), b.into()])
    }

    pub fn popc(&mut self, ty: Type, a: impl Into<Operand>) -> Reg {
        self.value(Form::new(Op::Popc, ty.untyped()), [a.into()])
    }

    pub fn clz(&mut self, ty: Type, a: impl Into<Operand>) -> Reg {
        self.value(Form::new(Op::Clz, ty.untyped()), [a.into()])
    }

    pub fn brev(&mut self, ty: Type, a: impl Into<Operand>) -> Reg {
        self.value(Form::new(Op::Brev, ty.untyped()), [a.into()])
    }

    /// `length` bits of `a` from bit `from`, extended as the type says.
    pub fn bfe(
        &mut self,
        ty: Type,
        a: impl Into<Operand>,
        from: impl Into<Operand>,
        length: impl Into<Operand>,
    ) -> Reg {
        self.value(Form::new(Op::Bfe, ty), [a.into(), from.into(), length.into()])
    }

    /// `base` with `length` bits from bit `to` on replaced by the lowest of `a`.
    pub fn bfi(
        &mut self,
        ty: Type,
        a: impl Into<Operand>,
        base: impl Into<Operand>,
        to: impl Into<Operand>,
        length: impl Into<Operand>,
    ) -> Reg {
        self.value(Form::new(Op::Bfi, ty.untyped()), [a.into(), base.into(), to.into(), length.into()])
    }

    /// Four bytes chosen out of eight.
    pub fn prmt(&mut self, a: impl Into<Operand>, b: impl Into<Operand>, selector: impl Into<Operand>) -> Reg {
        self.value(Form::new(Op::Prmt, ()), [a.into(), b.into(), selector.into()])
    }

    /// Any function of three bits, at each bit; the table is the function of 0xF0, 0xCC and 0xAA.
    pub fn lop3(&mut self, a: impl Into<Operand>, b: impl Into<Operand>, c: impl Into<Operand>, table: u32) -> Reg {
        self.value(Form::new(Op::Lop3, ()), [a.into(), b.into(), c.into(), table.into()])
    }

    /// A copy, a constant, a special register, or the address of a variable, in a new register.
    pub fn mov(&mut self, ty: Type, a: impl Into<Operand>) -> Reg {
        self.value(Form::new(Op::Mov, copied(ty)), [a.into()])
    }

    /// Sets a register.
    pub fn mov_to(&mut self, ty: Type, dst: Reg, a: impl Into<Operand>) {
        self.emit(Form::new(Op::Mov, copied(ty)), [dst.into(), a.into()]);
    }

    pub fn special(&mut self, special: Special) -> Reg {
        self.mov(special.ty(), special)
    }

    /// Two or four registers of 16 bits, or two of 32, as one; the first is lowest.
    pub fn pack(&mut self, parts: &[Reg]) -> Reg {
        self.value(Form::new(pack_op(parts).0, ()), [parts.into()])
    }

    /// The halves of a register, lowest first.
    pub fn unpack(&mut self, whole: Reg) -> Vec<Reg> {
        let op = if whole.class.bits() == 32 { Op::Unpack16 } else { Op::Unpack32 };
        self.values(Form::new(op, ()), [whole.into()])
    }

    /// The four quarters of 64 bits, lowest first.
    pub fn unpack_4x16(&mut self, whole: Reg) -> Vec<Reg> {
        self.values(Form::new(Op::Unpack16x4, ()), [whole.into()])
    }

    pub fn setp(&mut self, cmp: Cmp, ty: Type, a: impl Into<Operand>, b: impl Into<Operand>) -> Reg {
        let form = match (ty, ty.meaning()) {
            (Type::F16, _) => Form::new(Op::SetpHalf, cmp),
            (Type::Bf16, _) => Form::new(Op::SetpBhalf, cmp),
            (_, Meaning::Float | Meaning::Pair) => Form::new(Op::SetpFloat, (cmp, ty)),
            (_, Meaning::Bits) => Form::new(Op::SetpBits, (cmp, ty)),
            (_, Meaning::Truth | Meaning::Unsigned | Meaning::Signed) => Form::new(Op::Setp, (cmp, ty)),
        };
        self.value(form, [a.into(), b.into()])
    }

    /// `a` where the predicate holds, else `b`.
    pub fn selp(&mut self, ty: Type, a: impl Into<Operand>, b: impl Into<Operand>, pred: Reg) -> Reg {
        self.value(Form::new(Op::Selp, copied(ty)), [a.into(), b.into(), pred.into()])
    }

    /// A conversion as a cast has it: to nearest even into floats, towards zero and clamped into integers from floats, cut or
    /// extended between integers. Halves are widened through `f32` where there is no direct way.
    pub fn cvt(&mut self, to: Type, from: Type, a: impl Into<Operand>) -> Reg {
        let integer_from_float = from.is_float() && !to.is_float();
        self.cvt_round(if integer_from_float { Round::Rzi } else { Round::Rn }, to, from, a)
    }

    pub fn cvt_round(&mut self, round: Round, to: Type, from: Type, a: impl Into<Operand>) -> Reg {
        use Type::{Bf16, F16, F32, F64, Tf32};
        let a = a.into();
        let form = match (to, from) {
            (F16, F32 | F64) => Form::new(Op::CvtFloatToHalf, (round, from)),
            (F32 | F64, F16) => Form::new(Op::CvtHalfToFloat, to),
            (Bf16, F32) => Form::new(Op::CvtF32ToBf16, (round, Relu::No)),
            (F32, Bf16) => Form::new(Op::CvtBf16ToF32, ()),
            (Tf32, F32) => Form::new(Op::CvtF32ToTf32, ()),
            (F64, F32) => Form::new(Op::CvtF32ToF64, ()),
            (F32, F64) => Form::new(Op::CvtF64ToF32, round),
            (F64, Bf16) | (F16, Bf16) | (Bf16, F16) => {
                let wide = self.cvt_round(round, F32, from, a);
                return self.cvt_round(round, to, F32, wide);
            }
            (F16 | F32 | F64, _) if !from.is_float() => Form::new(Op::CvtIntToFloat, (round, to, from)),
            (Bf16, _) if !from.is_float() => Form::new(Op::CvtIntToBf16, (round, from)),
            (_, F32 | F64) => Form::new(Op::CvtFloatToInt, (round, to, from)),
            (_, F16) => Form::new(Op::CvtHalfToInt, (round, to)),
            (_, Bf16) => Form::new(Op::CvtBf16ToInt, (round, to)),
            _ => Form::new(Op::CvtInt, (to, from)),
        };
        self.value(form, [a])
    }

    /// Two floats as a pair of halves; `low` in the lower half.
    pub fn cvt_pair(&mut self, to: Type, low: impl Into<Operand>, high: impl Into<Operand>) -> Reg {
        self.value(Form::new(Op::CvtF32ToPair, (Round::Rn, Relu::No, to)), [high.into(), low.into()])
    }

    /// `ctaid.x * ntid.x + tid.x`.
    pub fn thread_index(&mut self) -> Reg {
        self.mad(Type::U32, Special::CtaidX, Special::NtidX, Special::TidX)
    }
}

/// The type that moves and choices have for values of a type.
const fn copied(ty: Type) -> Type {
    match ty {
        Type::Pred | Type::F32 | Type::F64 => ty,
        _ => match ty.bits() {
            8 => Type::B32,
            16 => match ty {
                Type::U16 | Type::S16 => ty,
                _ => Type::B16,
            },
            32 => match ty {
                Type::U32 | Type::S32 => ty,
                _ => Type::B32,
            },
            _ => ty,
        },
    }
}

fn pack_op(parts: &[Reg]) -> (Op, usize) {
    match parts {
        [first, ..] if first.class.bits() == 32 => (Op::Pack32, 2),
        [_, _, _, _] => (Op::Pack16x4, 4),
        _ => (Op::Pack16, 2),
    }
}
