//! Times of runs on memory that takes turns: each run has inputs, outputs, intermediate values and weights in one of several
//! copies, so that caches have forgotten them when their turn comes. For tools; not in generated crates.

use std::sync::Arc;
use std::time::Duration;

use super::super::error::{DeviceError, Error};
use super::memory::length;
use super::owned::{DeviceMemory, Event, Graph, GraphExec};
use super::program::Action;
use super::session::{Call, GpuSession, HostInput};

/// Runs of a program, recorded one after the other as one CUDA graph.
#[derive(Debug)]
pub struct Rotation {
    exec: GraphExec,
    runs: usize,
    _graph: Graph,
    /// The copies beyond the session's own memory.
    _memory: Vec<DeviceMemory>,
}

impl Rotation {
    /// Runs of one launch.
    pub fn runs(&self) -> usize {
        self.runs
    }
}

impl GpuSession {
    /// Records `runs` runs on these inputs, which take turns on `copies` copies of all memory. Refused where the host has a part
    /// in the steps.
    pub fn rotation(&mut self, inputs: &[HostInput<'_>], copies: usize, runs: usize) -> Result<Rotation, Error> {
        self.infer(inputs)?;
        self.guarded(|session| {
            let shared = Arc::clone(&session.shared);
            let program = &shared.program;
            let body = program.body.start as usize..program.body.end as usize;
            let steps = program.steps.get(body).unwrap_or(&[]);
            let device =
                |action: &Action| matches!(action, Action::Launch { .. } | Action::Copy { .. } | Action::Clear { .. });
            if !steps.iter().all(|step| device(&step.action)) {
                let what = "the host has a part in the steps, so that they cannot be recorded".to_string();
                return Err(DeviceError::Refused { what }.into());
            }
            let own = session.memory.places.clone();
            let mut memory = Vec::new();
            let mut places = vec![own.clone()];
            for _ in 1..copies {
                let mut list = own.clone();
                for place in list.iter_mut().filter(|place| place.1 > 0) {
                    let copy = DeviceMemory::new(&shared.context, place.1)?;
                    shared.context.api.copy(copy.address(), place.0, length(place.1), session.stream.handle())?;
                    place.0 = copy.address();
                    memory.push(copy);
                }
                places.push(list);
            }
            session.stream.synchronize()?;
            let recorded = session.record_runs(&places, runs);
            session.memory.places = own;
            let (graph, exec) = recorded?;
            Ok(Rotation { exec, runs, _graph: graph, _memory: memory })
        })
    }

    fn record_runs(&mut self, places: &[Vec<(u64, u64)>], runs: usize) -> Result<(Graph, GraphExec), Error> {
        let shared = Arc::clone(&self.shared);
        let (api, stream, body) = (shared.context.api, self.stream.handle(), shared.program.body);
        api.begin_capture(stream)?;
        let mut recorded = Ok(());
        'runs: for list in places.iter().cycle().take(runs) {
            self.memory.places.clone_from(list);
            let mut call = Call::new(stream);
            for k in body.start..body.end {
                let Some(step) = shared.program.steps.get(k as usize) else { break };
                if let Err(error) = self.issue(&mut call, &step.action) {
                    recorded = Err(self.at(k, error));
                    break 'runs;
                }
            }
        }
        let ended = api.end_capture(stream).map(|graph| Graph::own(&shared.context, graph));
        recorded?;
        let graph = ended?;
        let exec = GraphExec::own(&shared.context, api.instantiate(graph.handle())?);
        api.upload_graph(exec.handle(), stream)?;
        self.stream.synchronize()?;
        Ok((graph, exec))
    }

    /// The device's time for each of `rounds` launches, divided by their runs.
    pub fn time_rotation(&mut self, rotation: &Rotation, rounds: usize) -> Result<Vec<Duration>, Error> {
        self.guarded(|session| {
            let (context, api) = (session.shared.context.clone(), session.shared.context.api);
            let stream = session.stream.handle();
            let mut events = Vec::with_capacity(rounds + 1);
            for _ in 0..=rounds {
                events.push(Event::new(&context, true)?);
            }
            for (round, event) in events.iter().enumerate() {
                api.record_event(event.handle(), stream)?;
                if round < rounds {
                    api.launch_graph(rotation.exec.handle(), stream)?;
                }
            }
            session.stream.synchronize()?;
            let mut times = Vec::with_capacity(rounds);
            for (start, end) in events.iter().zip(events.iter().skip(1)) {
                let milliseconds = f64::from(api.elapsed(start.handle(), end.handle())?).max(0.0);
                times.push(Duration::from_secs_f64(milliseconds / 1000.0 / rotation.runs.max(1) as f64));
            }
            Ok(times)
        })
    }
}
