//! Instructions.

use std::collections::BTreeMap;

use super::FORMS;
use crate::builder::mask;
use crate::form::{Form, Many, Role, Spec};
use crate::inst::{Address, Base, Guard, Inst, Label, Operand, Param, Reg, Special, Variable};
use crate::print::prefix;
use crate::token::{Class, Type};

/// What names stand for.
#[derive(Default)]
pub(super) struct Names {
    pub variables: BTreeMap<String, Variable>,
    pub params: BTreeMap<String, Param>,
    pub labels: BTreeMap<u32, String>,
}

impl Names {
    /// `end_if_3` is label 3.
    pub fn label(&mut self, text: &str) -> Option<Label> {
        let (name, number) = text.rsplit_once('_')?;
        let number = number.parse().ok()?;
        self.labels.insert(number, name.to_string());
        Some(Label(number))
    }
}

pub(super) fn parse(text: &str, names: &mut Names) -> Option<Inst> {
    let text = text.strip_suffix(';')?;
    let (guard, text) = match text.strip_prefix('@') {
        Some(rest) => {
            let (guard, rest) = rest.split_once(' ')?;
            let plain = guard.strip_prefix('!');
            (Some(Guard { reg: reg(plain.unwrap_or(guard))?, negated: plain.is_some() }), rest)
        }
        None => (None, text),
    };
    // The longest spelling first: one of them has a space inside.
    let (opcode, rest) = if FORMS.contains_key(text) { (text, "") } else { text.split_once(' ').unwrap_or((text, "")) };
    let parts = split(rest)?;
    let forms = FORMS.get(opcode)?;
    let (form, operands) = forms.iter().find_map(|form| Some((*form, operands(*form, &parts, names)?)))?;
    Some(Inst { form, guard, operands })
}

/// Operands with whether `|` stands before them.
fn split(text: &str) -> Option<Vec<(bool, &str)>> {
    let mut out = Vec::new();
    let (mut depth, mut start, mut joined) = (0_u32, 0, false);
    for (at, c) in text.char_indices() {
        match c {
            '{' | '[' => depth += 1,
            '}' | ']' => depth = depth.checked_sub(1)?,
            ',' | '|' if depth == 0 => {
                out.push((joined, text.get(start..at)?.trim()));
                (start, joined) = (at + 1, c == '|');
            }
            _ => {}
        }
    }
    if !text.is_empty() {
        out.push((joined, text.get(start..)?.trim()));
    }
    Some(out)
}

fn operands(form: Form, parts: &[(bool, &str)], names: &mut Names) -> Option<Vec<Operand>> {
    let specs = form.row().operands;
    (specs.len() == parts.len()).then_some(())?;
    specs.iter().zip(parts).map(|(spec, (joined, part))| operand(form, *spec, *joined, part, names)).collect()
}

fn operand(form: Form, spec: Spec, joined: bool, text: &str, names: &mut Names) -> Option<Operand> {
    (joined == (spec.count == Many::Also)).then_some(())?;
    let (count, braces) = form.count_of(spec.count)?;
    let (class, ty) = (form.class_of(spec.ty)?, form.type_of(spec.ty)?);
    match spec.role {
        Role::Label => names.label(text).map(Operand::Label),
        Role::Address(..) => address(inside(text, '[', ']')?, names).map(Operand::Address),
        Role::Tensor(_) => {
            let (map, coordinates) = inside(text, '[', ']')?.split_once(", ")?;
            let coordinates = list(coordinates)?;
            (coordinates.len() == count).then_some(Operand::Tensor(address(map, names)?, coordinates))
        }
        Role::Sink | Role::WriteOrSink if text == "_" => Some(Operand::Sink),
        Role::Sink => None,
        _ if braces => {
            let regs = list(text)?;
            (regs.len() == count && regs.iter().all(|r| r.class == class)).then_some(Operand::Vector(regs))
        }
        Role::Write | Role::WriteOrSink | Role::ReadRegister | Role::Update => of_class(text, class),
        Role::Constant => immediate(text, ty).map(Operand::Imm),
        Role::Read => of_class(text, class).or_else(|| immediate(text, ty).map(Operand::Imm)),
        Role::Source => of_class(text, class)
            .or_else(|| immediate(text, ty).map(Operand::Imm))
            .or_else(|| special(text).map(Operand::Special))
            .or_else(|| names.variables.get(text).copied().map(Operand::Variable))
            .or_else(|| names.params.get(text).copied().map(Operand::Param)),
    }
}

fn of_class(text: &str, class: Class) -> Option<Operand> {
    reg(text).filter(|reg| reg.class == class).map(Operand::Reg)
}

fn reg(text: &str) -> Option<Reg> {
    Class::ALL.into_iter().find_map(|class| {
        let index = text.strip_prefix(prefix(class))?.parse().ok()?;
        Some(Reg { class, index })
    })
}

fn special(text: &str) -> Option<Special> {
    let name = text.strip_prefix('%')?;
    Special::ALL.iter().copied().find(|special| special.text() == name)
}

fn list(text: &str) -> Option<Vec<Reg>> {
    inside(text, '{', '}')?.split(", ").map(reg).collect()
}

fn address(text: &str, names: &Names) -> Option<Address> {
    let (base, offset) = match text.split_once('+') {
        Some((base, offset)) => (base, offset.parse().ok()?),
        None => (text, 0),
    };
    let variable = || names.variables.get(base).copied().map(Base::Variable);
    let param = || names.params.get(base).copied().map(Base::Param);
    let base = reg(base).map(Base::Reg).or_else(variable).or_else(param)?;
    Some(Address { base, offset })
}

fn immediate(text: &str, ty: Type) -> Option<u64> {
    let hexadecimal = ["0f", "0d", "0x"].into_iter().find_map(|start| text.strip_prefix(start));
    let bits = match (hexadecimal, text.strip_prefix('-')) {
        (Some(digits), _) => u64::from_str_radix(digits, 16).ok()?,
        (None, Some(digits)) => digits.parse::<i64>().ok()?.checked_neg()?.cast_unsigned(),
        (None, None) => text.parse().ok()?,
    };
    Some(bits & mask(ty))
}

fn inside(text: &str, open: char, close: char) -> Option<&str> {
    text.strip_prefix(open)?.strip_suffix(close)
}
