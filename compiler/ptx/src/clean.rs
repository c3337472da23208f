//! Removes what nobody needs and numbers registers anew.
//!
//! Before: a verified entry. After: the same effects; copies of registers that are written once are gone, and so is what computes
//! unread values; registers count from 0 in the order in which the text has them. Runs after `legalize`, whose sequences copy,
//! and before `verify`.

use std::collections::BTreeMap;

use crate::form::{Effect, Role};
use crate::inst::{Address, Base, Guard, Inst, Operand, Reg, Special, Stmt};
use crate::module::Entry;
use crate::table::Op;
use crate::token::Class;

pub fn clean(mut entry: Entry) -> Entry {
    forward_copies(&mut entry);
    remove_unread(&mut entry);
    renumber(&mut entry);
    entry
}

/// Readers of a copy read what it copies, where both are written once: then the original still has the value wherever the copy is
/// defined.
fn forward_copies(entry: &mut Entry) {
    let mut writes: BTreeMap<Reg, u32> = BTreeMap::new();
    for reg in entry.instructions().flat_map(Inst::writes) {
        *writes.entry(reg).or_default() += 1;
    }
    let once = |reg: Reg| writes.get(&reg) == Some(&1);
    let mut sources: BTreeMap<Reg, Reg> = BTreeMap::new();
    for inst in entry.instructions().filter(|inst| inst.form.op == Op::Mov && inst.guard.is_none()) {
        if let [Operand::Reg(dst), Operand::Reg(src)] = inst.operands.as_slice()
            && once(*dst)
            && once(*src)
        {
            sources.insert(*dst, *src);
        }
    }
    let origin = |reg: Reg| std::iter::successors(Some(reg), |r| sources.get(r).copied()).last().unwrap_or(reg);
    for stmt in &mut entry.body {
        if let Stmt::Inst(inst) = stmt {
            rename(inst, &mut |reg, role| if role.is_some_and(Role::is_written) { reg } else { origin(reg) });
        }
    }
}

/// Until nothing changes: instructions without effect whose results are not read.
fn remove_unread(entry: &mut Entry) {
    let mut reads: BTreeMap<Reg, u32> = BTreeMap::new();
    for reg in entry.instructions().flat_map(Inst::reads) {
        *reads.entry(reg).or_default() += 1;
    }
    loop {
        let before = entry.body.len();
        // Backwards, so that a chain falls in one round.
        let mut kept = Vec::with_capacity(before);
        while let Some(stmt) = entry.body.pop() {
            let unread = |inst: &Inst| inst.writes().iter().all(|reg| reads.get(reg).is_none_or(|count| *count == 0));
            match stmt.as_inst() {
                Some(inst) if is_removable(inst) && unread(inst) => {
                    for reg in inst.reads() {
                        reads.entry(reg).and_modify(|count| *count = count.saturating_sub(1));
                    }
                }
                _ => kept.push(stmt),
            }
        }
        kept.reverse();
        entry.body = kept;
        if entry.body.len() == before {
            return;
        }
    }
}

/// Whether nothing but its results tells that it ran.
fn is_removable(inst: &Inst) -> bool {
    let plain_load =
        matches!(inst.form.op, Op::Ld | Op::LdV4 | Op::LdCached | Op::LdCachedV4 | Op::LdPolicy | Op::LdPolicyV4);
    let timed = inst.operands.iter().any(|o| matches!(o, Operand::Special(Special::Clock | Special::Clock64)));
    (inst.form.effect() == Effect::Pure || plain_load) && !timed
}

fn renumber(entry: &mut Entry) {
    let mut names: BTreeMap<Reg, Reg> = BTreeMap::new();
    let mut counts = [0_u32; 4];
    for stmt in &mut entry.body {
        if let Stmt::Inst(inst) = stmt {
            rename(inst, &mut |reg, _| {
                *names.entry(reg).or_insert_with(|| {
                    let at = Class::ALL.iter().position(|class| *class == reg.class).unwrap_or(0);
                    let index = counts.get(at).copied().unwrap_or(0);
                    if let Some(count) = counts.get_mut(at) {
                        *count += 1;
                    }
                    Reg { class: reg.class, index }
                })
            });
        }
    }
    entry.registers = counts;
}

/// Registers of an instruction as the closure says; the role is that of an operand that is a register or list, none in addresses and
/// guards.
fn rename(inst: &mut Inst, new: &mut impl FnMut(Reg, Option<Role>) -> Reg) {
    if let Some(Guard { reg, .. }) = &mut inst.guard {
        *reg = new(*reg, None);
    }
    let specs = inst.form.row().operands;
    for (spec, operand) in specs.iter().zip(&mut inst.operands) {
        match operand {
            Operand::Reg(reg) => *reg = new(*reg, Some(spec.role)),
            Operand::Vector(regs) => regs.iter_mut().for_each(|reg| *reg = new(*reg, Some(spec.role))),
            Operand::Address(Address { base: Base::Reg(reg), .. }) => *reg = new(*reg, None),
            Operand::Tensor(map, coordinates) => {
                if let Base::Reg(reg) = &mut map.base {
                    *reg = new(*reg, None);
                }
                coordinates.iter_mut().for_each(|reg| *reg = new(*reg, None));
            }
            Operand::Address(_)
            | Operand::Imm(_)
            | Operand::Special(_)
            | Operand::Variable(_)
            | Operand::Param(_)
            | Operand::Label(_)
            | Operand::Sink => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{Builder, Entry, Module, ParamRole, Sm, Space, Type, clean, print_inst, verify};

    /// The instructions that are left, as text.
    #[track_caller]
    fn check(entry: Entry, expected: &[&str]) {
        let entry = clean(entry);
        verify(&Module::new(Sm::Sm80, vec![entry.clone()])).unwrap();
        let texts: Vec<String> = entry.instructions().map(|inst| print_inst(&entry, inst)).collect();
        assert_eq!(texts, expected);
    }

    #[test]
    fn unread_chains_go_and_numbers_close_up() {
        let mut b = Builder::new("x");
        let p = b.pointer_param(ParamRole::Data);
        b.mov(Type::U32, 7_u32);
        let p = b.ld_param(Type::U64, p);
        let x = b.ld(Space::Global, Type::U32, p);
        let y = b.add(Type::U32, x, 1_u32);
        b.add(Type::U32, y, 2_u32);
        b.st(Space::Global, Type::U32, p, x);
        let texts = ["ld.param.u64 %d0, [p0];", "ld.global.u32 %r0, [%d0];", "st.global.u32 [%d0], %r0;", "ret;"];
        check(b.finish(), &texts);
    }

    #[test]
    fn copies_of_what_is_written_once_go() {
        let mut b = Builder::new("x");
        let p = b.pointer_param(ParamRole::Data);
        let p = b.ld_param(Type::U64, p);
        let x = b.ld(Space::Global, Type::U32, p);
        let y = b.mov(Type::U32, x);
        let z = b.mov(Type::B32, y);
        b.st(Space::Global, Type::U32, p, z);
        let texts = ["ld.param.u64 %d0, [p0];", "ld.global.u32 %r0, [%d0];", "st.global.u32 [%d0], %r0;", "ret;"];
        check(b.finish(), &texts);
    }

    #[test]
    fn copies_of_what_changes_stay() {
        let mut b = Builder::new("x");
        let p = b.pointer_param(ParamRole::Data);
        let p = b.ld_param(Type::U64, p);
        let x = b.ld(Space::Global, Type::U32, p);
        let before = b.mov(Type::U32, x);
        b.mov_to(Type::U32, x, 5_u32);
        b.st(Space::Global, Type::U32, p, before);
        b.st(Space::Global, Type::U32, (p, 4), x);
        assert_eq!(clean(b.clone().finish()), b.finish());
    }
}
