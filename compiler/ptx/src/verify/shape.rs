//! Each statement by itself: P01 to P13.

use super::{Fault, Place, Problem};
use crate::builder::{mask, takes_immediate};
use crate::form::{Form, Role, Spec};
use crate::inst::{Address, Base, Inst, Label, Operand, Param, Reg, Stmt, Variable};
use crate::module::{Entry, Module};
use crate::table::Op;
use crate::target::{Arch, Version};
use crate::token::{Class, Space, Type};

pub(super) fn check(module: &Module, entry: &Entry, problems: &mut Vec<Problem>) {
    let mut placed = vec![0_usize; entry.labels.len()];
    for (at, stmt) in entry.body.iter().enumerate() {
        let mut faults = Vec::new();
        match stmt {
            Stmt::Inst(inst) => check_inst(module, entry, inst, &mut faults),
            Stmt::Label(label) => match placed.get_mut(index(label.0)) {
                Some(times) => *times += 1,
                None => faults.push(missing("label", label.0, entry.labels.len())),
            },
            Stmt::Comment(_) => {}
        }
        problems.extend(faults.into_iter().map(|fault| Problem { place: Place::stmt(entry, at), fault }));
    }
    let wrong = placed.into_iter().enumerate().filter(|(_, times)| *times != 1);
    problems.extend(wrong.map(|(label, times)| {
        let fault = Fault::Label { label: u32::try_from(label).unwrap_or(u32::MAX), times };
        Problem { place: Place::entry(entry), fault }
    }));
}

fn check_inst(module: &Module, entry: &Entry, inst: &Inst, faults: &mut Vec<Fault>) {
    let (form, row) = (inst.form, inst.form.row());
    if !form.is_known() {
        return faults.push(Fault::Form);
    }
    if !form.arch().has(module.target) {
        faults.push(Fault::Target { target: module.target, needs: form.arch() });
    }
    let needs = form.version().max(module.target.version());
    if module.version < needs {
        faults.push(Fault::Version { found: module.version, needs });
    }
    if let Some(guard) = inst.guard {
        check_register(entry, guard.reg, faults);
        if guard.reg.class != Class::Pred {
            faults.push(Fault::Guard { found: guard.reg.class });
        }
    }
    if inst.operands.len() != row.operands.len() {
        return faults.push(Fault::Count { found: inst.operands.len(), expected: row.operands.len() });
    }
    for (at, (spec, operand)) in row.operands.iter().zip(&inst.operands).enumerate() {
        check_operand(entry, form, at, *spec, operand, faults);
        if let Operand::Special(special) = operand
            && special.needs_cluster()
        {
            let (arch, needs) = (Arch::From(90), Version(7, 8));
            if !arch.has(module.target) {
                faults.push(Fault::Target { target: module.target, needs: arch });
            } else if module.version < needs {
                faults.push(Fault::Version { found: module.version, needs });
            }
        }
    }
}

fn check_operand(entry: &Entry, form: Form, at: usize, spec: Spec, operand: &Operand, faults: &mut Vec<Fault>) {
    let Some(ty) = form.type_of(spec.ty) else { return faults.push(Fault::Form) };
    let class = form.class_of(spec.ty).unwrap_or(Class::B32);
    let (count, braces) = form.count_of(spec.count).unwrap_or((1, false));
    let kind = |expected| Fault::Kind { operand: at, expected };
    match (spec.role, operand) {
        (
            Role::Write | Role::WriteOrSink | Role::Read | Role::ReadRegister | Role::Update | Role::Source,
            Operand::Reg(reg),
        ) => {
            check_register(entry, *reg, faults);
            if braces {
                faults.push(kind("a list of registers"));
            } else if reg.class != class {
                faults.push(Fault::Class { operand: at, found: reg.class, expected: class });
            }
        }
        (Role::Write | Role::Read | Role::ReadRegister | Role::Update, Operand::Vector(regs)) => {
            if !braces {
                faults.push(kind("one register"));
            } else if regs.len() != count {
                faults.push(Fault::List { operand: at, found: regs.len(), expected: count });
            }
            for reg in regs {
                check_register(entry, *reg, faults);
                if reg.class != class {
                    faults.push(Fault::Class { operand: at, found: reg.class, expected: class });
                }
            }
        }
        (Role::Read | Role::Constant | Role::Source, Operand::Imm(bits)) => {
            let written = takes_immediate(ty) || matches!((spec.role, ty), (Role::Source, Type::Pred));
            if braces || !written || *bits & !mask(ty) != 0 {
                faults.push(Fault::Immediate { operand: at, bits: *bits, ty });
            }
        }
        (Role::Source, Operand::Special(special)) => {
            if special.ty().class() != class {
                faults.push(Fault::Class { operand: at, found: special.ty().class(), expected: class });
            }
        }
        (Role::Source, Operand::Variable(variable)) => check_variable(entry, *variable, faults),
        (Role::Source, Operand::Param(param)) => check_param(entry, *param, faults),
        (Role::WriteOrSink | Role::Sink, Operand::Sink) => {}
        (Role::Label, Operand::Label(Label(number))) => {
            if index(*number) >= entry.labels.len() {
                faults.push(missing("label", *number, entry.labels.len()));
            }
        }
        (Role::Address(_, space), Operand::Address(address)) => {
            check_address(entry, at, form.space_of(space), *address, faults);
            check_alignment(entry, form, at, *address, faults);
        }
        (Role::Tensor(_), Operand::Tensor(map, coordinates)) => {
            check_address(entry, at, None, *map, faults);
            if coordinates.len() != count {
                faults.push(Fault::List { operand: at, found: coordinates.len(), expected: count });
            }
            for reg in coordinates {
                check_register(entry, *reg, faults);
                if reg.class != Class::B32 {
                    faults.push(Fault::Class { operand: at, found: reg.class, expected: Class::B32 });
                }
            }
        }
        (Role::Write, _) => faults.push(kind("a register that is written")),
        (Role::WriteOrSink, _) => faults.push(kind("a register that is written, or `_`")),
        (Role::Sink, _) => faults.push(kind("`_`")),
        (Role::Read, _) => faults.push(kind("a register or an immediate")),
        (Role::ReadRegister | Role::Update, _) => faults.push(kind("a register")),
        (Role::Constant, _) => faults.push(kind("an immediate")),
        (Role::Source, _) => faults.push(kind("a register, an immediate, a special register or a name")),
        (Role::Address(..), _) => faults.push(kind("an address")),
        (Role::Tensor(_), _) => faults.push(kind("a tensor map and coordinates")),
        (Role::Label, _) => faults.push(kind("a label")),
    }
}

fn check_address(entry: &Entry, at: usize, space: Option<Space>, address: Address, faults: &mut Vec<Fault>) {
    let base = |expected| Fault::Base { operand: at, expected };
    match (address.base, space) {
        (Base::Reg(reg), _) => {
            check_register(entry, reg, faults);
            match space {
                None | Some(Space::Global | Space::Const) if reg.class != Class::B64 => {
                    faults.push(base("a base of 64 bits"));
                }
                Some(Space::Shared | Space::Cluster | Space::Local) if reg.class != Class::B32 => {
                    faults.push(base("a base of 32 bits"));
                }
                Some(Space::Param) => faults.push(base("a parameter")),
                _ => {}
            }
        }
        (Base::Param(param), space) => {
            check_param(entry, param, faults);
            let end = entry.params.get(index(param.0)).map(|info| i64::from(info.size));
            let inside = end.is_some_and(|end| (0..end).contains(&address.offset));
            if space != Some(Space::Param) || !inside {
                faults.push(base("what its form's space has, within its size"));
            }
        }
        (Base::Variable(variable), space) => {
            check_variable(entry, variable, faults);
            let info = entry.variables.get(index(variable.0));
            let same = info.is_some_and(|info| {
                Some(info.space) == space || (info.space == Space::Shared && space == Some(Space::Cluster))
            });
            if !same {
                faults.push(base("a variable of its form's space"));
            }
        }
    }
}

/// Offsets from what is aligned must be; registers are taken to be aligned to what is moved.
fn check_alignment(entry: &Entry, form: Form, at: usize, address: Address, faults: &mut Vec<Fault>) {
    let bytes = match form.op {
        Op::LdMatrix | Op::StMatrix => 16,
        Op::BulkLoad | Op::BulkLoadPolicy | Op::BulkMulticast | Op::BulkStore if at < 2 => 16,
        _ => form.access_bytes().unwrap_or(1),
    };
    let align = match address.base {
        Base::Reg(_) => Some(bytes),
        Base::Param(param) => entry.params.get(index(param.0)).map(|info| u64::from(info.align)),
        Base::Variable(variable) => entry.variables.get(index(variable.0)).map(|info| u64::from(info.align)),
    };
    let divides = address.offset.unsigned_abs().is_multiple_of(bytes.max(1));
    if !divides || align.is_some_and(|align| align < bytes) {
        faults.push(Fault::Alignment { operand: at, offset: address.offset, bytes });
    }
}

fn check_register(entry: &Entry, reg: Reg, faults: &mut Vec<Fault>) {
    let count = entry.register_count(reg.class);
    if reg.index >= count {
        faults.push(missing("register", reg.index, index(count)));
    }
}

fn check_param(entry: &Entry, param: Param, faults: &mut Vec<Fault>) {
    if index(param.0) >= entry.params.len() {
        faults.push(missing("parameter", param.0, entry.params.len()));
    }
}

fn check_variable(entry: &Entry, variable: Variable, faults: &mut Vec<Fault>) {
    if index(variable.0) >= entry.variables.len() {
        faults.push(missing("variable", variable.0, entry.variables.len()));
    }
}

fn missing(what: &'static str, number: u32, count: usize) -> Fault {
    Fault::Missing { what, number, count }
}

fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
