//! The steps of a call in order: graphs where there are some, launches elsewhere, loops and choices on the host.

use std::time::{Duration, Instant};

use super::super::error::{DeviceError, Error, Node, StepError};
use super::super::sizes;
use super::pinned::Pinned;
use super::program::{Action, Assign, Buf, Condition, Program, ReadScalar, Scalar, Set, Size, Span, View};
use super::regions::Kind;
use super::session::{Call, GpuSession};

/// Bytes of the widest scalar.
const WORD: usize = 8;

impl GpuSession {
    /// The node of a step.
    pub(super) fn node(&self, step: u32) -> Node {
        let program = &self.shared.program;
        let node = program.steps.get(step as usize).and_then(|s| program.nodes.get(s.node as usize));
        node.copied().unwrap_or(Node { name: "", op: "step" })
    }

    /// An error at a step.
    pub(super) fn at(&self, step: u32, error: StepError) -> Error {
        error.at(self.node(step))
    }

    /// Runs a block.
    pub(super) fn run_block(&mut self, call: &mut Call<'_>, program: &Program, block: Span) -> Result<(), Error> {
        let mut k = block.start;
        while k < block.end {
            if let Some(shape) = call.graphs
                && let Some((segment, span)) = self.shared.segments.at(k)
                && self.launch_segment(call, shape, segment)?
            {
                k = span.end;
                continue;
            }
            self.step(call, program, k)?;
            k += 1;
        }
        Ok(())
    }

    pub(super) fn step(&mut self, call: &mut Call<'_>, program: &Program, k: u32) -> Result<(), Error> {
        let Some(step) = program.steps.get(k as usize) else { return Ok(()) };
        if let Action::Launch { .. } | Action::Copy { .. } | Action::Clear { .. } = step.action {
            if call.recorded.is_some() || call.followed.is_some() {
                return self.node_of_step(call, k, &step.action).map_err(|error| self.at(k, error));
            }
            let issued = if call.timeline.is_some() {
                self.issue_observed(call, k, &step.action)
            } else if self.times.is_empty() || call.capturing {
                self.issue(call, &step.action).map(|_| ())
            } else {
                self.issue_timed(call, k, &step.action)
            };
            return issued.map_err(|error| self.at(k, error));
        }
        let started = (!self.times.is_empty()).then(Instant::now);
        match &step.action {
            Action::Loop { .. } => self.run_loop(call, program, k, &step.action)?,
            Action::If { condition, then_block, else_block } => {
                let holds = match condition {
                    Condition::Value(view) => {
                        self.scalar(call, *view, Scalar::Bool).map_err(|error| self.at(k, error))?
                    }
                    Condition::Size(size) => self.values.get(*size),
                } != 0;
                self.run_block(call, program, if holds { *then_block } else { *else_block })?;
            }
            action => {
                self.host_step(call, program, action).map_err(|error| self.at(k, error))?;
                if let Some(started) = started {
                    self.add_time(k, started.elapsed());
                }
            }
        }
        Ok(())
    }

    /// Steps that neither run on the device alone nor hold a block.
    fn host_step(&mut self, call: &mut Call<'_>, program: &Program, action: &Action) -> Result<(), StepError> {
        match action {
            Action::CopyObject { from, to } => self.copy_object(call, *from, *to),
            Action::Grow { buffer, bytes } => {
                let bytes = self.values.get(*bytes);
                let needed = u64::try_from(bytes).map_err(|_| StepError::Size { found: bytes })?;
                let missing = || StepError::Kernel { what: format!("buffer {} is not on the device", buffer.0) };
                let region = self.shared.regions.of(*buffer).ok_or_else(missing)?;
                self.grow(call, region, needed, true)
            }
            Action::Host { call: number, operands, results, binds } => {
                self.host_call(call, program, *number, operands, results, binds)
            }
            Action::ReadBack { values } => self.read_back(call, program, values),
            Action::Let { values } => self.assign(program, values),
            Action::Check { guard } => match program.guards.get(*guard as usize) {
                Some(guard) => sizes::guard(self.values.get(guard.holds) != 0, guard.what),
                None => Ok(()),
            },
            Action::Launch { .. }
            | Action::Copy { .. }
            | Action::Clear { .. }
            | Action::Loop { .. }
            | Action::If { .. } => Ok(()),
        }
    }

    /// Makes a region hold so many bytes while a call runs.
    pub(super) fn grow(&mut self, call: &Call<'_>, region: usize, bytes: u64, keep: bool) -> Result<(), StepError> {
        if self.memory.holds(region, bytes) {
            return Ok(());
        }
        if call.capturing {
            return Err(refused("memory cannot be taken while a caller's stream captures; prepare the shape first"));
        }
        if call.stream != self.stream.handle() {
            self.shared.context.api.synchronize(call.stream)?;
        }
        let (shared, stream) = (self.shared.clone(), self.stream.clone());
        if !shared.is_of_host(region) {
            return self.memory.grow(&shared, region, bytes, keep, &stream);
        }
        stream.synchronize()?;
        let bytes = sizes::length(i64::try_from(bytes).unwrap_or(i64::MAX))?;
        match shared.regions.kind(region) {
            Kind::Input(k) => self.need_staging(k, bytes)?,
            Kind::Output(k) => self.need_result(k, bytes)?,
            _ => {}
        }
        Ok(())
    }

    /// Gives a slot a value in its range, and computes what depends on it.
    pub(super) fn set(&mut self, program: &Program, set: &Set, value: i64) -> Result<(), StepError> {
        let value = sizes::in_range(set.symbol, value, set.lo, set.hi)?;
        self.values.set(set.slot, value);
        self.values.compute(program, set.then.start, set.then.end);
        Ok(())
    }

    /// All values are read before any slot is set.
    fn assign(&mut self, program: &Program, list: &[Assign]) -> Result<(), StepError> {
        self.assigned.clear();
        self.assigned.extend(list.iter().map(|a| self.values.get(a.value)));
        for (k, assign) in list.iter().enumerate() {
            let value = self.assigned.get(k).copied().unwrap_or(0);
            let value = sizes::in_range(assign.set.symbol, value, assign.set.lo, assign.set.hi)?;
            self.values.set(assign.set.slot, value);
        }
        for assign in list {
            self.values.compute(program, assign.set.then.start, assign.set.then.end);
        }
        Ok(())
    }

    fn run_loop(&mut self, call: &mut Call<'_>, program: &Program, k: u32, action: &Action) -> Result<(), Error> {
        let Action::Loop { counter, trip, limit, condition, first, body, next, count } = action else {
            return Ok(());
        };
        let size = |session: &Self, size: &Option<Size>| size.map_or(i64::MAX, |s| session.values.get(s));
        let mut end = size(self, trip);
        if let Some(limit) = limit {
            end = end.min(self.scalar(call, *limit, Scalar::I64).map_err(|error| self.at(k, error))?);
        }
        self.assign(program, first).map_err(|error| self.at(k, error))?;
        let mut iteration: i64 = 0;
        while iteration < end {
            if let Some(condition) = condition
                && self.scalar(call, *condition, Scalar::Bool).map_err(|error| self.at(k, error))? == 0
            {
                break;
            }
            self.set(program, counter, iteration).map_err(|error| self.at(k, error))?;
            self.run_block(call, program, *body)?;
            self.assign(program, next).map_err(|error| self.at(k, error))?;
            iteration = iteration.saturating_add(1);
        }
        if let Some(count) = count {
            self.set(program, count, iteration).map_err(|error| self.at(k, error))?;
        }
        Ok(())
    }

    /// Reads scalars in one wait, and sets their slots.
    fn read_back(&mut self, call: &mut Call<'_>, program: &Program, list: &[ReadScalar]) -> Result<(), StepError> {
        if let [one] = list {
            let value = self.scalar(call, one.from, one.scalar)?;
            return self.set(program, &one.set, value);
        }
        self.waiting(call)?;
        self.need_scratch(list.len().saturating_mul(WORD))?;
        for (k, one) in list.iter().enumerate() {
            let start = sizes::length(self.values.get(one.from.offset))?;
            let address = self.address_at(one.from.buffer, start as u64, one.scalar.bytes() as u64)?;
            self.scratch.download_to(k * WORD, address, one.scalar.bytes(), &self.stream)?;
        }
        call.after_launch = false;
        for (k, one) in list.iter().enumerate() {
            let mut word = [0; WORD];
            let found = self.scratch.bytes()?.get(k * WORD..k * WORD + one.scalar.bytes()).unwrap_or(&[]);
            word.iter_mut().zip(found).for_each(|(slot, byte)| *slot = *byte);
            let value = one.scalar.value(word)?;
            self.set(program, &one.set, value)?;
        }
        Ok(())
    }

    /// A scalar at the start of a view: of an input from the host's copy, else from the device once it is done.
    pub(super) fn scalar(&mut self, call: &mut Call<'_>, view: View, scalar: Scalar) -> Result<i64, StepError> {
        let start = sizes::length(self.values.get(view.offset))?;
        let mut word = [0; WORD];
        self.read(call, view.buffer, start, scalar.bytes(), |found| {
            word.iter_mut().zip(found).for_each(|(slot, byte)| *slot = *byte);
        })?;
        scalar.value(word)
    }

    /// Before bytes of the device are read: what the call's stream has to do is done.
    fn waiting(&self, call: &Call<'_>) -> Result<(), StepError> {
        if call.capturing {
            return Err(refused("a value is read back, which a caller's capture does not allow"));
        }
        if call.stream != self.stream.handle() {
            self.shared.context.api.synchronize(call.stream)?;
        }
        Ok(())
    }

    /// Hands bytes of a buffer, from byte `start` on, to a reader.
    pub(super) fn read(
        &mut self,
        call: &mut Call<'_>,
        buffer: Buf,
        start: usize,
        bytes: usize,
        reader: impl FnOnce(&[u8]),
    ) -> Result<(), StepError> {
        let address = self.address_at(buffer, start as u64, bytes as u64)?;
        let region = self.shared.regions.of(buffer).map(|region| self.shared.regions.kind(region));
        if let Some(Kind::Input(k)) = region
            && call.host_inputs
            && let Some(staged) = self.staging.get_mut(k)
        {
            let whole = staged.readable()?;
            let found = start.checked_add(bytes).and_then(|end| whole.get(start..end));
            reader(found.ok_or(StepError::Span { start, bytes, memory: whole.len() })?);
            return Ok(());
        }
        self.waiting(call)?;
        self.need_scratch(bytes)?;
        self.scratch.download(address, bytes, &self.stream)?;
        reader(self.scratch.bytes()?.get(..bytes).unwrap_or(&[]));
        call.after_launch = false;
        Ok(())
    }

    /// Copies bytes to a buffer, from byte `start` on.
    pub(super) fn write(
        &mut self,
        call: &mut Call<'_>,
        buffer: Buf,
        start: usize,
        bytes: &[u8],
    ) -> Result<(), StepError> {
        let address = self.address_at(buffer, start as u64, bytes.len() as u64)?;
        if call.capturing {
            return Err(refused("a host operator cannot run in a caller's capture"));
        }
        self.need_scratch(bytes.len())?;
        if let Some(place) = self.scratch.bytes_mut()?.get_mut(..bytes.len()) {
            place.copy_from_slice(bytes);
        }
        let foreign = call.stream != self.stream.handle();
        if foreign {
            self.shared.context.api.synchronize(call.stream)?;
        }
        self.scratch.upload(address, bytes.len(), &self.stream)?;
        if foreign {
            self.stream.synchronize()?;
        }
        call.after_launch = false;
        Ok(())
    }

    fn need_scratch(&mut self, bytes: usize) -> Result<(), StepError> {
        if self.scratch.len() < bytes {
            self.scratch = Pinned::new(&self.shared.context, bytes.next_power_of_two())?;
        }
        Ok(())
    }

    fn issue_timed(&mut self, call: &mut Call<'_>, k: u32, action: &Action) -> Result<(), StepError> {
        let api = self.shared.context.api;
        let Some((start, end)) = self.timers.as_ref().map(|(start, end)| (start.handle(), end.handle())) else {
            return self.issue(call, action).map(|_| ());
        };
        api.record_event(start, call.stream)?;
        // A step that is timed does not overlap the one before it.
        call.after_launch = false;
        self.issue(call, action)?;
        api.record_event(end, call.stream)?;
        api.synchronize_event(end)?;
        let milliseconds = f64::from(api.elapsed(start, end)?).max(0.0);
        self.add_time(k, Duration::from_secs_f64(milliseconds / 1000.0));
        Ok(())
    }

    fn add_time(&mut self, k: u32, time: Duration) {
        if let Some((_, sum)) = self.times.get_mut(k as usize) {
            *sum += time;
        }
    }

    /// Bytes of a region that a call needs before it starts.
    pub(super) fn needed(&self, program: &Program, region: usize) -> Result<u64, StepError> {
        let Some(bytes) = self.shared.regions.memory(program, region).bytes else { return Ok(0) };
        let bytes = self.values.get(bytes);
        u64::try_from(bytes).map_err(|_| StepError::Size { found: bytes })
    }

    /// Makes all memory ready for a call of the sizes at hand.
    pub(super) fn ready(&mut self, call: &Call<'_>, program: &Program) -> Result<(), Error> {
        let shared = self.shared.clone();
        let mut missing = false;
        for region in 0..shared.regions.count() {
            let bytes = self.needed(program, region).map_err(StepError::at_border)?;
            missing |= !self.memory.holds(region, bytes);
        }
        if missing {
            let needed = (0..shared.regions.count()).map(|region| self.needed(program, region).unwrap_or(0));
            self.memory.check(&shared, needed).map_err(StepError::at_border)?;
            for region in 0..shared.regions.count() {
                let bytes = self.needed(program, region).map_err(StepError::at_border)?;
                let keep = matches!(shared.regions.kind(region), Kind::State(_));
                self.grow(call, region, bytes, keep).map_err(StepError::at_border)?;
            }
        }
        if shared.options.poison {
            self.memory.poison(&shared, call.stream).map_err(StepError::at_border)?;
        }
        Ok(())
    }
}

impl Scalar {
    /// Bytes that it takes.
    fn bytes(self) -> usize {
        match self {
            Scalar::I64 => WORD,
            Scalar::I32 => 4,
            Scalar::Bool => 1,
        }
    }

    /// The value in the first bytes of a word, the others 0.
    fn value(self, word: [u8; WORD]) -> Result<i64, StepError> {
        let value = i64::from_le_bytes(word);
        match self {
            Scalar::I64 => Ok(value),
            Scalar::I32 => Ok(i64::from(value as i32)),
            Scalar::Bool if value > 1 => Err(StepError::Bool { found: value as u8 }),
            Scalar::Bool => Ok(value),
        }
    }
}

fn refused(what: &str) -> StepError {
    DeviceError::Refused { what: what.to_string() }.into()
}
