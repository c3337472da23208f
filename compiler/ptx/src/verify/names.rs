//! Entries as a whole: P14, P15 and P23.

use std::collections::BTreeSet;

use super::{Fault, Place, Problem};
use crate::module::{Entry, Module};
use crate::table::Op;
use crate::token::Space;

pub(super) fn check(module: &Module, problems: &mut Vec<Problem>) {
    let mut names = BTreeSet::new();
    for entry in &module.entries {
        let mut faults = Vec::new();
        if !is_identifier(&entry.name) || !names.insert(entry.name.clone()) {
            faults.push(Fault::Name { name: entry.name.clone() });
        }
        check_variables(entry, &mut faults);
        for label in &entry.labels {
            if !is_identifier(label) {
                faults.push(Fault::Name { name: label.clone() });
            }
        }
        check_extents(entry, &mut faults);
        let changes = entry.instructions().any(|inst| inst.form.op == Op::Setmaxnreg);
        if changes && entry.max_registers.is_none() && entry.min_ctas.is_none() {
            faults.push(Fault::RegistersAtEntry);
        }
        problems.extend(faults.into_iter().map(|fault| Problem { place: Place::entry(entry), fault }));
    }
}

fn check_variables(entry: &Entry, faults: &mut Vec<Fault>) {
    let mut names = BTreeSet::new();
    for variable in &entry.variables {
        let place = matches!(variable.space, Space::Shared | Space::Local | Space::Const);
        if !is_identifier(&variable.name) || !names.insert(&variable.name) || !place {
            faults.push(Fault::Name { name: variable.name.clone() });
        }
        if !variable.align.is_power_of_two() {
            faults.push(extent("the alignment of a variable", variable.align));
        }
        let given = u32::try_from(variable.data.len()).unwrap_or(u32::MAX);
        let expected = if variable.space == Space::Const { variable.size } else { 0 };
        if given != expected || (variable.size == 0 && !variable.is_dynamic()) {
            faults.push(extent("the bytes given for a variable", given));
        }
    }
    if entry.variables.iter().filter(|v| v.is_dynamic()).count() > 1 {
        faults.push(extent("the number of dynamic variables", 2));
    }
}

fn check_extents(entry: &Entry, faults: &mut Vec<Fault>) {
    for param in &entry.params {
        if !param.align.is_power_of_two() {
            faults.push(extent("the alignment of a parameter", param.align));
        }
        if param.size == 0 {
            faults.push(extent("the size of a parameter", 0));
        }
    }
    let product = |extents: [u32; 3]| extents.into_iter().fold(1_u64, |a, x| a.saturating_mul(u64::from(x)));
    if let Some(threads) = entry.block.map(product)
        && !(1..=1024).contains(&threads)
    {
        faults.push(Fault::Extent { what: "the threads of a block", value: threads });
    }
    if let Some(threads) = entry.max_threads
        && (!(1..=1024).contains(&threads) || entry.block.is_some())
    {
        faults.push(extent("the most threads of a block", threads));
    }
    if let Some(ctas) = entry.cluster.map(product)
        && !(1..=16).contains(&ctas)
    {
        faults.push(Fault::Extent { what: "the CTAs of a cluster", value: ctas });
    }
    if let Some(registers) = entry.max_registers
        && !(1..=255).contains(&registers)
    {
        faults.push(extent("the registers of a thread", registers));
    }
}

fn extent(what: &'static str, value: u32) -> Fault {
    Fault::Extent { what, value: u64::from(value) }
}

fn is_identifier(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic()) && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}
