//! Calls in their parts, steps alone, and memory by kind: what a benchmark tells. For tools; not in generated crates.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::error::Error;
use super::owned::{Event, Graph, GraphExec};
use super::pinned::Pinned;
use super::program::Action;
use super::regions::Kind;
use super::session::{Call, GpuSession, HostInput, HostValue};

/// One call from page-locked memory to page-locked memory.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CallTime {
    /// Of the host, for giving the steps to the stream; copies of inputs and outputs left out.
    pub enqueue: Duration,
    /// Of the device.
    pub upload: Duration,
    pub compute: Duration,
    pub download: Duration,
    /// Of the host, until the outputs are there.
    pub call: Duration,
}

/// Bytes by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryKinds {
    pub weights: u64,
    pub arena: u64,
    pub inputs: u64,
    pub outputs: u64,
    pub states: u64,
    /// Buffers that grow while steps run, and others of their own.
    pub other: u64,
    /// Page-locked memory of the host.
    pub pinned: u64,
}

impl GpuSession {
    /// Times calls, one at a time. States go on.
    pub fn time_calls(&mut self, inputs: &[HostInput<'_>], calls: usize) -> Result<Vec<CallTime>, Error> {
        self.infer(inputs)?;
        self.guarded(|session| {
            let shared = Arc::clone(&session.shared);
            let (program, api, stream) = (&shared.program, shared.context.api, session.stream.handle());
            let staged: Vec<HostInput<'_>> = inputs.iter().map(in_place).collect();
            let event = || Event::new(&shared.context, true);
            let events = [event()?, event()?, event()?, event()?];
            let [sent, begun, ended, fetched] = events.each_ref().map(Event::handle);
            let mut times = Vec::with_capacity(calls);
            for _ in 0..calls {
                let start = Instant::now();
                let graphs = session.prepared_shape();
                let mut call = Call { host_inputs: true, objects: inputs, graphs, ..Call::new(stream) };
                api.record_event(sent, stream)?;
                session.send(&staged)?;
                api.record_event(begun, stream)?;
                let given = Instant::now();
                session.run_block(&mut call, program, program.body)?;
                let enqueue = given.elapsed();
                api.record_event(ended, stream)?;
                session.fetch(program)?;
                api.record_event(fetched, stream)?;
                session.stream.synchronize()?;
                let call = start.elapsed();
                let between = |start, end| Ok::<_, Error>(seconds(api.elapsed(start, end)?));
                let (upload, compute, download) =
                    (between(sent, begun)?, between(begun, ended)?, between(ended, fetched)?);
                times.push(CallTime { enqueue, upload, compute, download, call });
            }
            session.fetched = true;
            Ok(times)
        })
    }

    /// Times each step of the device outside of loops and choices by itself: a CUDA graph of `repeats` of it, launched `rounds`
    /// times; in order, so that each finds what those before it wrote.
    pub fn time_steps(
        &mut self,
        inputs: &[HostInput<'_>],
        repeats: usize,
        rounds: usize,
    ) -> Result<Vec<(u32, Duration)>, Error> {
        self.infer(inputs)?;
        self.guarded(|session| {
            let shared = Arc::clone(&session.shared);
            let (program, stream) = (&shared.program, session.stream.handle());
            let mut times = Vec::new();
            for k in program.body.start..program.body.end {
                let mut call = Call { host_inputs: true, objects: inputs, ..Call::new(stream) };
                session.step(&mut call, program, k)?;
                let Some(step) = program.steps.get(k as usize) else { break };
                if let Action::Launch { .. } | Action::Copy { .. } | Action::Clear { .. } = step.action
                    && let Some(time) = session.time_step(k, &step.action, repeats, rounds)?
                {
                    times.push((k, time));
                }
            }
            Ok(times)
        })
    }

    fn time_step(&mut self, k: u32, action: &Action, repeats: usize, rounds: usize) -> Result<Option<Duration>, Error> {
        let context = Arc::clone(&self.shared.context);
        let (api, stream) = (context.api, self.stream.handle());
        self.stream.synchronize()?;
        api.begin_capture(stream)?;
        let mut issued = Ok(true);
        for _ in 0..repeats {
            if let Ok(true) = issued {
                issued = self.issue(&mut Call::new(stream), action).map_err(|error| self.at(k, error));
            }
        }
        let ended = api.end_capture(stream).map(|graph| Graph::own(&context, graph));
        let (issued, graph) = (issued?, ended?);
        if !issued {
            return Ok(None);
        }
        let exec = GraphExec::own(&context, api.instantiate(graph.handle())?);
        api.launch_graph(exec.handle(), stream)?;
        let (start, end) = (Event::new(&context, true)?, Event::new(&context, true)?);
        let mut times = Vec::with_capacity(rounds);
        for _ in 0..rounds {
            api.record_event(start.handle(), stream)?;
            api.launch_graph(exec.handle(), stream)?;
            api.record_event(end.handle(), stream)?;
            self.stream.synchronize()?;
            times.push(seconds(api.elapsed(start.handle(), end.handle())?) / repeats.max(1) as u32);
        }
        times.sort();
        Ok(times.get(times.len() / 2).copied())
    }

    /// What the session and its engine have taken.
    pub fn memory_kinds(&self) -> MemoryKinds {
        let mut kinds = MemoryKinds::default();
        for (region, (_, bytes)) in self.memory.places.iter().enumerate() {
            let kind = match self.shared.regions.kind(region) {
                Kind::Weights => &mut kinds.weights,
                Kind::Arena => &mut kinds.arena,
                Kind::Input(_) => &mut kinds.inputs,
                Kind::Output(_) => &mut kinds.outputs,
                Kind::State(_) => &mut kinds.states,
                _ => &mut kinds.other,
            };
            *kind += bytes;
        }
        let pinned = self.staging.iter().chain(&self.results).chain([&self.scratch]).map(Pinned::len);
        kinds.pinned = pinned.sum::<usize>() as u64;
        kinds
    }
}

fn seconds(milliseconds: f32) -> Duration {
    Duration::from_secs_f64(f64::from(milliseconds).max(0.0) / 1000.0)
}

/// An input that the session's memory has already.
fn in_place<'a>(input: &HostInput<'a>) -> HostInput<'a> {
    let value = match input.value {
        HostValue::Bytes(_) | HostValue::Staged => HostValue::Staged,
        HostValue::Object(datum) => HostValue::Object(datum),
    };
    HostInput { dims: input.dims, value }
}
