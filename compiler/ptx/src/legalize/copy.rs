//! Asynchronous copies and cache policies before sm_80: the copy is done when it is asked for.

use super::operand;
use crate::builder::Builder;
use crate::form::Form;
use crate::inst::{Address, Inst, Operand, Reg};
use crate::table::Op;
use crate::target::Sm;
use crate::token::{Cmp, Modifier, Space, Type, Vector};

pub(super) fn load_and_store(b: &mut Builder, inst: &Inst, _: Sm) -> Option<()> {
    matches!(inst.form.op, Op::CpAsyncCa | Op::CpAsyncCg).then_some(())?;
    let (dst, src, words) = ends(inst)?;
    let values = b.ld_vector(Space::Global, Type::B32, Vector::of(words)?, src);
    b.st_vector(Space::Shared, Type::B32, dst, &values);
    Some(())
}

/// All bytes at once where all are read, byte by byte where some are.
pub(super) fn load_zeros_and_store(b: &mut Builder, inst: &Inst, _: Sm) -> Option<()> {
    matches!(inst.form.op, Op::CpAsyncCaZfill | Op::CpAsyncCgZfill).then_some(())?;
    let (dst, src, words) = ends(inst)?;
    let vector = Vector::of(words)?;
    let read = operand(inst, 3)?;
    b.jump_over(|b| {
        let values: Vec<Reg> = (0..words).map(|_| b.mov(Type::B32, 0_u32)).collect();
        let bytes = u32::try_from(words * 4).unwrap_or(0);
        let read = b.mov(Type::U32, read);
        let all = b.setp(Cmp::Ge, Type::U32, read, bytes);
        let none = b.setp(Cmp::Eq, Type::U32, read, 0_u32);
        let store = b.label("copied");
        b.bra_if(none, store);
        let bytewise = b.label("bytes");
        b.bra_unless(all, bytewise);
        let whole = b.ld_vector(Space::Global, Type::B32, vector, src);
        for (value, loaded) in values.iter().zip(whole) {
            b.mov_to(Type::B32, *value, loaded);
        }
        b.bra(store);
        b.place(bytewise);
        for (at, value) in (0_u32..).zip(values.iter().flat_map(|v| [v; 4])) {
            let inside = b.setp(Cmp::Gt, Type::U32, read, at);
            let byte = b.mov(Type::B32, 0_u32);
            b.guarded(inside, |b| {
                let form = Form::new(Op::Ld, (Space::Global, Vector::One, Type::U8));
                b.emit(form, [byte.into(), Operand::Address(src.plus(i64::from(at)))]);
            });
            let form = Form::new(Op::Bfi, Type::B32);
            b.emit(form, [(*value).into(), byte.into(), (*value).into(), (at % 4 * 8).into(), 8_u32.into()]);
        }
        b.place(store);
        b.st_vector(Space::Shared, Type::B32, dst, &values);
    });
    Some(())
}

/// There is nothing to wait for.
pub(super) fn groups(_: &mut Builder, inst: &Inst, _: Sm) -> Option<()> {
    matches!(inst.form.op, Op::CpAsyncCommit | Op::CpAsyncWait | Op::CpAsyncWaitAll).then_some(())
}

/// A policy is a hint.
pub(super) fn without_policy(b: &mut Builder, inst: &Inst, _: Sm) -> Option<()> {
    let (vector, ty) = match (inst.form.modifier(0), inst.form.modifier(1)) {
        (Some(Modifier::Vector(vector)), Some(Modifier::Type(ty))) => (vector, ty),
        _ if inst.form.op == Op::CreatePolicy => {
            b.emit(Form::new(Op::Mov, Type::B64), [operand(inst, 0)?, 0_u32.into()]);
            return Some(());
        }
        _ => return None,
    };
    let plain = match inst.form.op {
        Op::LdPolicy => Op::Ld,
        Op::LdPolicyV4 => Op::LdV4,
        _ => return None,
    };
    b.emit(Form::new(plain, (Space::Global, vector, ty)), [operand(inst, 0)?, operand(inst, 1)?]);
    Some(())
}

/// Destination, source and number of 32-bit words.
fn ends(inst: &Inst) -> Option<(Address, Address, usize)> {
    match (operand(inst, 0)?, operand(inst, 1)?, operand(inst, 2)?) {
        (Operand::Address(dst), Operand::Address(src), Operand::Imm(bytes)) => {
            Some((dst, src, usize::try_from(bytes / 4).ok()?))
        }
        _ => None,
    }
}
