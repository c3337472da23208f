//! All steps of a recurrent layer in one kernel, which waits for nothing but its own CTAs.
//!
//! A cluster has some rows of the batch. Each of its CTAs keeps the weights of a share of the hidden units, in registers where they
//! fit, and the states of the step before in shared memory; what it computes it writes into the shared memory of all.
//!
//! ```text
//! CTA 0: units 0..32   ┌ lanes of a unit: parts of Σ state * weight of all gates ─► sums ─► gates, cell, state ┐
//! CTA 1: units 32..64  │                                                                                       ├─► states of the step
//! …                    └ two buffers in turns, one barrier a step ◄────────────────────────────────────────────┘    in every CTA
//! ```
//!
//! - What a step makes of the sums is an expression, as the region's body has it.
//! - Traffic: the input's part of the gates once, one step ahead; weights once, or once a step from the caches.
//! - Limits: hidden sizes that are multiples of 4; one product a step. Clusters from sm_90 on, else single CTAs.
//!
//! Source of the idea: persistent recurrent networks (Diamos et al. 2016), with states exchanged through a cluster's shared memory.

use graph::expr::{ExprId, Exprs};
use graph::symbol::Symbols;
use nest::index::IndexSpace;
use ptx::{ArriveOrder, Builder, Cmp, Entry, Form, Op, ParamRole, Reg, Shuffle, Sm, Space, Special, Type, Vector};
use ptx_expr::{Emitter, Error, Leaves, Load, Machine, Options, Value, Whole};

use crate::cluster::MOST;
use crate::fragment::Input;
use crate::launch::{KernelError, Params, Role, Tensor};
use crate::val::{Val, address};

mod variant;

pub use variant::{RecurrentVariant, variants};

const FAMILY: &str = "recurrent";
/// Registers of a multiprocessor.
const REGISTERS: u32 = 64 * 1024;

/// What is to be computed. Steps and rows of the batch are arguments (rows and columns).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recurrent {
    /// The weights' type; states and sums are f32.
    pub input: Input,
    pub hidden: u32,
    pub gates: u32,
    /// Whether there is a cell beside the state.
    pub cell: bool,
    /// Whether numbers by hidden unit take part.
    pub extra: bool,
    pub lengths: bool,
    /// New state and, if there is one, new cell, in the arena.
    pub exprs: Exprs,
    pub outs: Vec<ExprId>,
    pub leaves: Vec<(ExprId, Leaf)>,
}

/// What a load of the expressions stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaf {
    /// The input's part of a gate.
    Input(u32),
    /// The product with the state.
    Product(u32),
    /// State or cell before the step.
    Before,
    /// A number of the unit, by its row in the operand.
    Extra(u32),
}

/// The kernel, what its parameters carry, and its shared memory.
#[derive(Debug)]
pub struct RecurrentKernel {
    pub entry: Entry,
    pub roles: Vec<Role>,
    pub shared: u32,
}

/// Whether a variant can run.
pub fn check(problem: &Recurrent, variant: &RecurrentVariant, sm: Sm) -> Result<(), KernelError> {
    let refuse = |what, found, rule| Err(KernelError::Variant { family: FAMILY, what, found, rule });
    if variant.ctas > 1 && sm.number() < 90 {
        return Err(KernelError::Target { family: FAMILY, what: "a cluster", least: 90, sm });
    }
    if variant.ctas == 0 || variant.ctas > MOST || variant.ctas > variant.lanes {
        return refuse(
            "CTAs of a cluster",
            variant.ctas,
            "each lane of a unit writes to at most one CTA, and there are 8 at most",
        );
    }
    if problem.hidden == 0 || problem.hidden % 4 != 0 || problem.hidden > 2048 {
        return refuse("hidden size", problem.hidden, "it must be a multiple of 4, at most 2048");
    }
    let (units, each) = variant.units(problem.hidden);
    let registers = each * variant.rows * (problem.gates * 3 + 4);
    if registers > 96 || units * variant.lanes * 2 < variant.threads {
        return refuse("units", units, "they must fill the threads, and their gates fit into registers");
    }
    // Weights that are loaded in each step are those of a unit at a time, with their addresses.
    let resident = variant.resident((problem.hidden, problem.gates));
    let (units_held, others) = if resident { (each, 32) } else { (1, 40) };
    let held = registers + units_held * problem.gates * variant.quads(problem.hidden) * 4;
    if held + others > REGISTERS / variant.threads {
        return refuse("registers", held, "more leave none for addresses");
    }
    if matches!(problem.input, Input::Tf32) {
        return refuse("input bytes", 4, "weights are multiplied as they are");
    }
    Ok(())
}

/// Emits the kernel.
pub fn emit(problem: &Recurrent, variant: &RecurrentVariant, sm: Sm) -> Result<RecurrentKernel, KernelError> {
    check(problem, variant, sm)?;
    let name = format!("recurrent_{}_{}_{}", problem.input.name(), problem.hidden, variant.name());
    let mut b = Builder::new(&name);
    b.block([variant.threads, 1, 1]);
    if variant.ctas > 1 {
        b.cluster([variant.ctas, 1, 1]);
    }
    let mut params = Params::default();
    let mut layer = Layer::new(&mut b, &mut params, problem, variant, sm);
    layer.run(&mut b)?;
    Ok(RecurrentKernel { entry: b.finish(), roles: params.finish(), shared: shared(problem, variant) })
}

/// Bytes of shared memory.
pub fn shared(problem: &Recurrent, variant: &RecurrentVariant) -> u32 {
    2 * variant.rows * pitch(problem, variant)
}

/// Bytes between rows of states.
fn pitch(problem: &Recurrent, variant: &RecurrentVariant) -> u32 {
    variant.quads(problem.hidden) * variant.lanes * 16
}

/// A hidden unit of a thread.
struct Unit {
    index: Val,
    exists: Option<Reg>,
    /// Per gate, the lane's weights; empty where they are loaded in each step.
    weights: Vec<Vec<Reg>>,
    extra: Vec<(u32, Reg)>,
    /// Per row of the batch.
    states: Vec<State>,
}

struct State {
    /// State and cell.
    values: Vec<Reg>,
    /// The input's part of the gates in this step and the next.
    now: Vec<Reg>,
    next: Vec<Reg>,
}

struct Layer<'a> {
    problem: &'a Recurrent,
    variant: &'a RecurrentVariant,
    sm: Sm,
    steps: Reg,
    batch: Val,
    first: Val,
    reads: Vec<Reg>,
    writes: Vec<Reg>,
    lengths: Vec<Reg>,
    thread: Val,
    lane: Val,
    shared: Reg,
    units: Vec<Unit>,
}

impl<'a> Layer<'a> {
    fn new(
        b: &mut Builder,
        params: &mut Params,
        problem: &'a Recurrent,
        variant: &'a RecurrentVariant,
        sm: Sm,
    ) -> Layer<'a> {
        let steps = params.u32(b, Role::Rows).reg(b);
        let batch = params.u32(b, Role::Columns);
        let count = 3 + u32::from(problem.cell) + u32::from(problem.extra) + u32::from(problem.lengths);
        let reads = (0..count).map(|k| params.pointer(b, Role::Pointer(Tensor::Read(k)), ParamRole::Data)).collect();
        let results = 2 + u32::from(problem.cell);
        let writes =
            (0..results).map(|k| params.pointer(b, Role::Pointer(Tensor::Write(k)), ParamRole::Data)).collect();
        let thread = Val::Reg(b.special(Special::TidX));
        let (cluster, rank) = Val::Reg(b.special(Special::CtaidX)).div_rem(b, variant.ctas);
        let shared = b.dynamic_shared(128);
        let shared = b.mov(Type::U32, shared);
        let first = cluster.mul(b, variant.rows);
        let (group, lane) = thread.div_rem(b, variant.lanes);
        let mut layer = Layer {
            problem,
            variant,
            sm,
            steps,
            batch,
            first,
            reads,
            writes,
            lengths: Vec::new(),
            thread,
            lane,
            shared,
            units: Vec::new(),
        };
        layer.lengths = layer.load_lengths(b);
        let (units, each) = variant.units(problem.hidden);
        let groups = variant.threads / variant.lanes;
        let start = rank.mul(b, units);
        for k in 0..each {
            let own = group.add(b, k * groups);
            let index = start.add(b, own);
            let exists = (units % groups != 0 || problem.hidden % units != 0).then(|| {
                let (here, anywhere) = (own.less(b, units), index.less(b, problem.hidden));
                b.and(Type::Pred, here, anywhere)
            });
            let index = index.min(b, problem.hidden - 1);
            let unit = layer.unit(b, index, exists);
            layer.units.push(unit);
        }
        layer
    }

    fn pitch(&self) -> u32 {
        pitch(self.problem, self.variant)
    }

    /// A row of the batch; one beyond the last is the last.
    fn row(&self, b: &mut Builder, r: u32) -> Val {
        let last = self.batch.sub(b, 1);
        self.first.add(b, r).min(b, last)
    }

    fn load_lengths(&self, b: &mut Builder) -> Vec<Reg> {
        if !self.problem.lengths {
            return Vec::new();
        }
        let at = 3 + usize::from(self.problem.cell) + usize::from(self.problem.extra);
        (0..self.variant.rows)
            .filter_map(|r| {
                let row = self.row(b, r);
                let from = address(b, *self.reads.get(at)?, row, 8);
                let length = b.ld(Space::Global, Type::U64, from);
                let small = b.max(Type::S64, length, 0_u64);
                let steps = b.cvt(Type::U64, Type::U32, self.steps);
                let least = b.min(Type::S64, small, steps);
                Some(b.cvt(Type::U32, Type::U64, least))
            })
            .collect()
    }

    fn unit(&self, b: &mut Builder, index: Val, exists: Option<Reg>) -> Unit {
        let problem = self.problem;
        let resident = self.variant.resident((problem.hidden, problem.gates));
        let weights =
            (0..problem.gates).map(|g| if resident { self.weights(b, index, g) } else { Vec::new() }).collect();
        let mut extra: Vec<(u32, Reg)> = Vec::new();
        for (_, leaf) in &problem.leaves {
            if let Leaf::Extra(row) = leaf
                && !extra.iter().any(|(known, _)| known == row)
                && let Some(base) = self.reads.get(3 + usize::from(problem.cell))
            {
                let at = index.add(b, row * problem.hidden);
                let at = address(b, *base, at, 4);
                extra.push((*row, b.ld(Space::Global, Type::F32, at)));
            }
        }
        let states = (0..self.variant.rows)
            .map(|r| {
                let row = self.row(b, r);
                let at = row.mul(b, problem.hidden).add(b, index);
                let values = (0..1 + usize::from(problem.cell))
                    .filter_map(|k| {
                        let at = address(b, *self.reads.get(2 + k)?, at, 4);
                        let value = b.ld(Space::Global, Type::F32, at);
                        Some(b.mov(Type::F32, value))
                    })
                    .collect();
                let mut regs = |_| (0..problem.gates).map(|_| b.mov(Type::F32, 0.0_f32)).collect();
                State { values, now: regs(0), next: regs(1) }
            })
            .collect();
        Unit { index, exists, weights, extra, states }
    }

    /// The lane's weights of a gate of a unit, 0 beyond the last.
    fn weights(&self, b: &mut Builder, unit: Val, gate: u32) -> Vec<Reg> {
        let problem = self.problem;
        let Some(base) = self.reads.get(1).copied() else { return Vec::new() };
        let row = unit.add(b, gate * problem.hidden).mul(b, problem.hidden);
        let bytes = problem.input.bytes();
        let mut out = Vec::new();
        for j in 0..self.variant.quads(problem.hidden) {
            let column = self.lane.add(b, j * self.variant.lanes).mul(b, 4);
            let whole = (j + 1) * self.variant.lanes * 4 <= problem.hidden;
            let inside = column.less(b, problem.hidden);
            let at = row.add(b, column);
            let at = address(b, base, at, bytes);
            let words: Vec<Reg> = (0..bytes).map(|_| b.mov(Type::B32, 0_u32)).collect();
            let load = |b: &mut Builder| {
                let (op, vector) = if bytes == 4 { (Op::LdV4, Vector::V4) } else { (Op::Ld, Vector::V2) };
                let form = Form::new(op, (Space::Global, vector, Type::B32));
                b.emit(form, [words.as_slice().into(), ptx::Address::from(at).into()]);
            };
            if whole {
                load(b)
            } else {
                b.guarded(inside, load)
            }
            for word in words {
                match problem.input {
                    Input::F32 | Input::Tf32 => out.push(word),
                    Input::F16 => out.extend(
                        b.unpack(word).into_iter().map(|half| b.cvt(Type::F32, Type::F16, half)).collect::<Vec<_>>(),
                    ),
                    Input::Bf16 => {
                        out.push(b.shl(Type::B32, word, 16_u32));
                        out.push(b.and(Type::B32, word, 0xFFFF_0000_u32));
                    }
                }
            }
        }
        out
    }

    /// Loads the input's part of the gates of a step into registers.
    fn inputs(&self, b: &mut Builder, step: Reg, exists: Reg) {
        let Some(base) = self.reads.first().copied() else { return };
        let wide = self.problem.gates * self.problem.hidden;
        for (r, row) in (0..self.variant.rows).map(|r| (r as usize, self.row(b, r))).collect::<Vec<_>>() {
            let line = Val::Reg(step).mul(b, self.batch).add(b, row).reg(b);
            let start = b.mul_wide(Type::U32, line, wide * 4);
            let start = b.add(Type::U64, start, base);
            for unit in &self.units {
                let Some(state) = unit.states.get(r) else { continue };
                let at = address(b, start, unit.index, 4);
                b.guarded(exists, |b| {
                    for (g, reg) in (0_i64..).zip(&state.next) {
                        let address = ptx::Address::from((at, g * i64::from(self.problem.hidden) * 4));
                        let form = Form::new(Op::Ld, (Space::Global, Vector::One, Type::F32));
                        b.emit(form, [(*reg).into(), address.into()]);
                    }
                });
            }
        }
    }

    /// All threads of the cluster wait for each other and see what was written.
    fn meet(&self, b: &mut Builder) {
        if self.variant.ctas == 1 {
            return b.barrier();
        }
        b.emit(Form::new(Op::ClusterArrive, ArriveOrder::Default), []);
        b.emit(Form::new(Op::ClusterWait, ()), []);
    }

    /// The states before the first step, and zeros in the other buffer.
    fn fill(&self, b: &mut Builder) {
        let (rows, width) = (self.variant.rows, self.pitch() / 4);
        let Some(base) = self.reads.get(2).copied() else { return };
        let zero = b.mov(Type::F32, 0.0_f32);
        let thread = self.thread.reg(b);
        for r in 0..rows {
            let row = self.row(b, r);
            let from = row.mul(b, self.problem.hidden);
            b.for_loop(Type::U32, thread, width, self.variant.threads, |b, at| {
                let unit = Val::Reg(at);
                let value = b.mov(Type::F32, 0.0_f32);
                let inside = unit.less(b, self.problem.hidden);
                let index = from.add(b, unit);
                let source = address(b, base, index, 4);
                b.guarded(inside, |b| {
                    let form = Form::new(Op::Ld, (Space::Global, Vector::One, Type::F32));
                    b.emit(form, [value.into(), ptx::Address::from(source).into()]);
                });
                let to = unit.mul(b, 4).add(b, self.shared).reg(b);
                b.st(Space::Shared, Type::F32, (to, i64::from(r * self.pitch())), value);
                b.st(Space::Shared, Type::F32, (to, i64::from((rows + r) * self.pitch())), zero);
            });
        }
    }

    fn run(&mut self, b: &mut Builder) -> Result<(), KernelError> {
        self.fill(b);
        let some = b.setp(Cmp::Gt, Type::U32, self.steps, 0_u32);
        let step = b.mov(Type::U32, 0_u32);
        self.inputs(b, step, some);
        self.turn(b);
        self.meet(b);
        let buffer = self.variant.rows * self.pitch();
        // A lane writes the states to one CTA of the cluster.
        let peer = if self.variant.ctas > 1 {
            let rank = self.lane.and(b, self.variant.ctas - 1).reg(b);
            b.value(Form::new(Op::Mapa, ()), [self.shared.into(), rank.into()])
        } else {
            self.shared
        };
        let writes = self.lane.less(b, self.variant.ctas);
        let is_first = self.lane.less(b, 1);
        let read = b.mov(Type::U32, 0_u32);
        let write = b.mov(Type::U32, buffer);
        let (head, done) = (b.label("STEPS"), b.label("STEPS_DONE"));
        b.bra_unless(some, done);
        b.place(head);
        let next = b.add(Type::U32, step, 1_u32);
        let more = b.setp(Cmp::Lt, Type::U32, next, self.steps);
        self.inputs(b, next, more);
        let sums = self.products(b, read);
        let space = if self.variant.ctas > 1 { Space::Cluster } else { Space::Shared };
        for (unit, sums) in self.units.iter().zip(&sums) {
            for (r, (state, sums)) in (0_u32..).zip(unit.states.iter().zip(sums)) {
                let new = self.point(b, unit, state, sums)?;
                let mut output = new.first().copied().unwrap_or(step);
                if let Some(length) = self.lengths.get(r as usize) {
                    let inside = b.setp(Cmp::Lt, Type::U32, step, *length);
                    output = b.selp(Type::F32, output, 0.0_f32, inside);
                    for (old, new) in state.values.iter().zip(&new) {
                        let kept = b.selp(Type::F32, *new, *old, inside);
                        b.mov_to(Type::F32, *old, kept);
                    }
                } else {
                    state.values.iter().zip(&new).for_each(|(old, new)| b.mov_to(Type::F32, *old, *new));
                }
                let Some(value) = state.values.first().copied() else { continue };
                let place = unit.index.mul(b, 4).add(b, write).add(b, peer).reg(b);
                let mine = self.both(b, writes, unit.exists);
                b.guarded(mine, |b| b.st(space, Type::F32, (place, i64::from(r * self.pitch())), value));
                self.store(b, unit, (r, is_first), (self.writes.len() - 1, step), output);
            }
        }
        self.turn(b);
        self.meet(b);
        let before = b.mov(Type::U32, read);
        b.mov_to(Type::U32, read, write);
        b.mov_to(Type::U32, write, before);
        b.mov_to(Type::U32, step, next);
        let again = b.setp(Cmp::Lt, Type::U32, step, self.steps);
        b.bra_if(again, head);
        b.place(done);
        let zero = b.mov(Type::U32, 0_u32);
        for unit in &self.units {
            for (r, state) in (0_u32..).zip(&unit.states) {
                for (k, value) in state.values.iter().enumerate() {
                    self.store(b, unit, (r, is_first), (k, zero), *value);
                }
            }
        }
        Ok(())
    }

    /// What was loaded ahead is that of this step.
    fn turn(&self, b: &mut Builder) {
        for state in self.units.iter().flat_map(|u| &u.states) {
            state.now.iter().zip(&state.next).for_each(|(now, next)| b.mov_to(Type::F32, *now, *next));
        }
    }

    fn both(&self, b: &mut Builder, one: Reg, other: Option<Reg>) -> Reg {
        match other {
            Some(other) => b.and(Type::Pred, one, other),
            None => one,
        }
    }

    /// Stores a number of a unit and a row of the batch, if both exist.
    fn store(&self, b: &mut Builder, unit: &Unit, (r, first): (u32, Reg), (result, step): (usize, Reg), value: Reg) {
        let Some(base) = self.writes.get(result).copied() else { return };
        let row = self.first.add(b, r);
        let inside = row.less(b, self.batch);
        let mine = self.both(b, first, unit.exists);
        let mine = b.and(Type::Pred, mine, inside);
        let line = Val::Reg(step).mul(b, self.batch).add(b, row).reg(b);
        let start = b.mul_wide(Type::U32, line, self.problem.hidden * 4);
        let start = b.add(Type::U64, start, base);
        let at = address(b, start, unit.index, 4);
        b.guarded(mine, |b| b.st(Space::Global, Type::F32, at, value));
    }

    /// Sums of state times weight: `[unit][row][gate]`, in all lanes of the unit.
    fn products(&self, b: &mut Builder, read: Reg) -> Vec<Vec<Vec<Reg>>> {
        let (problem, variant) = (self.problem, self.variant);
        let start = self.lane.mul(b, 16).add(b, self.shared).add(b, read).reg(b);
        let zeros = |b: &mut Builder| -> Vec<Vec<Reg>> {
            (0..variant.rows).map(|_| (0..problem.gates).map(|_| b.mov(Type::F32, 0.0_f32)).collect()).collect()
        };
        let sums: Vec<Vec<Vec<Reg>>> = self.units.iter().map(|_| zeros(b)).collect();
        let loaded: Vec<Vec<Vec<Reg>>> = self
            .units
            .iter()
            .map(|unit| {
                let own = |(g, kept): (u32, &Vec<Reg>)| {
                    if kept.is_empty() { self.weights(b, unit.index, g) } else { kept.clone() }
                };
                (0_u32..).zip(&unit.weights).map(own).collect()
            })
            .collect();
        for j in 0..variant.quads(problem.hidden) {
            for r in 0..variant.rows {
                let at = (start, i64::from(r * self.pitch() + j * variant.lanes * 16));
                let states = b.ld_vector(Space::Shared, Type::F32, Vector::V4, at);
                for (sums, weights) in sums.iter().zip(&loaded) {
                    for (sum, weights) in sums[r as usize].iter().zip(weights) {
                        for (state, weight) in states.iter().zip(weights.iter().skip(j as usize * 4)) {
                            b.accumulate(Type::F32, *state, *weight, *sum);
                        }
                    }
                }
            }
        }
        for sum in sums.iter().flatten().flatten() {
            let mut distance = variant.lanes / 2;
            while distance > 0 {
                let other = b.shfl(Shuffle::Bfly, *sum, distance);
                let total = b.add(Type::F32, *sum, other);
                b.mov_to(Type::F32, *sum, total);
                distance /= 2;
            }
        }
        sums
    }

    /// New state and cell.
    fn point(&self, b: &mut Builder, unit: &Unit, state: &State, sums: &[Reg]) -> Result<Vec<Reg>, KernelError> {
        let problem = self.problem;
        let space = IndexSpace::new(&Symbols::default(), &[]);
        let mut machine = Machine::new(b, self.sm);
        let mut e = Emitter::new(&mut machine, &problem.exprs, &space, Options::default());
        for (id, leaf) in &problem.leaves {
            let reg = match leaf {
                Leaf::Input(g) => state.now.get(*g as usize).copied(),
                Leaf::Product(g) => sums.get(*g as usize).copied(),
                Leaf::Before => state.values.last().copied(),
                Leaf::Extra(row) => unit.extra.iter().find(|(known, _)| known == row).map(|(_, reg)| *reg),
            };
            let missing = KernelError::Epilogue { what: "leaves", found: 0, expected: problem.leaves.len() };
            e.give(*id, Value::Reg(reg.ok_or(missing)?));
        }
        let values = problem.outs.iter().map(|out| e.value(*out, &mut Nothing)).collect::<Result<Vec<_>, _>>()?;
        Ok(values.into_iter().map(|value| machine.register(value)).collect())
    }
}

/// No leaves but those that are given.
struct Nothing;

impl Leaves<Machine<'_>> for Nothing {
    fn index(&mut self, _: &mut Machine<'_>, index: u32) -> Result<Whole<Value>, Error> {
        Err(Error::Index { index })
    }

    fn symbol(&mut self, _: &mut Machine<'_>, _: graph::dim::SymId) -> Result<Whole<Value>, Error> {
        Err(Error::Index { index: 0 })
    }

    fn load(&mut self, _: &mut Emitter<'_, Machine<'_>>, load: Load<'_>) -> Result<Value, Error> {
        Err(Error::Operand { operand: load.operand })
    }
}
