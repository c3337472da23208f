//! The text of a module. Nothing else in the compiler spells PTX; the opcode of each form stands in its table row.
//!
//! Registers are named by class and number (`%p1 %h2 %r3 %d4`), parameters `p0`, labels by name and number.

use std::fmt::{self, Write};

use crate::form::{Form, Many, Role};
use crate::inst::{Address, Base, Guard, Inst, Label, Operand, Param, Reg, Stmt, Variable};
use crate::module::{Entry, Module, ParamRole, VariableInfo};
use crate::token::{Class, Meaning, Space, Type};

/// The text of a module, ready for the driver.
pub fn print(module: &Module) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = write_module(&mut out, module);
    out
}

/// The text of an instruction, as the verifier shows it.
pub fn print_inst(entry: &Entry, inst: &Inst) -> String {
    let mut out = String::new();
    let _ = write_inst(&mut out, entry, inst);
    out
}

/// The spelling of a row with the texts of the modifiers in its slots.
pub(crate) fn write_opcode(out: &mut impl Write, form: Form) -> fmt::Result {
    let mut rest = form.row().spelling;
    while let Some(at) = rest.find(['{', '<']) {
        let (plain, from) = rest.split_at(at);
        out.write_str(plain)?;
        let dotted = from.starts_with('{');
        let slot = from.get(1..2).and_then(|n| n.parse().ok()).unwrap_or(u8::MAX);
        let text = form.modifier(slot).map(|m| m.to_string()).unwrap_or_default();
        if dotted && !text.is_empty() {
            out.write_str(".")?;
        }
        out.write_str(&text)?;
        rest = from.get(3..).unwrap_or_default();
    }
    out.write_str(rest)
}

/// The letter before a register's number.
pub(crate) const fn prefix(class: Class) -> &'static str {
    match class {
        Class::Pred => "%p",
        Class::B16 => "%h",
        Class::B32 => "%r",
        Class::B64 => "%d",
    }
}

/// How a class is declared.
const fn declared(class: Class) -> &'static str {
    match class {
        Class::Pred => ".pred",
        Class::B16 => ".b16",
        Class::B32 => ".b32",
        Class::B64 => ".b64",
    }
}

/// The word that tells a parameter's role in its comment.
pub(crate) const fn role(role: ParamRole) -> &'static str {
    match role {
        ParamRole::Scalar => "scalar",
        ParamRole::Weights => "weights",
        ParamRole::Data => "data",
    }
}

fn write_module(out: &mut String, module: &Module) -> fmt::Result {
    writeln!(out, ".version {}", module.version)?;
    writeln!(out, ".target {}", module.target)?;
    writeln!(out, ".address_size 64")?;
    for entry in &module.entries {
        writeln!(out)?;
        write_entry(out, entry)?;
    }
    Ok(())
}

fn write_entry(out: &mut String, entry: &Entry) -> fmt::Result {
    for line in &entry.comments {
        writeln!(out, "{}", format!("// {line}").trim_end())?;
    }
    for (at, variable) in entry.variables.iter().enumerate().filter(|(_, v)| is_outside(v)) {
        write_variable(out, entry, at, variable)?;
    }
    write!(out, ".visible .entry {}(", entry.name)?;
    for (at, param) in entry.params.iter().enumerate() {
        let comma = if at + 1 == entry.params.len() { "" } else { "," };
        let ty = match (param.size, param.align) {
            (1, 1) => ".b8".to_string(),
            (2, 2) => ".b16".to_string(),
            (4, 4) => ".b32".to_string(),
            (8, 8) => ".b64".to_string(),
            (_, align) => format!(".align {align} .b8"),
        };
        let extent =
            if param.size == param.align && param.size <= 8 { String::new() } else { format!("[{}]", param.size) };
        write!(out, "\n    .param {ty} p{at}{extent}{comma} // {}", role(param.role))?;
    }
    writeln!(out, "{})", if entry.params.is_empty() { "" } else { "\n" })?;
    let extents = |[x, y, z]: [u32; 3]| format!("{x}, {y}, {z}");
    if let Some(block) = entry.block {
        writeln!(out, ".reqntid {}", extents(block))?;
    }
    if let Some(threads) = entry.max_threads {
        writeln!(out, ".maxntid {threads}")?;
    }
    if let Some(ctas) = entry.min_ctas {
        writeln!(out, ".minnctapersm {ctas}")?;
    }
    if let Some(registers) = entry.max_registers {
        writeln!(out, ".maxnreg {registers}")?;
    }
    if let Some(cluster) = entry.cluster {
        writeln!(out, ".reqnctapercluster {}", extents(cluster))?;
    }
    writeln!(out, "{{")?;
    for class in Class::ALL {
        let count = entry.register_count(class);
        if count > 0 {
            writeln!(out, "    .reg {} {}<{count}>;", declared(class), prefix(class))?;
        }
    }
    for (at, variable) in entry.variables.iter().enumerate().filter(|(_, v)| !is_outside(v)) {
        write!(out, "    ")?;
        write_variable(out, entry, at, variable)?;
    }
    writeln!(out)?;
    for stmt in &entry.body {
        match stmt {
            Stmt::Inst(inst) => {
                write!(out, "    ")?;
                write_inst(out, entry, inst)?;
                writeln!(out)?;
            }
            Stmt::Label(label) => {
                write_label(out, entry, *label)?;
                writeln!(out, ":")?;
            }
            Stmt::Comment(text) => writeln!(out, "{}", format!("    // {text}").trim_end())?,
        }
    }
    writeln!(out, "}}")
}

/// Whether a variable is declared beside the entry, not in it.
fn is_outside(variable: &VariableInfo) -> bool {
    variable.space == Space::Const || variable.is_dynamic()
}

/// With its number behind it, since the order of declarations is not that of the numbers.
fn write_variable(out: &mut String, entry: &Entry, at: usize, variable: &VariableInfo) -> fmt::Result {
    if variable.is_dynamic() {
        write!(out, ".extern ")?;
    }
    write!(out, ".{} .align {} .b8 ", variable.space.text(), variable.align)?;
    write_variable_name(out, entry, variable)?;
    match (variable.is_dynamic(), variable.data.is_empty()) {
        (true, _) => writeln!(out, "[]; // {at}"),
        (false, true) => writeln!(out, "[{}]; // {at}", variable.size),
        (false, false) => {
            write!(out, "[{}] = {{", variable.size)?;
            for (at, byte) in variable.data.iter().enumerate() {
                write!(out, "{}{byte}", if at == 0 { "" } else { ", " })?;
            }
            writeln!(out, "}}; // {at}")
        }
    }
}

/// Names outside the entry carry the entry's.
fn write_variable_name(out: &mut String, entry: &Entry, variable: &VariableInfo) -> fmt::Result {
    if is_outside(variable) {
        write!(out, "{}_", entry.name)?;
    }
    out.write_str(&variable.name)
}

fn write_label(out: &mut String, entry: &Entry, label: Label) -> fmt::Result {
    let name = usize::try_from(label.0).ok().and_then(|at| entry.labels.get(at));
    write!(out, "{}_{}", name.map_or("label", String::as_str), label.0)
}

fn write_inst(out: &mut String, entry: &Entry, inst: &Inst) -> fmt::Result {
    if let Some(Guard { reg, negated }) = inst.guard {
        write!(out, "@{}", if negated { "!" } else { "" })?;
        write_reg(out, reg)?;
        write!(out, " ")?;
    }
    write_opcode(out, inst.form)?;
    let specs = inst.form.row().operands;
    for (at, operand) in inst.operands.iter().enumerate() {
        let spec = specs.get(at);
        let joined = spec.is_some_and(|s| s.count == Many::Also);
        out.write_str(match (at, joined) {
            (0, _) => " ",
            (_, true) => "|",
            _ => ", ",
        })?;
        let ty = spec.filter(|s| s.role != Role::Label).and_then(|s| inst.form.type_of(s.ty));
        write_operand(out, entry, operand, ty.unwrap_or(Type::B64))?;
    }
    write!(out, ";")
}

fn write_operand(out: &mut String, entry: &Entry, operand: &Operand, ty: Type) -> fmt::Result {
    match operand {
        Operand::Reg(reg) => write_reg(out, *reg),
        Operand::Imm(bits) => write_immediate(out, *bits, ty),
        Operand::Vector(regs) => write_list(out, regs),
        Operand::Address(address) => {
            write!(out, "[")?;
            write_address(out, entry, *address)?;
            write!(out, "]")
        }
        Operand::Tensor(map, coordinates) => {
            write!(out, "[")?;
            write_address(out, entry, *map)?;
            write!(out, ", ")?;
            write_list(out, coordinates)?;
            write!(out, "]")
        }
        Operand::Special(special) => write!(out, "%{}", special.text()),
        Operand::Variable(variable) => write_name(out, entry, *variable),
        Operand::Param(Param(number)) => write!(out, "p{number}"),
        Operand::Label(label) => write_label(out, entry, *label),
        Operand::Sink => write!(out, "_"),
    }
}

fn write_list(out: &mut String, regs: &[Reg]) -> fmt::Result {
    write!(out, "{{")?;
    for (at, reg) in regs.iter().enumerate() {
        write!(out, "{}", if at == 0 { "" } else { ", " })?;
        write_reg(out, *reg)?;
    }
    write!(out, "}}")
}

fn write_address(out: &mut String, entry: &Entry, address: Address) -> fmt::Result {
    match address.base {
        Base::Reg(reg) => write_reg(out, reg)?,
        Base::Param(Param(number)) => write!(out, "p{number}")?,
        Base::Variable(variable) => write_name(out, entry, variable)?,
    }
    match address.offset {
        0 => Ok(()),
        offset => write!(out, "+{offset}"),
    }
}

fn write_name(out: &mut String, entry: &Entry, variable: Variable) -> fmt::Result {
    match usize::try_from(variable.0).ok().and_then(|at| entry.variables.get(at)) {
        Some(info) => write_variable_name(out, entry, info),
        None => write!(out, "variable_{}", variable.0),
    }
}

fn write_reg(out: &mut String, reg: Reg) -> fmt::Result {
    write!(out, "{}{}", prefix(reg.class), reg.index)
}

/// Floats as their bits, signed integers with their sign, small numbers in tens, masks in sixteens.
fn write_immediate(out: &mut String, bits: u64, ty: Type) -> fmt::Result {
    let shift = 64_u32.saturating_sub(ty.bits());
    let signed = (bits.cast_signed() << shift) >> shift;
    match (ty, ty.meaning()) {
        (Type::F32, _) => write!(out, "0f{bits:08X}"),
        (Type::F64, _) => write!(out, "0d{bits:016X}"),
        (_, Meaning::Signed) if signed != i64::MIN => write!(out, "{signed}"),
        _ if bits < 65536 => write!(out, "{bits}"),
        _ => write!(out, "0x{bits:X}"),
    }
}
