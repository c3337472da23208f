//! What a step reads, writes, mentions and defines, with all that is inside it.

use std::collections::BTreeSet;

use graph::dim::{Dim, SymId};

use crate::plan::{Action, BufferId, Condition, Place, Plan, View};
use crate::verify::nesting::{blocks_of, type_symbols};

/// The effects of a step.
#[derive(Clone, Debug, Default)]
pub(super) struct Effects {
    pub reads: BTreeSet<BufferId>,
    pub writes: BTreeSet<BufferId>,
    pub mentions: BTreeSet<SymId>,
    pub defines: BTreeSet<SymId>,
    /// Symbols of guards.
    pub checks: BTreeSet<SymId>,
}

impl Effects {
    /// Those of the action itself, not of the blocks inside.
    pub fn own<C>(plan: &Plan<C>, action: &Action) -> Effects {
        let mut out = Effects::default();
        out.add(plan, action);
        out
    }

    /// Those of the action and the blocks inside.
    pub fn whole<C>(plan: &Plan<C>, action: &Action) -> Effects {
        let mut out = Effects::own(plan, action);
        for (_, block) in blocks_of(action) {
            for step in &block.steps {
                let inner = Effects::whole(plan, &step.action);
                out.reads.extend(inner.reads);
                out.writes.extend(inner.writes);
                out.mentions.extend(inner.mentions);
                out.defines.extend(inner.defines);
                out.checks.extend(inner.checks);
            }
        }
        out
    }

    fn size(&mut self, dim: &Dim) {
        dim.for_each_symbol(&mut |id| {
            self.mentions.insert(id);
        });
    }

    fn view(&mut self, view: &View) {
        view.shape.iter().chain(&view.access.strides).for_each(|d| self.size(d));
        self.size(&view.access.offset);
    }

    fn read(&mut self, view: &View) {
        self.reads.insert(view.buffer);
        self.view(view);
    }

    fn write(&mut self, view: &View) {
        self.writes.insert(view.buffer);
        self.view(view);
    }

    fn add<C>(&mut self, plan: &Plan<C>, action: &Action) {
        match action {
            Action::Launch(launch) => {
                launch.reads.iter().for_each(|v| self.read(v));
                launch.writes.iter().for_each(|v| self.write(v));
                launch.workspace.iter().for_each(|v| self.write(v));
                launch.sizes.iter().for_each(|d| self.size(d));
            }
            Action::Copy { from, to } => {
                self.read(from);
                self.write(to);
            }
            Action::Clear { buffer } => {
                self.writes.insert(*buffer);
                if let Some(cleared) = plan.buffers.get(buffer.0 as usize).filter(|b| b.place == Place::Growable) {
                    self.size(&cleared.elements);
                }
            }
            Action::Host(call) => {
                call.operands.iter().for_each(|v| self.read(v));
                call.results.iter().for_each(|v| self.write(v));
                let mentions = &mut self.mentions;
                call.result_types.iter().for_each(|ty| {
                    type_symbols(ty, &mut |id| {
                        mentions.insert(id);
                    });
                });
                self.defines.extend(&call.binds);
                call.binds.iter().for_each(|id| {
                    self.mentions.remove(id);
                });
            }
            Action::ReadBack { reads } => {
                for (from, symbol) in reads {
                    self.read(from);
                    self.defines.insert(*symbol);
                }
            }
            Action::Let { symbol, value } => {
                self.size(value);
                self.defines.insert(*symbol);
            }
            Action::Check { guard } => {
                if let Some(guard) = plan.guards.get(*guard) {
                    guard.pred.for_each_symbol(&mut |id| {
                        self.mentions.insert(id);
                        self.checks.insert(id);
                    });
                }
            }
            Action::Loop(inner) => {
                inner.trip.iter().for_each(|d| self.size(d));
                inner.limit.iter().chain(&inner.condition).for_each(|v| self.read(v));
                for (symbol, value) in inner.first.iter().chain(&inner.next) {
                    self.size(value);
                    self.defines.insert(*symbol);
                }
                for moved in &inner.carry {
                    self.read(&moved.from);
                    self.write(&moved.to);
                }
                self.defines.insert(inner.counter);
                self.defines.extend(inner.count);
            }
            Action::If(inner) => match &inner.condition {
                Condition::Value(view) => self.read(view),
                Condition::Size(size) => self.size(size),
            },
        }
    }
}
