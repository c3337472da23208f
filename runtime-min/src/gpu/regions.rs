//! Where buffers lie: every piece of memory of its own is a region, a buffer is a place in one. Buffers of the arena share its
//! region, or have one each, so that nothing reuses what another left behind.

use super::program::{Action, Arg, Buf, Memory, Place, Program, Step, View};

/// Number of a region.
pub type Region = usize;

/// The regions of a program.
#[derive(Clone, Debug)]
pub struct Regions {
    /// Regions of outputs, states and buffers of their own begin here.
    outputs: usize,
    states: usize,
    /// Of each buffer; `None` for objects.
    of: Vec<Option<Region>>,
    kinds: Vec<Kind>,
    /// Whether buffers of the arena have a region each.
    apart: bool,
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
    /// A buffer of the arena that has memory of its own.
    Apart(Buf),
}

const ARENA: Region = 0;
const WEIGHTS: Region = 1;
const INPUTS: Region = 2;

impl Regions {
    /// The regions of a program that has been verified; with `apart`, buffers of the arena share no memory.
    pub fn new(program: &Program, apart: bool) -> Regions {
        let outputs = INPUTS + program.inputs.len();
        let states = outputs + program.outputs.len();
        let mut kinds = vec![Kind::Arena, Kind::Weights];
        kinds.extend((0..program.inputs.len()).map(Kind::Input));
        kinds.extend((0..program.outputs.len()).map(Kind::Output));
        kinds.extend((0..program.states.len()).map(Kind::State));
        let mut of = Vec::with_capacity(program.buffers.len());
        for (k, buffer) in program.buffers.iter().enumerate() {
            let mut own = |kind: Kind| {
                kinds.push(kind);
                Some(kinds.len() - 1)
            };
            of.push(match buffer.place {
                Place::Arena { .. } if apart => own(Kind::Apart(Buf(k as u32))),
                Place::Arena { .. } => Some(ARENA),
                Place::Weight { .. } => Some(WEIGHTS),
                Place::Input(k) => Some(INPUTS + k as usize),
                Place::Output(k) => Some(outputs + k as usize),
                Place::State(k) => Some(states + k as usize),
                Place::Growable => own(Kind::Growable),
                Place::Object(_) | Place::InputObject(_) | Place::Constant(_) => None,
            });
        }
        Regions { outputs, states, of, kinds, apart }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.kinds.len()
    }

    /// What a region is.
    pub fn kind(&self, region: Region) -> Kind {
        self.kinds.get(region).copied().unwrap_or(Kind::Growable)
    }

    /// The bytes that a region is made ready with.
    pub fn memory(&self, program: &Program, region: Region) -> Memory {
        let none = Memory { bytes: None, most: None };
        match self.kind(region) {
            Kind::Arena if self.apart => none,
            Kind::Arena => program.arena,
            Kind::Weights | Kind::Growable => none,
            Kind::Input(k) => program.inputs.get(k).map_or(none, |p| p.memory),
            Kind::Output(k) => program.outputs.get(k).map_or(none, |p| p.memory),
            Kind::State(k) => program.states.get(k).copied().unwrap_or(none),
            Kind::Apart(k) => {
                let bytes = program.buffers.get(k.0 as usize).map(|b| b.bytes);
                bytes.map_or(none, |bytes| Memory { bytes: Some(bytes), most: None })
            }
        }
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
        let count = self.kinds.iter().filter(|kind| matches!(kind, Kind::State(_))).count();
        self.states..self.states + count
    }

    /// Where a buffer lies; `None` for objects.
    pub fn of(&self, buffer: Buf) -> Option<Region> {
        self.of.get(buffer.0 as usize).copied().flatten()
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
}
