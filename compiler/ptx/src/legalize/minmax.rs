//! Minimum and maximum before sm_80.

use super::bf16::each_half;
use super::{operand, reg};
use crate::builder::Builder;
use crate::form::Form;
use crate::inst::{Inst, Reg};
use crate::table::Op;
use crate::target::Sm;
use crate::token::{Cmp, Modifier, Type};

/// The plain form if both are numbers, else their sum, which is NaN.
pub(super) fn nan_wins(b: &mut Builder, inst: &Inst, _: Sm) -> Option<()> {
    let plain = match inst.form.op {
        Op::MinNan => Op::MinFloat,
        Op::MaxNan => Op::MaxFloat,
        _ => return None,
    };
    let (x, y) = (operand(inst, 1)?, operand(inst, 2)?);
    let numbers = b.setp(Cmp::Num, Type::F32, x.clone(), y.clone());
    let best = b.value(Form::new(plain, Type::F32), [x.clone(), y.clone()]);
    let nan = b.add(Type::F32, x, y);
    b.emit(Form::new(Op::Selp, Type::F32), [operand(inst, 0)?, best.into(), nan.into(), numbers.into()]);
    Some(())
}

/// Negative results of an fma become zero, NaN stays.
pub(super) fn relu_of_fma(b: &mut Builder, inst: &Inst, _: Sm) -> Option<()> {
    let (Op::FmaRelu, Some(Modifier::Type(ty))) = (inst.form.op, inst.form.modifier(0)) else { return None };
    let result = b.mad(ty, operand(inst, 1)?, operand(inst, 2)?, operand(inst, 3)?);
    let zero = b.mov(ty.untyped(), 0_u32);
    b.emit(Form::new(Op::MaxNanHalf, ty), [operand(inst, 0)?, result.into(), zero.into()]);
    Some(())
}

/// Halves are exact in f32.
pub(super) fn of_halves(b: &mut Builder, inst: &Inst, _: Sm) -> Option<()> {
    let compute: fn(&mut Builder, &[Reg]) -> Option<Reg> = match inst.form.op {
        Op::MinHalf => |b, s| Some(b.min(Type::F32, *s.first()?, *s.get(1)?)),
        Op::MaxHalf => |b, s| Some(b.max(Type::F32, *s.first()?, *s.get(1)?)),
        Op::MinNanHalf => |b, s| Some(b.min_nan(Type::F32, *s.first()?, *s.get(1)?)),
        Op::MaxNanHalf => |b, s| Some(b.max_nan(Type::F32, *s.first()?, *s.get(1)?)),
        _ => return None,
    };
    let Some(Modifier::Type(ty)) = inst.form.modifier(0) else { return None };
    each_half(b, ty, reg(inst, 0)?, &[reg(inst, 1)?, reg(inst, 2)?], compute)
}
