//! A session: memory, a stream and the graphs of one execution context; calls with inputs of the host or of the device.

use std::sync::Arc;
use std::time::Duration;

use super::super::bridge::byte_length;
use super::super::datum::Datum;
use super::super::error::{DeviceError, Error, Node, StepError};
use super::super::sizes;
use super::driver::{Address, StreamHandle};
use super::engine::Shared;
use super::graphs::Prepared;
use super::memory::SessionMemory;
use super::owned::{Event, Stream};
use super::params::Params;
use super::pinned::Pinned;
use super::program::{Action, Buf, Program};
use super::shape::Values;
use super::verify::is_object;

/// An execution context. One call runs at a time; several sessions of an engine may run on several threads.
#[derive(Debug)]
pub struct GpuSession {
    pub(super) shared: Arc<Shared>,
    pub(super) stream: Arc<Stream>,
    pub(super) values: Values,
    pub(super) memory: SessionMemory,
    pub(super) params: Params,
    /// Values of slots that are set together.
    pub(super) assigned: Vec<i64>,
    /// Page-locked copies of the inputs and outputs, and of what host steps read and write.
    pub(super) staging: Vec<Pinned>,
    pub(super) results: Vec<Pinned>,
    pub(super) scratch: Pinned,
    pub(super) objects: Vec<Datum>,
    pub(super) prepared: Vec<Prepared>,
    /// Sums of the times of all steps; empty where nobody asks.
    pub(super) times: Vec<(Node, Duration)>,
    pub(super) timers: Option<(Event, Event)>,
    /// After the last call, and whether that was on a caller's stream.
    last: Event,
    lent: bool,
}

/// One input of a call.
#[derive(Clone, Copy, Debug)]
pub struct HostInput<'a> {
    pub dims: &'a [usize],
    pub value: HostValue<'a>,
}

/// Where an input's elements are.
#[derive(Clone, Copy, Debug)]
pub enum HostValue<'a> {
    /// Dense, row-major, little endian; elements below 8 bits packed.
    Bytes(&'a [u8]),
    /// In the session's own memory ([`GpuSession::input_mut`]).
    Staged,
    /// Strings, a sequence, an optional or a map.
    Object(&'a Datum),
}

impl<'a> HostInput<'a> {
    pub(super) fn object(&self) -> Option<&'a Datum> {
        match self.value {
            HostValue::Object(datum) => Some(datum),
            HostValue::Bytes(_) | HostValue::Staged => None,
        }
    }
}

/// One input of a call on the device.
#[derive(Clone, Copy, Debug)]
pub struct DeviceInput<'a> {
    /// Extents.
    pub dims: &'a [usize],
    /// Where its dense elements begin.
    pub address: Address,
}

/// The method of a generated session that runs on memory of the device.
#[allow(unused_macros, reason = "used by generated crates")]
macro_rules! enqueue {
    ($input:ty, $error:ty) => {
        /// Runs the model on memory of the device, inputs and outputs by position, as work of a stream (0: the default
        /// stream). An output address of 0 leaves that output in the session's memory.
        ///
        /// # Safety
        /// The stream belongs to the primary context of the engine's device. Inputs and outputs are memory of it, of the
        /// sizes that the shapes say, and are left alone until the stream has done the work.
        #[allow(unsafe_code, reason = "a promise of the caller about addresses, handed on as it is")]
        pub unsafe fn enqueue(&mut self, stream: usize, inputs: &[$input], outputs: &[u64]) -> Result<(), $error> {
            // SAFETY: the caller's promise is that of the callee.
            unsafe { self.session.enqueue(stream, inputs, outputs) }
        }
    };
}
#[allow(unused_imports, reason = "used by generated crates")]
pub(crate) use enqueue;

/// A call under way.
#[derive(Debug)]
pub struct Call<'a> {
    /// Where its work goes.
    pub stream: StreamHandle,
    /// The prepared shape whose graphs are launched.
    pub graphs: Option<usize>,
    /// Whether the stream captures what it is given.
    pub capturing: bool,
    /// Whether the session's staging holds the inputs.
    pub host_inputs: bool,
    pub objects: &'a [HostInput<'a>],
    /// Whether the last thing that the stream got is a launch.
    pub after_launch: bool,
}

impl Call<'_> {
    /// A call on a stream, of inputs on the device.
    pub fn new(stream: StreamHandle) -> Call<'static> {
        Call { stream, graphs: None, capturing: false, host_inputs: false, objects: &[], after_launch: false }
    }
}

/// Bytes of the page-locked memory that scalars are read through.
const SCRATCH: usize = 4096;

impl GpuSession {
    /// Memory whose size has a limit, and the graphs of the program's points.
    pub(super) fn new(shared: &Arc<Shared>) -> Result<GpuSession, Error> {
        let (program, context) = (&shared.program, &shared.context);
        let _entered = context.enter()?;
        let stream = Stream::new(context)?;
        let memory = SessionMemory::new(shared).map_err(StepError::at_border)?;
        let pinned = |most: Option<u64>| Pinned::new(context, super::memory::length(most.unwrap_or(0)));
        let mut staging = Vec::with_capacity(program.inputs.len());
        for port in program.inputs.iter() {
            staging.push(pinned(port.memory.most)?);
        }
        let mut results = Vec::with_capacity(program.outputs.len());
        for port in program.outputs.iter() {
            results.push(pinned(port.memory.most)?);
        }
        let profile = shared.options.profile;
        let timers = if profile { Some((Event::new(context, true)?, Event::new(context, true)?)) } else { None };
        let mut session = GpuSession {
            values: Values::new(program, i64::from(context.facts.multiprocessors), &shared.kernels.resident()),
            memory,
            params: Params::new(most_params(program)),
            assigned: Vec::with_capacity(most_assigned(program)),
            staging,
            results,
            scratch: Pinned::new(context, SCRATCH)?,
            objects: (0..program.objects).map(|_| Datum::Seq(Vec::new())).collect(),
            prepared: Vec::with_capacity(program.points.len()),
            times: Vec::new(),
            timers,
            last: Event::new(context, false)?,
            lent: false,
            stream,
            shared: Arc::clone(shared),
        };
        if profile {
            session.times = (0..program.steps.len()).map(|k| (session.node(k as u32), Duration::ZERO)).collect();
        }
        let shared = Arc::clone(shared);
        for point in shared.program.points.iter() {
            let dims: Vec<usize> = point.dims.iter().map(|d| usize::try_from(*d).unwrap_or(0)).collect();
            let mut rest = dims.as_slice();
            let mut shapes = Vec::with_capacity(shared.program.inputs.len());
            for port in shared.program.inputs.iter() {
                let (shape, after) = rest.split_at_checked(port.dims.len()).unwrap_or((rest, &[]));
                shapes.push(shape);
                rest = after;
            }
            session.prepare_entered(&shapes)?;
        }
        Ok(session)
    }

    /// Makes memory and graphs ready for inputs of these shapes, so that calls of them take nothing from the system.
    pub fn prepare(&mut self, shapes: &[&[usize]]) -> Result<(), Error> {
        self.guarded(|session| session.prepare_entered(shapes))
    }

    fn prepare_entered(&mut self, shapes: &[&[usize]]) -> Result<(), Error> {
        let shared = Arc::clone(&self.shared);
        self.values.prepare(&shared.program, shapes.iter().copied())?;
        self.ready(&Call::new(self.stream.handle()), &shared.program)?;
        for (k, shape) in shapes.iter().enumerate() {
            if let Some(dtype) = shared.program.inputs.get(k).and_then(|p| p.dtype) {
                self.need_staging(k, byte_length(dtype, sizes::count(shape)))?;
            }
        }
        if shared.options.graphs && !shared.options.profile && self.prepared_shape().is_none() {
            self.make_graphs()?;
        }
        self.stream.synchronize()?;
        Ok(())
    }

    /// Runs the program on inputs of the host. Afterwards [`GpuSession::output`] has the results.
    pub fn infer(&mut self, inputs: &[HostInput<'_>]) -> Result<(), Error> {
        self.guarded(|session| session.infer_entered(inputs))
    }

    fn infer_entered(&mut self, inputs: &[HostInput<'_>]) -> Result<(), Error> {
        let shared = Arc::clone(&self.shared);
        let program = &shared.program;
        self.values.prepare(program, inputs.iter().map(|input| input.dims))?;
        self.check_inputs(program, inputs)?;
        let stream = self.stream.handle();
        let mut call = Call { host_inputs: true, objects: inputs, ..Call::new(stream) };
        if std::mem::take(&mut self.lent) {
            shared.context.api.wait_event(stream, self.last.handle())?;
        }
        self.ready(&call, program)?;
        self.send(inputs)?;
        call.graphs = self.prepared_shape();
        self.run_block(&mut call, program, program.body)?;
        self.fetch(program)?;
        self.stream.synchronize()?;
        Ok(())
    }

    fn check_inputs(&self, program: &Program, inputs: &[HostInput<'_>]) -> Result<(), Error> {
        for (port, input) in program.inputs.iter().zip(inputs) {
            let wrong = |found: &str| {
                let (input, expected) = (port.name, port.expected);
                Error::InputType { input, expected, found: found.to_string() }
            };
            match (port.dtype, input.value) {
                (Some(dtype), HostValue::Bytes(bytes)) => {
                    let expected = sizes::count(input.dims);
                    if bytes.len() != byte_length(dtype, expected) {
                        let found = bytes.len().saturating_mul(8) / dtype.bits().max(1);
                        return Err(Error::InputLength { input: port.name, expected, found });
                    }
                }
                (Some(_), HostValue::Staged) | (None, HostValue::Object(_)) => {}
                (Some(_), HostValue::Object(datum)) => return Err(wrong(datum.kind())),
                (None, HostValue::Bytes(_) | HostValue::Staged) => return Err(wrong("a tensor")),
            }
        }
        Ok(())
    }

    /// Copies inputs to the device.
    fn send(&mut self, inputs: &[HostInput<'_>]) -> Result<(), Error> {
        for (k, input) in inputs.iter().enumerate() {
            let Some(dtype) = self.shared.program.inputs.get(k).and_then(|p| p.dtype) else { continue };
            let bytes = byte_length(dtype, sizes::count(input.dims));
            self.need_staging(k, bytes)?;
            let Some(staged) = self.staging.get_mut(k) else { continue };
            if let HostValue::Bytes(given) = input.value
                && let Some(place) = staged.bytes_mut()?.get_mut(..given.len())
            {
                place.copy_from_slice(given);
            }
            let to = self.memory.address(self.shared.regions.input(k));
            staged.upload(to, bytes, &self.stream)?;
        }
        Ok(())
    }

    fn need_staging(&mut self, k: usize, bytes: usize) -> Result<(), Error> {
        if let Some(staged) = self.staging.get_mut(k).filter(|s| s.len() < bytes) {
            *staged = Pinned::new(&self.shared.context, bytes)?;
        }
        Ok(())
    }

    /// Copies outputs from the device.
    fn fetch(&mut self, program: &Program) -> Result<(), Error> {
        for (k, port) in program.outputs.iter().enumerate() {
            let Some(bytes) = self.output_bytes(k).map_err(StepError::at_border)? else { continue };
            let from = self.address_at(port.buffer, 0, bytes as u64).map_err(StepError::at_border)?;
            let Some(result) = self.results.get_mut(k) else { continue };
            if result.len() < bytes {
                *result = Pinned::new(&self.shared.context, bytes)?;
            }
            result.download(from, bytes, &self.stream)?;
        }
        Ok(())
    }

    /// Bytes of output `k` of the last call; `None` for an object.
    fn output_bytes(&self, k: usize) -> Result<Option<usize>, StepError> {
        let Some(port) = self.shared.program.outputs.get(k) else { return Ok(None) };
        let Some(dtype) = port.dtype else { return Ok(None) };
        let mut elements: usize = 1;
        for size in port.dims.iter() {
            elements = elements.saturating_mul(sizes::length(self.values.get(*size))?);
        }
        Ok(Some(byte_length(dtype, elements)))
    }

    /// The bytes of output `k` of the last `infer`, and its extents.
    pub fn output<const RANK: usize>(&self, k: usize) -> Result<(&[u8], [usize; RANK]), StepError> {
        let refused = |what: String| StepError::from(DeviceError::Refused { what });
        let port = self.shared.program.outputs.get(k);
        let port = port.ok_or_else(|| refused(format!("there is no output {k}")))?;
        let mut dims = [0; RANK];
        if port.dims.len() != RANK {
            return Err(refused(format!("output {k} has rank {}, asked for is rank {RANK}", port.dims.len())));
        }
        for (place, size) in dims.iter_mut().zip(port.dims.iter()) {
            *place = sizes::length(self.values.get(*size))?;
        }
        let bytes = self.output_bytes(k)?.ok_or_else(|| refused(format!("output {k} is no tensor")))?;
        let found = self.results.get(k).and_then(Pinned::settled).and_then(|all| all.get(..bytes));
        Ok((found.ok_or_else(|| refused(format!("output {k} has not been fetched; call infer first")))?, dims))
    }

    /// Output `k` of the last call, if it is an object of the session.
    pub fn output_object(&self, k: usize) -> Option<&Datum> {
        let buffer: Buf = self.shared.program.outputs.get(k)?.buffer;
        let place = self.shared.program.buffers.get(buffer.0 as usize)?.place;
        if !is_object(place) {
            return None;
        }
        self.object(&Call::new(self.stream.handle()), buffer).ok()
    }

    /// Output `k` of the last call as a datum.
    pub fn output_datum(&self, k: usize) -> Result<Datum, StepError> {
        let refused = |what: String| StepError::from(DeviceError::Refused { what });
        if let Some(object) = self.output_object(k) {
            return Ok(object.clone());
        }
        let port = self.shared.program.outputs.get(k);
        let port = port.ok_or_else(|| refused(format!("there is no output {k}")))?;
        let dtype = port.dtype.ok_or_else(|| refused(format!("output {k} is an object that has not been made")))?;
        let shape = port.dims.iter().map(|d| sizes::length(self.values.get(*d))).collect::<Result<Vec<_>, _>>()?;
        let bytes = byte_length(dtype, sizes::count(&shape));
        let found = self.results.get(k).and_then(Pinned::settled).and_then(|all| all.get(..bytes));
        let found = found.ok_or_else(|| refused(format!("output {k} has not been fetched; call infer first")))?;
        Ok(super::super::bridge::tensor(dtype, &shape, found))
    }

    /// The session's own memory for input `k`, of so many bytes, to be written in place.
    pub fn input_mut(&mut self, k: usize, bytes: usize) -> Result<&mut [u8], Error> {
        self.shared.check()?;
        let shared = Arc::clone(&self.shared);
        let _entered = shared.context.enter()?;
        self.need_staging(k, bytes)?;
        let refused = || DeviceError::Refused { what: format!("there is no input {k} that is a tensor") };
        let staged = self.staging.get_mut(k).ok_or_else(refused)?;
        Ok(staged.bytes_mut()?.get_mut(..bytes).ok_or_else(refused)?)
    }

    /// Runs the program on memory of the device, as work of a caller's stream (0: the default stream). An output address of
    /// 0 leaves that output in the session's memory ([`GpuSession::output_address`]).
    ///
    /// Where the stream captures, the steps go into the capture, one by one; the session must then outlive the graph, and
    /// one call of session or graph must have ended before the next begins.
    ///
    /// # Safety
    /// The stream belongs to the engine's primary context. Inputs and outputs are memory of its device, of the sizes that
    /// these shapes say, and are left alone until the stream has done the work.
    #[allow(unsafe_code, reason = "a promise about addresses; nothing unsafe is done here")]
    pub unsafe fn enqueue(
        &mut self,
        stream: usize,
        inputs: &[DeviceInput<'_>],
        outputs: &[Address],
    ) -> Result<(), Error> {
        self.guarded(|session| session.enqueue_entered(StreamHandle(stream), inputs, outputs))
    }

    fn enqueue_entered(
        &mut self,
        stream: StreamHandle,
        inputs: &[DeviceInput<'_>],
        outputs: &[Address],
    ) -> Result<(), Error> {
        let shared = Arc::clone(&self.shared);
        let (program, api) = (&shared.program, shared.context.api);
        let refused = |what: &str| Error::from(DeviceError::Refused { what: what.to_string() });
        if program.inputs.iter().any(|port| port.dtype.is_none()) {
            return Err(refused("an input that is no tensor cannot lie on the device; call infer"));
        }
        if outputs.len() != program.outputs.len() {
            return Err(refused("not one address for every output; 0 leaves an output in the session's memory"));
        }
        self.values.prepare(program, inputs.iter().map(|input| input.dims))?;
        let mut call = Call { capturing: api.is_capturing(stream)?, ..Call::new(stream) };
        if !call.capturing {
            api.wait_event(stream, self.last.handle())?;
        }
        for (k, input) in inputs.iter().enumerate() {
            self.memory.lend(shared.regions.input(k), input.address);
        }
        for (k, address) in outputs.iter().enumerate().filter(|(_, address)| **address != 0) {
            self.memory.lend(shared.regions.output(k), *address);
        }
        let done = self.ready(&call, program).and_then(|()| {
            call.graphs = if call.capturing { None } else { self.prepared_shape() };
            self.run_block(&mut call, program, program.body)
        });
        for k in 0..inputs.len() {
            self.memory.restore(shared.regions.input(k));
        }
        for k in 0..outputs.len() {
            self.memory.restore(shared.regions.output(k));
        }
        if !call.capturing {
            self.lent = true;
            api.record_event(self.last.handle(), stream)?;
        }
        done
    }

    /// Where the session keeps output `k` on the device; 0 if it has no memory for it.
    pub fn output_address(&self, k: usize) -> Address {
        let buffer = self.shared.program.outputs.get(k).map(|port| port.buffer);
        buffer.and_then(|buffer| self.place(buffer).ok()).map_or(0, |(address, _)| address)
    }

    /// Sets everything that the session keeps between calls to zero.
    pub fn reset_states(&mut self) -> Result<(), Error> {
        self.guarded(|session| {
            let shared = Arc::clone(&session.shared);
            for region in shared.regions.states() {
                session.memory.clear(&shared, region, &session.stream).map_err(StepError::at_border)?;
            }
            session.stream.synchronize()?;
            Ok(())
        })
    }

    /// Bytes of GPU memory that the session has taken.
    pub fn memory_bytes(&self) -> u64 {
        self.memory.taken()
    }

    /// The steps' nodes and the time spent in each, if the options ask for it.
    pub fn profile(&self) -> &[(Node, Duration)] {
        &self.times
    }

    /// Sets the times of all steps to zero.
    pub fn reset_profile(&mut self) {
        self.times.iter_mut().for_each(|(_, time)| *time = Duration::ZERO);
    }

    /// Does something in the engine's context. After an error nothing of it runs on, and one that spoils the context is
    /// remembered.
    fn guarded<T>(&mut self, work: impl FnOnce(&mut GpuSession) -> Result<T, Error>) -> Result<T, Error> {
        self.shared.check()?;
        let shared = Arc::clone(&self.shared);
        let _entered = shared.context.enter()?;
        work(self).map_err(|error| {
            let after = self.stream.synchronize();
            let error = shared.note(error);
            if let Err(later) = after {
                // A step's failure may show here only.
                shared.note(later.into());
            }
            error
        })
    }
}

impl Drop for GpuSession {
    fn drop(&mut self) {
        if let Ok(_entered) = self.shared.context.enter() {
            let _ = self.stream.synchronize();
            if self.lent {
                let _ = self.shared.context.api.synchronize_event(self.last.handle());
            }
        }
    }
}

fn most_params(program: &Program) -> usize {
    let count = |action: &Action| if let Action::Launch { args, .. } = action { args.len() } else { 0 };
    program.steps.iter().map(|step| count(&step.action)).max().unwrap_or(0)
}

fn most_assigned(program: &Program) -> usize {
    let count = |action: &Action| match action {
        Action::Let { values } => values.len(),
        Action::Loop { first, next, .. } => first.len().max(next.len()),
        _ => 0,
    };
    program.steps.iter().map(|step| count(&step.action)).max().unwrap_or(0)
}
