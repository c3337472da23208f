//! P26 and P27: the partial order of every block.

use std::collections::{BTreeMap, BTreeSet};

use graph::dim::SymId;

use crate::plan::{Block, BufferId};
use crate::verify::Rule;
use crate::verify::checker::Checker;
use crate::verify::effects::Effects;
use crate::verify::memory::sharing;
use crate::verify::nesting::blocks_of;

pub(super) fn check<C>(c: &mut Checker<'_, C>) {
    let shared = sharing(c.plan);
    let body = &c.plan.body;
    c.path = "body".to_string();
    check_block(c, body, &shared);
}

/// Steps that touched something so far.
#[derive(Default)]
struct Touched {
    readers: Vec<usize>,
    writers: Vec<usize>,
}

fn check_block<'a, C>(c: &mut Checker<'a, C>, block: &'a Block, shared: &BTreeMap<BufferId, BTreeSet<BufferId>>) {
    let mut buffers: BTreeMap<BufferId, Touched> = BTreeMap::new();
    let mut symbols: BTreeMap<SymId, Touched> = BTreeMap::new();
    let mut reached: Vec<Reached> = Vec::with_capacity(block.steps.len());
    for (index, step) in block.steps.iter().enumerate() {
        c.at_step(Some((index, step)));
        let mut before = Reached::default();
        for (k, earlier) in step.after.iter().enumerate() {
            match reached.get(*earlier) {
                Some(further) => before.add(*earlier, further),
                None => c.report(Rule::After, format!("step {earlier} is not before this one")),
            }
            if k > 0 && step.after.get(k - 1) >= Some(earlier) {
                c.report(Rule::After, format!("step {earlier} is not in ascending order"));
            }
        }
        let effects = Effects::whole(c.plan, &step.action);
        let mut missing: BTreeMap<usize, String> = BTreeMap::new();
        let mut need = |steps: &[usize], why: &dyn Fn() -> String| {
            for earlier in steps.iter().filter(|k| !before.has(**k)) {
                missing.entry(*earlier).or_insert_with(why);
            }
        };
        for (writes, set) in [(false, &effects.reads), (true, &effects.writes)] {
            for id in set {
                let others = shared.get(id).into_iter().flatten();
                for other in std::iter::once(id).chain(others) {
                    let Some(touched) = buffers.get(other) else { continue };
                    let why = || match other == id {
                        true => format!("buffer ^{}", id.0),
                        false => format!("bytes that buffers ^{} and ^{} share", id.0, other.0),
                    };
                    need(&touched.writers, &why);
                    if writes {
                        need(&touched.readers, &why);
                    }
                }
            }
        }
        for (writes, set) in [(false, &effects.mentions), (true, &effects.defines)] {
            for id in set {
                let Some(touched) = symbols.get(id) else { continue };
                let why = || format!("symbol ${}", id.0);
                need(&touched.writers, &why);
                if writes {
                    need(&touched.readers, &why);
                }
            }
        }
        for (earlier, why) in missing {
            c.report(Rule::Hazards, format!("step {earlier} need not have ended, but both touch {why}"));
        }
        effects.reads.iter().for_each(|id| buffers.entry(*id).or_default().readers.push(index));
        effects.writes.iter().for_each(|id| buffers.entry(*id).or_default().writers.push(index));
        effects.mentions.iter().for_each(|id| symbols.entry(*id).or_default().readers.push(index));
        // Who mentions a symbol comes after the guards over it, as after the step that defines it.
        let gives = effects.defines.union(&effects.checks);
        gives.for_each(|id| symbols.entry(*id).or_default().writers.push(index));
        reached.push(before);
        for (word, inner) in blocks_of(&step.action) {
            c.inside(word, |c| check_block(c, inner, shared));
        }
    }
    c.at_step(None);
}

/// Steps that have ended when one begins, as bits.
#[derive(Clone, Default)]
struct Reached(Vec<u64>);

impl Reached {
    fn has(&self, step: usize) -> bool {
        self.0.get(step / 64).is_some_and(|word| word >> (step % 64) & 1 == 1)
    }

    /// Adds a step and those before it.
    fn add(&mut self, step: usize, before: &Reached) {
        let words = (step / 64 + 1).max(before.0.len());
        if self.0.len() < words {
            self.0.resize(words, 0);
        }
        self.0.iter_mut().zip(&before.0).for_each(|(to, from)| *to |= from);
        if let Some(word) = self.0.get_mut(step / 64) {
            *word |= 1 << (step % 64);
        }
    }
}
