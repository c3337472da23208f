//! Names of a body: registers (numbered at first use), labels, variables.

use std::collections::BTreeMap;

use crate::decode::Decoded;
use crate::fault::ParseError;
use crate::inst::{PReg, Reg, Src};
use crate::module::Param;
use crate::types::{Special, Ty};

/// First generic address of the parameters; the entry's first parameter lies there.
pub(crate) const PARAM_BASE: u64 = 0x7d00_0000_0000;

#[derive(Clone, Copy, Debug)]
enum Slot {
    Reg(Reg),
    Pred(PReg),
}

#[derive(Clone, Copy, Debug)]
struct Range {
    ty: Ty,
    /// `None` for a single name.
    count: Option<u32>,
}

#[derive(Debug)]
pub(crate) struct Names {
    variables: BTreeMap<String, u32>,
    params: BTreeMap<String, u32>,
    pub shared: BTreeMap<String, u32>,
    pub local: BTreeMap<String, u32>,
    pub labels: BTreeMap<String, u32>,
    pub tables: BTreeMap<String, Vec<String>>,
    /// Innermost scope last: what is declared, and what was used.
    scopes: Vec<(BTreeMap<String, Range>, BTreeMap<String, Slot>)>,
    widths: Vec<u8>,
    predicates: u32,
}

impl Names {
    pub fn new(variables: Vec<String>, params: &[Param]) -> Self {
        Names {
            variables: variables.into_iter().enumerate().map(|(k, name)| (name, k as u32)).collect(),
            params: params.iter().map(|p| (p.name.clone(), p.offset)).collect(),
            shared: BTreeMap::new(),
            local: BTreeMap::new(),
            labels: BTreeMap::new(),
            tables: BTreeMap::new(),
            scopes: vec![Default::default()],
            widths: Vec::new(),
            predicates: 0,
        }
    }

    pub fn open(&mut self) {
        self.scopes.push(Default::default());
    }

    pub fn close(&mut self) {
        self.scopes.pop();
    }

    pub fn declare(&mut self, name: &str, count: Option<u32>, ty: Ty) {
        if let Some((declared, used)) = self.scopes.last_mut() {
            declared.insert(name.to_string(), Range { ty, count });
            used.remove(name);
        }
    }

    pub fn widths(&self) -> Vec<u8> {
        self.widths.clone()
    }

    pub fn predicates(&self) -> u32 {
        self.predicates
    }

    fn slot(&mut self, name: &str) -> Option<Slot> {
        for k in (0..self.scopes.len()).rev() {
            let (declared, used) = &self.scopes[k];
            if let Some(slot) = used.get(name) {
                return Some(*slot);
            }
            let Some(ty) = declared_type(declared, name) else { continue };
            let slot = if ty == Ty::Pred {
                self.predicates += 1;
                Slot::Pred(self.predicates - 1)
            } else {
                self.widths.push(ty.bits() as u8);
                Slot::Reg(self.widths.len() as u32 - 1)
            };
            self.scopes[k].1.insert(name.to_string(), slot);
            return Some(slot);
        }
        None
    }

    pub fn reg(&mut self, line: u32, name: &str) -> Decoded<Reg> {
        match self.slot(name) {
            Some(Slot::Reg(reg)) => Ok(reg),
            Some(Slot::Pred(_)) => Err(ParseError::new(line, format!("`{name}` is a predicate"))),
            None => Err(ParseError::new(line, format!("`{name}` is no declared register"))),
        }
    }

    pub fn pred(&mut self, line: u32, name: &str) -> Decoded<PReg> {
        match self.slot(name) {
            Some(Slot::Pred(reg)) => Ok(reg),
            Some(Slot::Reg(_)) => Err(ParseError::new(line, format!("`{name}` is no predicate"))),
            None => Err(ParseError::new(line, format!("`{name}` is no declared predicate"))),
        }
    }

    pub fn is_pred(&self, name: &str) -> bool {
        self.scopes.iter().rev().find_map(|(declared, _)| declared_type(declared, name)) == Some(Ty::Pred)
    }

    /// A register, or the address of a variable.
    pub fn value(&mut self, line: u32, name: &str) -> Decoded<Src> {
        if let Some(slot) = self.slot(name) {
            return match slot {
                Slot::Reg(reg) => Ok(Src::Reg(reg)),
                Slot::Pred(_) => Err(ParseError::new(line, format!("`{name}` is a predicate"))),
            };
        }
        if let Some(special) = Special::parse(name) {
            return Ok(Src::Special(special));
        }
        if let Some(offset) = self.shared.get(name).or(self.local.get(name)) {
            return Ok(Src::Imm(u64::from(*offset)));
        }
        if let Some(offset) = self.params.get(name) {
            return Ok(Src::Imm(PARAM_BASE + u64::from(*offset)));
        }
        if let Some(variable) = self.variables.get(name) {
            return Ok(Src::Variable(*variable, 0));
        }
        Err(ParseError::new(line, format!("`{name}` is neither a register nor a variable")))
    }

    pub fn label(&self, line: u32, name: &str) -> Decoded<u32> {
        let found = self.labels.get(name).copied();
        found.ok_or_else(|| ParseError::new(line, format!("label `{name}` is not there")))
    }
}

fn declared_type(declared: &BTreeMap<String, Range>, name: &str) -> Option<Ty> {
    if let Some(range) = declared.get(name).filter(|r| r.count.is_none()) {
        return Some(range.ty);
    }
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    // A stem may itself end in a digit (`%r1_<4>` does not, `%acc2<8>` does), so every split is tried.
    (stem.len()..name.len()).find_map(|cut| {
        let range = declared.get(&name[..cut])?;
        let index: u32 = name[cut..].parse().ok()?;
        (range.count? > index).then_some(range.ty)
    })
}
