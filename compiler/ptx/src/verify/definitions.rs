//! Definition before use on every path, and ends: P16 and P17.

use std::collections::BTreeSet;

use super::{Fault, Place, Problem};
use crate::flow::Flow;
use crate::inst::{Guard, Reg, Stmt};
use crate::module::Entry;
use crate::token::Class;

/// Registers as bits, by class and number.
#[derive(Clone, Default, PartialEq, Eq)]
struct Registers([Vec<u64>; Class::ALL.len()]);

impl Registers {
    fn contains(&self, reg: Reg) -> bool {
        let words = self.0.get(reg.class as usize);
        words.and_then(|words| words.get(reg.index as usize / 64)).is_some_and(|word| word >> (reg.index % 64) & 1 == 1)
    }

    fn insert(&mut self, reg: Reg) {
        let Some(words) = self.0.get_mut(reg.class as usize) else { return };
        let at = reg.index as usize / 64;
        if words.len() <= at {
            words.resize(at + 1, 0);
        }
        if let Some(word) = words.get_mut(at) {
            *word |= 1 << (reg.index % 64);
        }
    }

    /// Leaves what the other has, too.
    fn meet(&mut self, other: &Registers) {
        for (own, theirs) in self.0.iter_mut().zip(&other.0) {
            own.truncate(theirs.len());
            own.iter_mut().zip(theirs).for_each(|(own, theirs)| *own &= theirs);
        }
    }
}

/// What is defined at a point on every way to it. What a guarded instruction writes is defined under that guard, until the guard's
/// predicate changes.
#[derive(Clone, Default, PartialEq, Eq)]
struct Defined {
    always: Registers,
    under: BTreeSet<(Reg, Guard)>,
}

impl Defined {
    fn has(&self, reg: Reg, guard: Option<Guard>) -> bool {
        self.always.contains(reg) || guard.is_some_and(|guard| self.under.contains(&(reg, guard)))
    }

    fn define(&mut self, reg: Reg, guard: Option<Guard>) {
        if reg.class == Class::Pred {
            self.under.retain(|(_, g)| g.reg != reg);
        }
        let Some(guard) = guard else {
            self.always.insert(reg);
            return;
        };
        let opposite = Guard { negated: !guard.negated, ..guard };
        if self.under.contains(&(reg, opposite)) {
            self.always.insert(reg);
        } else if !self.always.contains(reg) {
            self.under.insert((reg, guard));
        }
    }

    fn meet(&mut self, other: &Defined) {
        self.always.meet(&other.always);
        self.under.retain(|(reg, guard)| other.has(*reg, Some(*guard)));
    }
}

pub(super) fn check(entry: &Entry, flow: &Flow, problems: &mut Vec<Problem>) {
    let mut at_end: Vec<Option<Defined>> = vec![None; flow.blocks.len()];
    let mut at_start: Vec<Option<Defined>> = vec![None; flow.blocks.len()];
    let mut changed = true;
    while changed {
        changed = false;
        for block in &flow.order {
            let Some(info) = flow.block(*block) else { continue };
            let known = info.before.iter().filter_map(|b| at_end.get(*b).and_then(Option::as_ref));
            let met = known.fold((*block == 0).then(Defined::default), |met, other| match met {
                Some(mut met) => {
                    met.meet(other);
                    Some(met)
                }
                None => Some(other.clone()),
            });
            let mut state = met.unwrap_or_default();
            if let Some(place) = at_start.get_mut(*block) {
                *place = Some(state.clone());
            }
            for inst in entry.body.get(info.stmts.clone()).unwrap_or_default().iter().filter_map(Stmt::as_inst) {
                inst.writes().into_iter().for_each(|reg| state.define(reg, inst.guard));
            }
            if let Some(place) = at_end.get_mut(*block)
                && place.as_ref() != Some(&state)
            {
                *place = Some(state);
                changed = true;
            }
        }
    }
    report(entry, flow, &at_start, problems);
}

fn report(entry: &Entry, flow: &Flow, at_start: &[Option<Defined>], problems: &mut Vec<Problem>) {
    for (info, start) in flow.blocks.iter().zip(at_start) {
        let Some(mut state) = start.clone() else { continue };
        for at in info.stmts.clone() {
            let Some(inst) = entry.body.get(at).and_then(Stmt::as_inst) else { continue };
            let undefined: BTreeSet<Reg> =
                inst.reads().into_iter().filter(|reg| !state.has(*reg, inst.guard)).collect();
            for reg in undefined {
                let fault = Fault::Undefined { class: reg.class, index: reg.index };
                problems.push(Problem { place: Place::stmt(entry, at), fault });
            }
            inst.writes().into_iter().for_each(|reg| state.define(reg, inst.guard));
        }
        if info.falls_off {
            problems.push(Problem { place: Place::entry(entry), fault: Fault::End });
        }
    }
    if entry.body.is_empty() {
        problems.push(Problem { place: Place::entry(entry), fault: Fault::End });
    }
}
