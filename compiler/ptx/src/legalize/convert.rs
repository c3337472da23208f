//! Conversions: bf16 before sm_90, rounding to bf16 and tf32 before sm_80.

use super::{operand, reg};
use crate::builder::Builder;
use crate::form::Form;
use crate::inst::{Inst, Operand, Reg};
use crate::table::Op;
use crate::target::Sm;
use crate::token::{Cmp, Modifier, Relu, Round, Test, Type};

/// A bf16 is the upper half of an f32.
pub(super) fn bf16_to_f32(b: &mut Builder, inst: &Inst, _: Sm) -> Option<()> {
    (inst.form.op == Op::CvtBf16ToF32).then_some(())?;
    let zero = b.mov(Type::B16, 0_u32);
    b.emit(Form::new(Op::Pack16, ()), [operand(inst, 0)?, [zero, reg(inst, 1)?].into()]);
    Some(())
}

/// Half of the last bit that stays is added, a little less if that bit is even; NaN becomes the one NaN.
pub(super) fn f32_to_bf16(b: &mut Builder, inst: &Inst, _: Sm) -> Option<()> {
    let (Op::CvtF32ToBf16, Some(Modifier::Round(round))) = (inst.form.op, inst.form.modifier(0)) else { return None };
    let mut x = operand(inst, 1)?;
    if inst.form.modifier(1) == Some(Relu::Relu.into()) {
        x = b.max_nan(Type::F32, x, 0.0_f32).into();
    }
    let x = b.mov(Type::B32, x);
    let nan = b.value(Form::new(Op::Testp, (Test::Nan, Type::F32)), [x.into()]);
    let rounded = match round {
        Round::Rn => {
            let odd = b.bfe(Type::U32, x, 16_u32, 1_u32);
            let up = b.add(Type::U32, odd, 0x7FFF_u32);
            b.add(Type::U32, x, up)
        }
        _ => x,
    };
    let halves = b.unpack(rounded);
    let canonical = b.mov(Type::B16, 0x7FFF_u32);
    b.emit(Form::new(Op::Selp, Type::B16), [operand(inst, 0)?, canonical.into(), (*halves.get(1)?).into(), nan.into()]);
    Some(())
}

pub(super) fn f32_to_half_relu(b: &mut Builder, inst: &Inst, _: Sm) -> Option<()> {
    let (Op::CvtF32ToHalfRelu, Some(Modifier::Round(round))) = (inst.form.op, inst.form.modifier(0)) else {
        return None;
    };
    let x = b.max_nan(Type::F32, operand(inst, 1)?, 0.0_f32);
    b.emit(Form::new(Op::CvtFloatToHalf, (round, Type::F32)), [operand(inst, 0)?, x.into()]);
    Some(())
}

pub(super) fn f32_to_pair(b: &mut Builder, inst: &Inst, _: Sm) -> Option<()> {
    let (Op::CvtF32ToPair, Some(Modifier::Round(round))) = (inst.form.op, inst.form.modifier(0)) else { return None };
    let half = match inst.form.modifier(2)? {
        Modifier::Type(Type::F16x2) => Type::F16,
        _ => Type::Bf16,
    };
    let relu = inst.form.modifier(1) == Some(Relu::Relu.into());
    let mut narrow = |at: usize| -> Option<Reg> {
        let mut x = operand(inst, at)?;
        if relu {
            x = b.max_nan(Type::F32, x, 0.0_f32).into();
        }
        Some(b.cvt_round(round, half, Type::F32, x))
    };
    let (high, low) = (narrow(1)?, narrow(2)?);
    b.emit(Form::new(Op::Pack16, ()), [operand(inst, 0)?, [low, high].into()]);
    Some(())
}

/// To nearest, ties away from zero: half of the last bit that stays is added to the magnitude.
pub(super) fn f32_to_tf32(b: &mut Builder, inst: &Inst, _: Sm) -> Option<()> {
    (inst.form.op == Op::CvtF32ToTf32).then_some(())?;
    let x = b.mov(Type::B32, operand(inst, 1)?);
    let nan = b.value(Form::new(Op::Testp, (Test::Nan, Type::F32)), [x.into()]);
    let up = b.add(Type::U32, x, 0x1000_u32);
    let cut = b.and(Type::B32, up, 0xFFFF_E000_u32);
    b.emit(Form::new(Op::Selp, Type::B32), [operand(inst, 0)?, 0x7FFF_FFFF_u32.into(), cut.into(), nan.into()]);
    Some(())
}

/// Through an f32 that is cut, with its last bit set if anything was lost: so the second rounding is as if there were one.
pub(super) fn int_to_bf16(b: &mut Builder, inst: &Inst, _: Sm) -> Option<()> {
    let (Op::CvtIntToBf16, Some(Modifier::Round(round)), Some(Modifier::Type(from))) =
        (inst.form.op, inst.form.modifier(0), inst.form.modifier(1))
    else {
        return None;
    };
    let x = b.mov(from, operand(inst, 1)?);
    let cut = b.cvt_round(Round::Rz, Type::F32, from, x);
    let back = b.cvt(from, Type::F32, cut);
    let lost = b.setp(Cmp::Ne, from, back, x);
    let sticky = b.or(Type::B32, cut, 1_u32);
    let odd = b.selp(Type::B32, sticky, cut, lost);
    b.emit(Form::new(Op::CvtF32ToBf16, (round, Relu::No)), [operand(inst, 0)?, odd.into()]);
    Some(())
}

pub(super) fn bf16_to_int(b: &mut Builder, inst: &Inst, _: Sm) -> Option<()> {
    let (Op::CvtBf16ToInt, Some(Modifier::Round(round)), Some(Modifier::Type(to))) =
        (inst.form.op, inst.form.modifier(0), inst.form.modifier(1))
    else {
        return None;
    };
    let wide: Operand = b.cvt(Type::F32, Type::Bf16, operand(inst, 1)?).into();
    b.emit(Form::new(Op::CvtFloatToInt, (round, to, Type::F32)), [operand(inst, 0)?, wide]);
    Some(())
}
