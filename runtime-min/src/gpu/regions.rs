//! Where buffers lie: every piece of memory of its own is a region, a buffer is a place in one. And which runs of steps
//! become graphs.

use super::program::{Action, Arg, Buf, Memory, Place, Program, Size, Span, Step, View};

/// Number of a region.
pub type Region = usize;

/// The regions of a program, and the runs of steps that become graphs.
#[derive(Clone, Debug)]
pub struct Regions {
    /// Regions of outputs, states and growable buffers begin here.
    outputs: usize,
    states: usize,
    growables: usize,
    count: usize,
    /// Of each buffer; `None` for objects.
    of: Vec<Option<Region>>,
    segments: Vec<Span>,
    /// The segment that begins at each step.
    starts: Vec<Option<usize>>,
}

/// What a region is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Arena,
    Weights,
    Input(usize),
    Output(usize),
    State(usize),
    Growable,
}

const ARENA: Region = 0;
const WEIGHTS: Region = 1;
const INPUTS: Region = 2;

/// Fewest steps that are worth a graph.
const FEWEST: u32 = 2;

impl Regions {
    /// The regions of a program that has been verified.
    pub fn new(program: &Program) -> Regions {
        let outputs = INPUTS + program.inputs.len();
        let states = outputs + program.outputs.len();
        let growables = states + program.states.len();
        let mut count = growables;
        let mut of = Vec::with_capacity(program.buffers.len());
        for buffer in program.buffers.iter() {
            of.push(match buffer.place {
                Place::Arena { .. } => Some(ARENA),
                Place::Weight { .. } => Some(WEIGHTS),
                Place::Input(k) => Some(INPUTS + k as usize),
                Place::Output(k) => Some(outputs + k as usize),
                Place::State(k) => Some(states + k as usize),
                Place::Growable => {
                    count += 1;
                    Some(count - 1)
                }
                Place::Object(_) | Place::InputObject(_) | Place::Constant(_) => None,
            });
        }
        let starts = vec![None; program.steps.len()];
        let mut regions = Regions { outputs, states, growables, count, of, segments: Vec::new(), starts };
        regions.add_segments(program, program.body);
        regions
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// What a region is.
    pub fn kind(&self, region: Region) -> Kind {
        match region {
            ARENA => Kind::Arena,
            WEIGHTS => Kind::Weights,
            k if k < self.outputs => Kind::Input(k - INPUTS),
            k if k < self.states => Kind::Output(k - self.outputs),
            k if k < self.growables => Kind::State(k - self.states),
            _ => Kind::Growable,
        }
    }

    /// The bytes that a region is made ready with.
    pub fn memory(&self, program: &Program, region: Region) -> Memory {
        let none = Memory { bytes: None, most: None };
        match self.kind(region) {
            Kind::Arena => program.arena,
            Kind::Weights | Kind::Growable => none,
            Kind::Input(k) => program.inputs.get(k).map_or(none, |p| p.memory),
            Kind::Output(k) => program.outputs.get(k).map_or(none, |p| p.memory),
            Kind::State(k) => program.states.get(k).copied().unwrap_or(none),
        }
    }

    pub fn arena(&self) -> Region {
        ARENA
    }

    pub fn weights(&self) -> Region {
        WEIGHTS
    }

    pub fn input(&self, k: usize) -> Region {
        INPUTS + k
    }

    pub fn output(&self, k: usize) -> Region {
        self.outputs + k
    }

    pub fn states(&self) -> std::ops::Range<Region> {
        self.states..self.growables
    }

    /// Where a buffer lies; `None` for objects.
    pub fn of(&self, buffer: Buf) -> Option<Region> {
        self.of.get(buffer.0 as usize).copied().flatten()
    }

    /// The runs of steps that become graphs.
    pub fn segments(&self) -> &[Span] {
        &self.segments
    }

    /// The segment that begins at a step, by its number.
    pub fn segment_at(&self, step: u32) -> Option<(usize, Span)> {
        let index = self.starts.get(step as usize).copied().flatten()?;
        Some((index, *self.segments.get(index)?))
    }

    /// Whether a step's parameters hold an address in a region for which `changed` holds.
    pub fn touches(&self, program: &Program, step: &Step, changed: impl Fn(Region) -> bool) -> bool {
        let moved = |view: &View| self.of(view.buffer).is_some_and(&changed);
        match &step.action {
            Action::Launch { args, .. } => args.iter().any(|arg| match arg {
                Arg::Read(view) | Arg::Write(view) => moved(view),
                Arg::Map(map) => program.maps.get(*map as usize).is_some_and(|m| moved(&m.view)),
                Arg::Size64(_) | Arg::Size32(_) | Arg::Divisor(_) => false,
            }),
            Action::Copy { from, to, .. } => moved(from) || moved(to),
            Action::Clear { to, .. } => moved(to),
            _ => false,
        }
    }

    fn add_segments(&mut self, program: &Program, block: Span) {
        let mut start = block.start;
        for k in block.start..=block.end {
            let step = program.steps.get(k as usize).filter(|_| k < block.end);
            if step.is_some_and(|step| is_fixed(program, step)) {
                continue;
            }
            if k - start >= FEWEST {
                if let Some(place) = self.starts.get_mut(start as usize) {
                    *place = Some(self.segments.len());
                }
                self.segments.push(Span { start, end: k });
            }
            start = k + 1;
            match step.map(|s| &s.action) {
                Some(Action::Loop { body, .. }) => self.add_segments(program, *body),
                Some(Action::If { then_block, else_block, .. }) => {
                    self.add_segments(program, *then_block);
                    self.add_segments(program, *else_block);
                }
                _ => {}
            }
        }
    }
}

/// Whether a step is the device's alone and the same in every call of one shape.
fn is_fixed(program: &Program, step: &Step) -> bool {
    let prepared = |size: &Size| size.0 < program.prepared;
    let view = |view: &View| prepared(&view.offset);
    match &step.action {
        Action::Launch { grid, shared, args, .. } => {
            grid.iter().all(prepared)
                && prepared(shared)
                && args.iter().all(|arg| match arg {
                    Arg::Read(at) | Arg::Write(at) => view(at),
                    Arg::Size64(size) | Arg::Size32(size) | Arg::Divisor(size) => prepared(size),
                    Arg::Map(map) => program.maps.get(*map as usize).is_some_and(|map| {
                        view(&map.view) && map.extents.iter().all(prepared) && map.strides.iter().all(prepared)
                    }),
                })
        }
        Action::Copy { from, to, bytes } => view(from) && view(to) && prepared(bytes),
        Action::Clear { to, bytes } => view(to) && prepared(bytes),
        Action::CopyObject { .. }
        | Action::Grow { .. }
        | Action::Host { .. }
        | Action::ReadBack { .. }
        | Action::Let { .. }
        | Action::Check { .. }
        | Action::Loop { .. }
        | Action::If { .. } => false,
    }
}
