//! Dependent launch: what may happen before the wait for the kernels that this one depends on. P20 to P22.

use std::collections::BTreeMap;

use super::{Fault, Place, Problem};
use crate::flow::Flow;
use crate::form::{Access, Effect, Role};
use crate::inst::{Address, Base, Inst, Operand, Reg, Stmt};
use crate::module::{Entry, ParamRole};
use crate::table::Op;
use crate::token::Space;

/// Where a value comes from, as far as parameters go.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Origin {
    weights: bool,
    data: bool,
}

pub(super) fn check(entry: &Entry, flow: &Flow, problems: &mut Vec<Problem>) {
    if !entry.instructions().any(|inst| inst.form.effect() == Effect::DependencyWait) {
        return;
    }
    let origins = origins(entry);
    let early = unwaited(entry, flow);
    for block in &flow.order {
        let Some(info) = flow.block(*block) else { continue };
        let mut waited = !early.get(*block).copied().unwrap_or(true);
        for at in info.stmts.clone() {
            let Some(inst) = entry.body.get(at).and_then(Stmt::as_inst) else { continue };
            waited |= waits(inst);
            if !waited && let Some(fault) = early_fault(inst, entry, &origins) {
                problems.push(Problem { place: Place::stmt(entry, at), fault });
            }
        }
    }
}

fn early_fault(inst: &Inst, entry: &Entry, origins: &BTreeMap<Reg, Origin>) -> Option<Fault> {
    if inst.form.effect() == Effect::End {
        return (inst.form.op != Op::Trap).then_some(Fault::NoWait);
    }
    let mut reads = Vec::new();
    for (role, operand) in inst.roles() {
        let (access, address) = match (role, operand) {
            (Role::Address(access, space), Operand::Address(address)) => {
                if !matches!(inst.form.space_of(space), None | Some(Space::Global)) {
                    continue;
                }
                (access, *address)
            }
            (Role::Tensor(access), Operand::Tensor(address, _)) => (access, *address),
            _ => continue,
        };
        match access {
            Access::Write | Access::Both => return Some(Fault::EarlyWrite),
            Access::Read => reads.push(origin(address, entry, origins)),
            Access::None => {}
        }
    }
    reads.into_iter().any(|from| from.data || !from.weights).then_some(Fault::EarlyRead)
}

fn origin(address: Address, entry: &Entry, origins: &BTreeMap<Reg, Origin>) -> Origin {
    match address.base {
        Base::Reg(reg) => origins.get(&reg).copied().unwrap_or_default(),
        Base::Param(param) => of_param(entry, param.0),
        Base::Variable(_) => Origin::default(),
    }
}

fn of_param(entry: &Entry, param: u32) -> Origin {
    let role = usize::try_from(param).ok().and_then(|at| entry.params.get(at)).map(|info| info.role);
    Origin { weights: role == Some(ParamRole::Weights), data: role == Some(ParamRole::Data) }
}

/// Which parameters the registers are computed from. What is read from memory is a number.
fn origins(entry: &Entry) -> BTreeMap<Reg, Origin> {
    let mut out: BTreeMap<Reg, Origin> = BTreeMap::new();
    let mut changed = true;
    while changed {
        changed = false;
        for inst in entry.instructions() {
            let mut from = Origin::default();
            let mut add = |o: Origin| from = Origin { weights: from.weights | o.weights, data: from.data | o.data };
            for (role, operand) in inst.roles() {
                match operand {
                    Operand::Param(param) => add(of_param(entry, param.0)),
                    Operand::Address(Address { base: Base::Param(param), .. }) => add(of_param(entry, param.0)),
                    Operand::Reg(reg) if role.is_read() && inst.form.effect() == Effect::Pure => {
                        add(out.get(reg).copied().unwrap_or_default());
                    }
                    Operand::Vector(regs) if role.is_read() && inst.form.effect() == Effect::Pure => {
                        regs.iter().for_each(|reg| add(out.get(reg).copied().unwrap_or_default()));
                    }
                    Operand::Reg(_)
                    | Operand::Vector(_)
                    | Operand::Imm(_)
                    | Operand::Address(_)
                    | Operand::Tensor(..)
                    | Operand::Special(_)
                    | Operand::Variable(_)
                    | Operand::Label(_)
                    | Operand::Sink => {}
                }
            }
            for reg in inst.writes() {
                let before = out.get(&reg).copied().unwrap_or_default();
                let after = Origin { weights: before.weights | from.weights, data: before.data | from.data };
                if after != before {
                    out.insert(reg, after);
                    changed = true;
                }
            }
        }
    }
    out
}

/// Blocks whose start is reached on some way without the wait.
fn unwaited(entry: &Entry, flow: &Flow) -> Vec<bool> {
    let mut out = vec![false; flow.blocks.len()];
    let mut todo = vec![0];
    while let Some(at) = todo.pop() {
        let (Some(place), Some(info)) = (out.get_mut(at), flow.block(at)) else { continue };
        if std::mem::replace(place, true) {
            continue;
        }
        let stmts = entry.body.get(info.stmts.clone()).unwrap_or_default();
        if !stmts.iter().filter_map(Stmt::as_inst).any(waits) {
            todo.extend(&info.next);
        }
    }
    out
}

fn waits(inst: &Inst) -> bool {
    inst.form.effect() == Effect::DependencyWait && inst.guard.is_none()
}
