//! A session: memory, a stream and the graphs of one execution context; calls with inputs of the host or of the device.

use std::sync::Arc;
use std::time::Duration;

use super::super::bridge::byte_length;
use super::super::datum::Datum;
use super::super::error::{Error, Node, StepError};
use super::super::sizes;
use super::driver::{Address, StreamHandle};
use super::engine::Shared;
use super::graphs::{Following, Prepared, Recorded};
use super::memory::SessionMemory;
use super::owned::{Event, Stream};
use super::params::Params;
use super::pinned::Pinned;
use super::program::{Action, Program};
use super::shape::Values;
use super::timeline::Timeline;

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
    pub(super) last: Event,
    pub(super) lent: bool,
    /// Whether `results` hold what the sizes at hand say.
    pub(super) fetched: bool,
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
    /// Where the times of steps go.
    pub timeline: Option<Timeline>,
    /// Nodes of the steps so far, where the session's own stream captures a graph.
    pub recorded: Option<Vec<Recorded>>,
    /// The graph whose nodes get the addresses of this call; nothing runs.
    pub followed: Option<Following>,
}

impl Call<'_> {
    /// A call on a stream, of inputs on the device.
    pub fn new(stream: StreamHandle) -> Call<'static> {
        Call {
            stream,
            graphs: None,
            capturing: false,
            host_inputs: false,
            objects: &[],
            after_launch: false,
            timeline: None,
            recorded: None,
            followed: None,
        }
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
            fetched: false,
            stream,
            shared: Arc::clone(shared),
        };
        if profile {
            session.times = (0..program.steps.len()).map(|k| (session.node(k as u32), Duration::ZERO)).collect();
        }
        let shared = Arc::clone(shared);
        for region in 0..shared.regions.count() {
            session.host(region)?;
        }
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
        self.rejoin()?;
        self.fetched = false;
        self.values.prepare(&shared.program, shapes.iter().copied())?;
        self.ready(&Call::new(self.stream.handle()), &shared.program)?;
        for (k, shape) in shapes.iter().enumerate() {
            if let Some(dtype) = shared.program.inputs.get(k).and_then(|p| p.dtype) {
                self.need_staging(k, byte_length(dtype, sizes::count(shape)))?;
            }
        }
        for (k, port) in shared.program.outputs.iter().enumerate() {
            if port.dims.iter().all(|size| size.0 < shared.program.prepared)
                && let Some(bytes) = self.output_bytes(k).map_err(StepError::at_border)?
            {
                self.need_result(k, bytes)?;
            }
        }
        if shared.options.graphs && !shared.options.profile && self.prepared_shape().is_none() {
            self.make_graphs()?;
        }
        self.stream.synchronize()?;
        Ok(())
    }

    /// Makes the session's stream wait for a call on a caller's stream.
    pub(super) fn rejoin(&mut self) -> Result<(), Error> {
        if std::mem::take(&mut self.lent) {
            self.shared.context.api.wait_event(self.stream.handle(), self.last.handle())?;
        }
        Ok(())
    }

    /// Sets everything that the session keeps between calls to zero.
    pub fn reset_states(&mut self) -> Result<(), Error> {
        self.guarded(|session| {
            let shared = Arc::clone(&session.shared);
            session.rejoin()?;
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
    pub(super) fn guarded<T>(&mut self, work: impl FnOnce(&mut GpuSession) -> Result<T, Error>) -> Result<T, Error> {
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
