//! What a step reads and writes, bodies included.

use graph::dim::{Dim, SymId};

use crate::plan::{Action, Block, BufferId, Condition, View};

/// Buffers and symbols that a step touches.
#[derive(Clone, Debug, Default)]
pub struct Touch {
    pub reads: Vec<BufferId>,
    pub writes: Vec<BufferId>,
    pub uses: Vec<SymId>,
    pub defines: Vec<SymId>,
    /// Guards that it checks; their symbols, once it is known which, are `checks`.
    pub guards: Vec<usize>,
    pub checks: Vec<SymId>,
    /// Buffers that it zeroes, among `writes`; the sizes of growable ones are not among `uses`.
    pub clears: Vec<BufferId>,
}

impl Touch {
    /// All of one step.
    pub fn of(action: &Action) -> Touch {
        let mut touch = Touch::default();
        touch.add(action);
        touch
    }

    fn read(&mut self, view: &View) {
        self.reads.push(view.buffer);
        self.view_sizes(view);
    }

    fn write(&mut self, view: &View) {
        self.writes.push(view.buffer);
        self.view_sizes(view);
    }

    fn view_sizes(&mut self, view: &View) {
        view.shape.iter().chain(&view.access.strides).chain([&view.access.offset]).for_each(|d| self.size(d));
    }

    fn size(&mut self, dim: &Dim) {
        dim.for_each_symbol(&mut |s| self.uses.push(s));
    }

    fn add(&mut self, action: &Action) {
        match action {
            Action::Launch(launch) => {
                launch.reads.iter().for_each(|v| self.read(v));
                launch.writes.iter().chain(&launch.workspace).for_each(|v| self.write(v));
                launch.sizes.iter().for_each(|d| self.size(d));
            }
            Action::Copy { from, to } => {
                self.read(from);
                self.write(to);
            }
            Action::Clear { buffer } => {
                self.writes.push(*buffer);
                self.clears.push(*buffer);
            }
            Action::Host(call) => {
                call.operands.iter().for_each(|v| self.read(v));
                call.results.iter().for_each(|v| self.write(v));
                self.defines.extend(&call.binds);
            }
            Action::ReadBack { reads } => {
                for (from, symbol) in reads {
                    self.read(from);
                    self.defines.push(*symbol);
                }
            }
            Action::Let { symbol, value } => {
                self.size(value);
                self.defines.push(*symbol);
            }
            Action::Check { guard } => self.guards.push(*guard),
            Action::Loop(step) => {
                step.trip.iter().for_each(|d| self.size(d));
                step.limit.iter().chain(&step.condition).for_each(|v| self.read(v));
                for (symbol, value) in step.first.iter().chain(&step.next) {
                    self.defines.push(*symbol);
                    self.size(value);
                }
                self.defines.push(step.counter);
                self.defines.extend(step.count);
                self.block(&step.body);
                for carry in &step.carry {
                    self.read(&carry.from);
                    self.write(&carry.to);
                }
            }
            Action::If(step) => {
                match &step.condition {
                    Condition::Value(view) => self.read(view),
                    Condition::Size(size) => self.size(size),
                }
                self.block(&step.then_block);
                self.block(&step.else_block);
            }
        }
    }

    fn block(&mut self, block: &Block) {
        block.steps.iter().for_each(|s| self.add(&s.action));
    }
}
