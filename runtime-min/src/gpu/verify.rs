//! Rules of a [`Program`]: every reference leads somewhere, sizes use earlier sizes, blocks nest.

use std::fmt;

use super::program::{
    Action, Arg, Assign, Buf, Condition, HostView, MapShape, Memory, Place, Program, Set, Size, SizeOp, Span,
    TensorMap, View,
};

/// A broken rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Table and position: `steps[3]`.
    pub place: String,
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

impl Program {
    /// All broken rules.
    pub fn verify(&self) -> Result<(), Vec<Problem>> {
        let mut check = Check { program: self, place: String::new(), problems: Vec::new() };
        check.sizes();
        check.borders();
        check.buffers();
        check.kernels();
        check.maps();
        check.steps();
        if check.problems.is_empty() { Ok(()) } else { Err(check.problems) }
    }
}

struct Check<'a> {
    program: &'a Program,
    place: String,
    problems: Vec<Problem>,
}

impl Check<'_> {
    fn at(&mut self, table: &str, index: usize) {
        self.place = format!("{table}[{index}]");
    }

    fn fail(&mut self, what: String) {
        self.problems.push(Problem { place: self.place.clone(), what });
    }

    fn need(&mut self, holds: bool, what: &str) {
        if !holds {
            self.fail(what.to_string());
        }
    }

    fn index(&mut self, what: &str, index: u32, count: usize) {
        if index as usize >= count {
            self.fail(format!("{what} {index} of {count}"));
        }
    }

    fn size(&mut self, size: Size) {
        self.index("size", size.0, self.program.sizes.len());
    }

    fn prepared(&mut self, size: Size) {
        self.size(size);
        if size.0 >= self.program.prepared {
            self.fail(format!("size {} is not prepared", size.0));
        }
    }

    /// Sizes use earlier sizes; prepared ones use no slot.
    fn sizes(&mut self) {
        let program = self.program;
        self.place = "prepared".to_string();
        self.need(program.prepared as usize <= program.sizes.len(), "more prepared sizes than sizes");
        for (k, op) in program.sizes.iter().enumerate() {
            self.at("sizes", k);
            op.operands().for_each(|s| self.need(s.0 < k as u32, "uses a value that comes later"));
            match *op {
                SizeOp::Const(_) | SizeOp::Multiprocessors => {}
                SizeOp::InputDim { input, axis } => {
                    let rank = program.inputs.get(input as usize).map(|p| p.dims.len());
                    self.need(rank.is_some_and(|rank| (axis as usize) < rank), "names no extent of an input");
                }
                SizeOp::Slot(slot) => {
                    self.index("slot", slot, program.slots as usize);
                    self.need(k as u32 >= program.prepared, "a slot among the prepared sizes");
                }
                SizeOp::Resident { kernel } => self.index("kernel", kernel, program.kernels.len()),
                SizeOp::Not(_)
                | SizeOp::Select(..)
                | SizeOp::Add(..)
                | SizeOp::Mul(..)
                | SizeOp::FloorDiv(..)
                | SizeOp::CeilDiv(..)
                | SizeOp::Mod(..)
                | SizeOp::Min(..)
                | SizeOp::Max(..)
                | SizeOp::Eq(..)
                | SizeOp::Le(..)
                | SizeOp::Divides(..)
                | SizeOp::And(..)
                | SizeOp::Or(..) => {}
            }
        }
    }

    fn memory(&mut self, memory: &Memory) {
        if let Some(bytes) = memory.bytes {
            self.prepared(bytes);
        }
    }

    fn borders(&mut self) {
        let program = self.program;
        for (k, bound) in program.bounds.iter().enumerate() {
            self.at("bounds", k);
            self.prepared(bound.value);
        }
        for (k, guard) in program.guards.iter().enumerate() {
            self.at("guards", k);
            self.size(guard.holds);
            if let Some(node) = guard.node {
                self.index("node", node, program.nodes.len());
            }
        }
        for (k, port) in program.inputs.iter().enumerate() {
            self.at("inputs", k);
            port.dims.iter().for_each(|d| self.prepared(*d));
            self.memory(&port.memory);
            self.need(port.dtype.is_none() || port.memory.bytes.is_some(), "a tensor without a number of bytes");
        }
        for (k, port) in program.outputs.iter().enumerate() {
            self.at("outputs", k);
            port.dims.iter().for_each(|d| self.size(*d));
            self.memory(&port.memory);
            self.index("buffer", port.buffer.0, program.buffers.len());
            let object = program.buffers.get(port.buffer.0 as usize).is_some_and(|b| is_object(b.place));
            self.need(object == port.dtype.is_none(), "an object with an element type, or a tensor without");
        }
        for (k, state) in program.states.iter().enumerate() {
            self.at("states", k);
            self.memory(state);
        }
        self.place = "arena".to_string();
        self.memory(&program.arena);
        let extents: usize = program.inputs.iter().map(|p| p.dims.len()).sum();
        for (k, point) in program.points.iter().enumerate() {
            self.at("points", k);
            self.need(point.dims.len() == extents, "not one extent for every axis of the inputs");
        }
    }

    fn buffers(&mut self) {
        let program = self.program;
        for (k, buffer) in program.buffers.iter().enumerate() {
            self.at("buffers", k);
            self.size(buffer.bytes);
            match buffer.place {
                Place::Arena { offset } => {
                    self.prepared(offset);
                    self.prepared(buffer.bytes);
                }
                Place::Weight { offset, bytes } => {
                    self.need(offset.checked_add(bytes).is_some(), "ends beyond 64 bits");
                }
                Place::Input(k) | Place::InputObject(k) => {
                    self.index("input", k, program.inputs.len());
                    let object = program.inputs.get(k as usize).is_some_and(|p| p.dtype.is_none());
                    self.need(object == is_object(buffer.place), "an object as a tensor, or a tensor as an object");
                }
                Place::Output(k) => self.index("output", k, program.outputs.len()),
                Place::State(k) => self.index("state", k, program.states.len()),
                Place::Growable => {}
                Place::Object(k) => self.index("object", k, program.objects as usize),
                Place::Constant(k) => self.index("constant", k, program.constants as usize),
            }
        }
    }

    fn kernels(&mut self) {
        let program = self.program;
        for (k, kernel) in program.kernels.iter().enumerate() {
            self.at("kernels", k);
            self.index("module", kernel.module, program.modules.len());
            let threads = kernel.block.iter().try_fold(1u32, |n, d| n.checked_mul(*d));
            self.need(threads.is_some_and(|n| (1..=1024).contains(&n)), "a block of no or of more than 1024 threads");
            let ctas = kernel.cluster.iter().try_fold(1u32, |n, d| n.checked_mul(*d));
            self.need(ctas.is_some_and(|n| (1..=16).contains(&n)), "a cluster of no or of more than 16 CTAs");
            self.need(!kernel.entry.contains('\0'), "a zero byte in the name");
        }
        for (k, module) in program.modules.iter().enumerate() {
            self.at("modules", k);
            self.need(!module.ptx.contains('\0'), "a zero byte in the PTX");
            self.need(!module.ptx.is_empty() || !module.cubins.is_empty(), "neither PTX nor machine code");
        }
    }

    fn maps(&mut self) {
        let program = self.program;
        for (k, map) in program.maps.iter().enumerate() {
            self.at("maps", k);
            self.view(map.view);
            self.map(map);
        }
    }

    fn map(&mut self, map: &TensorMap) {
        map.extents.iter().chain(map.strides.iter()).for_each(|s| self.size(*s));
        let rank = map.extents.len();
        self.need((1..=5).contains(&rank), "a tensor map of no or of more than 5 dimensions");
        self.need(map.strides.len() + 1 == rank, "not one stride for every dimension but the fastest");
        self.need(map.element_strides.len() == rank, "not one element stride for every dimension");
        self.need(map.element_strides.iter().all(|s| (1..=8).contains(s)), "an element stride beyond 1 to 8");
        match &map.shape {
            MapShape::Tiled { tile } => {
                self.need(tile.len() == rank, "not one tile extent for every dimension");
                self.need(tile.iter().all(|t| (1..=256).contains(t)), "a tile extent beyond 1 to 256");
            }
            MapShape::Im2col { lower, upper, channels, pixels } => {
                self.need((3..=5).contains(&rank), "an im2col map of other than 3 to 5 dimensions");
                self.need(lower.len() + 2 == rank && upper.len() + 2 == rank, "corners of another rank");
                self.need(*channels <= 256 && *pixels <= 1024, "more than 256 channels or 1024 pixels in a copy");
            }
        }
    }

    fn view(&mut self, view: View) {
        self.size(view.offset);
        self.bytes(view.buffer);
    }

    /// A buffer of the device.
    fn bytes(&mut self, buffer: Buf) {
        self.index("buffer", buffer.0, self.program.buffers.len());
        let object = self.program.buffers.get(buffer.0 as usize).is_some_and(|b| is_object(b.place));
        self.need(!object, "an object where bytes are needed");
    }

    fn written(&mut self, buffer: Buf) {
        let place = self.program.buffers.get(buffer.0 as usize).map(|b| b.place);
        let fixed =
            matches!(place, Some(Place::Weight { .. } | Place::Input(_) | Place::InputObject(_) | Place::Constant(_)));
        self.need(!fixed, "writes weights or an input");
    }

    fn object(&mut self, buffer: Buf) {
        self.index("buffer", buffer.0, self.program.buffers.len());
        let bytes = self.program.buffers.get(buffer.0 as usize).is_some_and(|b| !is_object(b.place));
        self.need(!bytes, "bytes where an object is needed");
    }

    fn set(&mut self, set: &Set) {
        self.index("slot", set.slot, self.program.slots as usize);
        let Span { start, end } = set.then;
        let inside = start <= end && end as usize <= self.program.sizes.len();
        self.need(inside, "a range of sizes that does not exist");
        self.need(start == end || start >= self.program.prepared, "computes prepared sizes anew");
    }

    fn assign(&mut self, list: &[Assign]) {
        for assign in list {
            self.size(assign.value);
            self.set(&assign.set);
        }
    }

    fn block(&mut self, span: Span, after: Option<usize>) {
        let inside = span.start <= span.end && span.end as usize <= self.program.steps.len();
        self.need(inside, "a block of steps that do not exist");
        let behind = after.is_none_or(|k| span.start == span.end || span.start as usize > k);
        self.need(behind, "a block that does not lie behind its step");
    }

    fn host(&mut self, view: &HostView, written: bool) {
        self.index("buffer", view.buffer.0, self.program.buffers.len());
        view.dims.iter().for_each(|d| self.size(*d));
        self.size(view.offset);
        if written {
            self.written(view.buffer);
        }
    }

    fn args(&mut self, args: &[Arg]) {
        for arg in args {
            match *arg {
                Arg::Read(view) => self.view(view),
                Arg::Write(view) => {
                    self.view(view);
                    self.written(view.buffer);
                }
                Arg::Size64(size) | Arg::Size32(size) | Arg::Divisor(size) => self.size(size),
                Arg::Map(map) => self.index("map", map, self.program.maps.len()),
            }
        }
    }

    fn steps(&mut self) {
        let program = self.program;
        self.place = "body".to_string();
        self.block(program.body, None);
        for (k, step) in program.steps.iter().enumerate() {
            self.at("steps", k);
            self.index("node", step.node, program.nodes.len());
            match &step.action {
                Action::Launch { kernel, grid, shared, args } => {
                    self.index("kernel", *kernel, program.kernels.len());
                    grid.iter().for_each(|g| self.size(*g));
                    self.size(*shared);
                    self.args(args);
                }
                Action::Copy { from, to, bytes } => {
                    self.view(*from);
                    self.view(*to);
                    self.written(to.buffer);
                    self.size(*bytes);
                }
                Action::CopyObject { from, to } => {
                    self.object(*from);
                    self.object(*to);
                    self.written(*to);
                }
                Action::Clear { to, bytes } => {
                    self.view(*to);
                    self.written(to.buffer);
                    self.size(*bytes);
                }
                Action::Grow { buffer, bytes } => {
                    self.bytes(*buffer);
                    self.size(*bytes);
                    let place = program.buffers.get(buffer.0 as usize).map(|b| b.place);
                    let grows = matches!(place, Some(Place::Growable | Place::Output(_) | Place::State(_)));
                    self.need(grows, "grows a buffer of fixed size");
                }
                Action::Host { operands, results, binds, .. } => {
                    operands.iter().for_each(|v| self.host(v, false));
                    results.iter().for_each(|v| self.host(v, true));
                    for bind in binds.iter() {
                        self.index("result", bind.result, results.len());
                        self.set(&bind.set);
                    }
                }
                Action::ReadBack { values } => {
                    values.iter().for_each(|value| self.view(value.from));
                    values.iter().for_each(|value| self.set(&value.set));
                }
                Action::Let { values } => self.assign(values),
                Action::Check { guard } => self.index("guard", *guard, program.guards.len()),
                Action::Loop { counter, trip, limit, condition, first, body, next, count } => {
                    self.set(counter);
                    trip.iter().for_each(|t| self.size(*t));
                    limit.iter().chain(condition).for_each(|v| self.view(*v));
                    self.assign(first);
                    self.block(*body, Some(k));
                    self.assign(next);
                    count.iter().for_each(|c| self.set(c));
                }
                Action::If { condition, then_block, else_block } => {
                    match condition {
                        Condition::Value(view) => self.view(*view),
                        Condition::Size(size) => self.size(*size),
                    }
                    self.block(*then_block, Some(k));
                    self.block(*else_block, Some(k));
                }
            }
        }
    }
}

/// Whether a place holds an object and not bytes.
pub fn is_object(place: Place) -> bool {
    match place {
        Place::Object(_) | Place::InputObject(_) | Place::Constant(_) => true,
        Place::Arena { .. }
        | Place::Weight { .. }
        | Place::Input(_)
        | Place::Output(_)
        | Place::State(_)
        | Place::Growable => false,
    }
}
