//! What a warp does together, where there is no form for it.

use super::{operand, reg, regs};
use crate::builder::{Builder, FULL_MASK};
use crate::form::Form;
use crate::inst::{Base, Inst, Operand, Reg, Special};
use crate::table::Op;
use crate::target::Sm;
use crate::token::{Atomic, Cmp, Modifier, NanMode, Shuffle, Space, Trans, Type};

/// Five exchanges, each over twice the distance of the next; for all lanes only.
pub(super) fn redux(b: &mut Builder, inst: &Inst, _: Sm) -> Option<()> {
    let combine: fn(&mut Builder, &Inst, Reg, Reg) -> Option<Reg> = match inst.form.op {
        Op::Redux | Op::ReduxLogic => combine_integers,
        Op::ReduxFloat => combine_floats,
        _ => return None,
    };
    (inst.operands.get(2) == Some(&Operand::Imm(u64::from(FULL_MASK)))).then_some(())?;
    let mut value = reg(inst, 1)?;
    for distance in [16_u32, 8, 4, 2, 1] {
        let other = b.shfl(Shuffle::Bfly, value, distance);
        value = combine(b, inst, value, other)?;
    }
    b.emit(Form::new(Op::Mov, Type::B32), [operand(inst, 0)?, value.into()]);
    Some(())
}

fn combine_integers(b: &mut Builder, inst: &Inst, x: Reg, y: Reg) -> Option<Reg> {
    let (Modifier::Atomic(op), ty) = (inst.form.modifier(0)?, inst.form.modifier(1)) else { return None };
    let ty = if let Some(Modifier::Type(ty)) = ty { ty } else { Type::B32 };
    Some(match op {
        Atomic::Add => b.add(ty, x, y),
        Atomic::Min => b.min(ty, x, y),
        Atomic::Max => b.max(ty, x, y),
        Atomic::And => b.and(ty, x, y),
        Atomic::Or => b.or(ty, x, y),
        Atomic::Xor => b.xor(ty, x, y),
        Atomic::Inc | Atomic::Dec => return None,
    })
}

fn combine_floats(b: &mut Builder, inst: &Inst, x: Reg, y: Reg) -> Option<Reg> {
    let nan = inst.form.modifier(1) == Some(NanMode::Nan.into());
    Some(match (inst.form.modifier(0)?, nan) {
        (Modifier::Atomic(Atomic::Min), false) => b.min(Type::F32, x, y),
        (Modifier::Atomic(Atomic::Min), true) => b.min_nan(Type::F32, x, y),
        (Modifier::Atomic(Atomic::Max), false) => b.max(Type::F32, x, y),
        (Modifier::Atomic(Atomic::Max), true) => b.max_nan(Type::F32, x, y),
        _ => return None,
    })
}

/// Any lane will do: the first, where all lanes are there.
pub(super) fn elect(b: &mut Builder, inst: &Inst, _: Sm) -> Option<()> {
    (inst.form.op == Op::Elect).then_some(())?;
    (inst.operands.get(2) == Some(&Operand::Imm(u64::from(FULL_MASK)))).then_some(())?;
    let lane = b.special(Special::Laneid);
    if let Some(first) = reg(inst, 0) {
        b.mov_to(Type::B32, first, 0_u32);
    }
    if let Some(pred) = reg(inst, 1) {
        b.emit(Form::new(Op::Setp, (Cmp::Eq, Type::U32)), [pred.into(), lane.into(), 0_u32.into()]);
    }
    Some(())
}

/// Lane l has elements 2 (l mod 4) and the next of row l / 4 (or of that column); the addresses of a matrix's rows come from eight
/// lanes.
pub(super) fn stmatrix(b: &mut Builder, inst: &Inst, _: Sm) -> Option<()> {
    (inst.form.op == Op::StMatrix).then_some(())?;
    let Operand::Address(address) = operand(inst, 0)? else { return None };
    let values = regs(inst, 1)?;
    let base = match address.base {
        Base::Reg(base) => base,
        Base::Variable(variable) => b.mov(Type::U32, variable),
        Base::Param(_) => return None,
    };
    let rows = b.add(Type::U32, base, Operand::Imm(address.offset.cast_unsigned()));
    let lane = b.special(Special::Laneid);
    let (quad, within) = (b.shr(Type::U32, lane, 2_u32), b.and(Type::B32, lane, 3_u32));
    let transposed = inst.form.modifier(1) == Some(Trans::Trans.into());
    for (matrix, value) in (0_u32..).zip(values) {
        if transposed {
            let first = b.mad(Type::U32, within, 2_u32, matrix * 8);
            for (side, half) in (0_u32..).zip(b.unpack(*value)) {
                let from = b.add(Type::U32, first, side);
                let row = b.shfl(Shuffle::Idx, rows, from);
                let at = b.mad(Type::U32, quad, 2_u32, row);
                b.st(Space::Shared, Type::B16, at, half);
            }
        } else {
            let from = b.add(Type::U32, quad, matrix * 8);
            let row = b.shfl(Shuffle::Idx, rows, from);
            let at = b.mad(Type::U32, within, 4_u32, row);
            b.st(Space::Shared, Type::B32, at, *value);
        }
    }
    Some(())
}

/// Without the hint of a wait; callers ask again anyway.
pub(super) fn try_parity(b: &mut Builder, inst: &Inst, _: Sm) -> Option<()> {
    matches!(inst.form.op, Op::MbarrierTryParity | Op::MbarrierTryParityFor).then_some(())?;
    b.emit(Form::new(Op::MbarrierTestParity, ()), [operand(inst, 0)?, operand(inst, 1)?, operand(inst, 2)?]);
    Some(())
}

/// Before sm_90 a kernel begins when those before it have ended.
pub(super) fn dependent_launch(_: &mut Builder, inst: &Inst, _: Sm) -> Option<()> {
    matches!(inst.form.op, Op::DependencyWait | Op::DependencyLaunch).then_some(())
}
