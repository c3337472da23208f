//! bf16 where arithmetic on it is missing: all of it but fma before sm_90, all of it before sm_80.

use super::{operand, reg};
use crate::builder::Builder;
use crate::form::Form;
use crate::inst::{Inst, Operand, Reg};
use crate::table::Op;
use crate::target::Sm;
use crate::token::{Cmp, Ftz, Modifier, Order, Round, Space, Type};

/// 1, -1 and -0 as bf16.
const ONE: u64 = 0x3F80;
const MINUS_ONE: u64 = 0xBF80;
const MINUS_ZERO: u64 = 0x8000;

/// From sm_80: `a + b = a * 1 + b`, `a - b = b * -1 + a`, `a * b = a * b + -0`, each with one rounding, signs of zero included.
pub(super) fn arithmetic_as_fma(b: &mut Builder, inst: &Inst, target: Sm) -> Option<()> {
    if !Form::new(Op::FmaBhalf, Type::Bf16).arch().has(target) {
        return None;
    }
    let ty = bf16_type(inst)?;
    let (dst, x, y) = (operand(inst, 0)?, operand(inst, 1)?, operand(inst, 2)?);
    let factors = match inst.form.op {
        Op::AddBhalf => [x, constant(b, ty, ONE), y],
        Op::SubBhalf => [y, constant(b, ty, MINUS_ONE), x],
        Op::MulBhalf => [x, y, constant(b, ty, MINUS_ZERO)],
        _ => return None,
    };
    let [p, q, r] = factors;
    b.emit(Form::new(Op::FmaBhalf, ty), [dst, p, q, r]);
    Some(())
}

/// Before sm_80: in f32, rounded to bf16. For sums and products that is as good as one rounding.
pub(super) fn arithmetic_through_f32(b: &mut Builder, inst: &Inst, _: Sm) -> Option<()> {
    let ty = bf16_type(inst)?;
    let dst = reg(inst, 0)?;
    let sources: Vec<Reg> = (1..inst.operands.len()).filter_map(|at| reg(inst, at)).collect();
    let compute: fn(&mut Builder, &[Reg]) -> Option<Reg> = match inst.form.op {
        Op::AddBhalf => |b, s| Some(b.add(Type::F32, *s.first()?, *s.get(1)?)),
        Op::SubBhalf => |b, s| Some(b.sub(Type::F32, *s.first()?, *s.get(1)?)),
        Op::MulBhalf => |b, s| Some(b.mul(Type::F32, *s.first()?, *s.get(1)?)),
        Op::FmaBhalf => |b, s| fused(b, (*s.first()?, *s.get(1)?, *s.get(2)?)),
        _ => return None,
    };
    each_half(b, ty, dst, &sources, compute)
}

/// `x * y + z` cut to f32, with the last bit set if anything was lost: so that rounding to bf16 is the only rounding.
fn fused(b: &mut Builder, (x, y, z): (Reg, Reg, Reg)) -> Option<Reg> {
    let [down, up, cut] = [Round::Rm, Round::Rp, Round::Rz]
        .map(|round| b.value(Form::new(Op::FmaFloat, (round, Type::F32)), [x.into(), y.into(), z.into()]));
    let lost = b.setp(Cmp::Ne, Type::F32, down, up);
    let sticky = b.or(Type::B32, cut, 1_u32);
    Some(b.selp(Type::B32, sticky, cut, lost))
}

/// Absolute value and negation touch one bit.
pub(super) fn sign(b: &mut Builder, inst: &Inst, _: Sm) -> Option<()> {
    let ty = bf16_type(inst)?;
    let (dst, src) = (operand(inst, 0)?, operand(inst, 1)?);
    let bit = if ty == Type::Bf16x2 { 0x8000_8000 } else { 0x8000 };
    match inst.form.op {
        Op::NegBhalf => b.emit(Form::new(Op::Xor, ty.untyped()), [dst, src, Operand::Imm(bit)]),
        Op::AbsBhalf => b.emit(Form::new(Op::And, ty.untyped()), [dst, src, Operand::Imm(!bit)]),
        _ => return None,
    }
    Some(())
}

pub(super) fn compare(b: &mut Builder, inst: &Inst, _: Sm) -> Option<()> {
    let (Op::SetpBhalf, Some(Modifier::Cmp(cmp))) = (inst.form.op, inst.form.modifier(0)) else { return None };
    let (x, y) = (operand(inst, 1)?, operand(inst, 2)?);
    let (x, y) = (b.cvt(Type::F32, Type::Bf16, x), b.cvt(Type::F32, Type::Bf16, y));
    b.emit(Form::new(Op::SetpFloat, (cmp, Type::F32)), [operand(inst, 0)?, x.into(), y.into()]);
    Some(())
}

pub(super) fn approximation(b: &mut Builder, inst: &Inst, _: Sm) -> Option<()> {
    let compute: fn(&mut Builder, &[Reg]) -> Option<Reg> = match inst.form.op {
        Op::Ex2Bhalf => |b, s| Some(b.ex2_approx(Ftz::Ftz, *s.first()?)),
        Op::TanhBhalf => |b, s| Some(b.tanh_approx(*s.first()?)),
        _ => return None,
    };
    each_half(b, bf16_type(inst)?, reg(inst, 0)?, &[reg(inst, 1)?], compute)
}

/// Swaps in the sum until nobody was in between.
pub(super) fn atomic_sum(b: &mut Builder, inst: &Inst, _: Sm) -> Option<()> {
    let first = match inst.form.op {
        Op::AtomAddBhalf => 1,
        Op::RedAddBhalf => 0,
        _ => return None,
    };
    let (Some(Modifier::Order(order)), Some(Modifier::Space(space))) = (inst.form.modifier(0), inst.form.modifier(1))
    else {
        return None;
    };
    let ty = bf16_type(inst)?;
    let Operand::Address(address) = operand(inst, first)? else { return None };
    let value = reg(inst, first + 1)?;
    let dst = if first == 1 { reg(inst, 0)? } else { b.reg_of(ty) };
    let bits = ty.untyped();
    b.jump_over(|b| {
        // Others may write meanwhile, so the first look is an ordered one too.
        let seen = b.ld_ordered(Order::RelaxedGpu, space, bits, address);
        b.do_while(|b| {
            b.mov_to(bits, dst, seen);
            let sum = b.add(ty, dst, value);
            swap(b, order, space, ty, (address.into(), seen, dst, sum));
            // Halves compare as numbers of 16 bits, pairs as numbers of 32.
            b.setp(Cmp::Ne, bits, seen, dst)
        });
    });
    Some(())
}

fn swap(b: &mut Builder, order: Order, space: Space, ty: Type, (at, seen, old, new): (Operand, Reg, Reg, Reg)) {
    let form = match ty {
        Type::Bf16 => Form::new(Op::AtomCas16, (order, space)),
        _ => Form::new(Op::AtomCas, (order, space, Type::B32)),
    };
    b.emit(form, [seen.into(), at, old.into(), new.into()]);
}

/// Computes in f32 on a half, or on both of a pair.
pub(super) fn each_half(
    b: &mut Builder,
    ty: Type,
    dst: Reg,
    sources: &[Reg],
    compute: impl Fn(&mut Builder, &[Reg]) -> Option<Reg>,
) -> Option<()> {
    let half = match ty {
        Type::Bf16 | Type::Bf16x2 => Type::Bf16,
        Type::F16 | Type::F16x2 => Type::F16,
        _ => return None,
    };
    if ty == half {
        let wide: Vec<Reg> = sources.iter().map(|s| b.cvt(Type::F32, half, *s)).collect();
        let result = compute(b, &wide)?;
        let narrow = b.cvt(half, Type::F32, result);
        b.mov_to(Type::B16, dst, narrow);
        return Some(());
    }
    let parts: Vec<Vec<Reg>> = sources.iter().map(|s| b.unpack(*s)).collect();
    let mut halves = Vec::new();
    for side in 0..2 {
        let wide: Option<Vec<Reg>> = parts.iter().map(|p| p.get(side).map(|r| b.cvt(Type::F32, half, *r))).collect();
        let result = compute(b, &wide?)?;
        halves.push(b.cvt(half, Type::F32, result));
    }
    b.emit(Form::new(Op::Pack16, ()), [dst.into(), halves.into()]);
    Some(())
}

fn constant(b: &mut Builder, ty: Type, bits: u64) -> Operand {
    let both = if ty == Type::Bf16x2 { bits << 16 | bits } else { bits };
    b.mov(ty.untyped(), both).into()
}

/// The bf16 type in a slot of the form.
fn bf16_type(inst: &Inst) -> Option<Type> {
    inst.form.modifiers().find_map(|m| match m {
        Modifier::Type(ty @ (Type::Bf16 | Type::Bf16x2)) => Some(ty),
        _ => None,
    })
}
