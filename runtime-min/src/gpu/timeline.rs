//! The time of every step of a call, with the ONNX nodes that it stems from: events before and after each step.
//!
//! ```text
//! stream   whole runs … │ event  step 0  event │ event  step 1  event │ …
//! ```
//!
//! Steps follow each other closely only while the host is ahead, so some whole runs are given to the device first.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::error::{DeviceError, Error, Node, StepError};
use super::owned::Event;
use super::program::{Action, Program};
use super::session::{Call, GpuSession};

/// One step of the device in a call; times are from the call's start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepTime {
    /// Its number in the program; steps in loops come several times.
    pub step: u32,
    /// The ONNX nodes that it stems from.
    pub node: Node,
    /// The kernel's name, `copy` or `clear`.
    pub kernel: &'static str,
    /// When the host began and ended to give it to the device.
    pub host: [Duration; 2],
    /// When the device began and ended it.
    pub device: [Duration; 2],
}

/// Steps of a call that is observed.
#[derive(Debug)]
pub struct Timeline {
    begun: Instant,
    steps: Vec<Mark>,
}

#[derive(Debug)]
struct Mark {
    step: u32,
    host: [Duration; 2],
    start: Event,
    end: Event,
}

/// Whole runs that keep the device busy until the host is ahead.
const AHEAD: usize = 8;

impl GpuSession {
    /// Runs the steps of the last [`GpuSession::infer`] again, and yields the time of each. States go on by some calls.
    pub fn timeline(&mut self) -> Result<Vec<StepTime>, Error> {
        let refused = |what: &str| Error::from(DeviceError::Refused { what: what.to_string() });
        if !self.fetched {
            return Err(refused("there are no inputs of a call of infer; call it first"));
        }
        if self.shared.program.inputs.iter().any(|port| port.dtype.is_none()) {
            return Err(refused("an input is no tensor, and the session has not kept it"));
        }
        self.guarded(|session| {
            let shared = Arc::clone(&session.shared);
            let (program, api, stream) = (&shared.program, shared.context.api, session.stream.handle());
            session.rejoin()?;
            let graphs = session.prepared_shape();
            for _ in 0..AHEAD {
                let mut call = Call { host_inputs: true, graphs, ..Call::new(stream) };
                session.run_block(&mut call, program, program.body)?;
            }
            let origin = Event::new(&shared.context, true)?;
            api.record_event(origin.handle(), stream)?;
            let timeline = Timeline { begun: Instant::now(), steps: Vec::with_capacity(program.steps.len()) };
            let mut call = Call { host_inputs: true, timeline: Some(timeline), ..Call::new(stream) };
            session.run_block(&mut call, program, program.body)?;
            session.stream.synchronize()?;
            let marks = call.timeline.map(|t| t.steps).unwrap_or_default();
            let mut times = Vec::with_capacity(marks.len());
            for mark in marks {
                let since = |event: &Event| {
                    let milliseconds = f64::from(api.elapsed(origin.handle(), event.handle())?).max(0.0);
                    Ok::<_, Error>(Duration::from_secs_f64(milliseconds / 1000.0))
                };
                let device = [since(&mark.start)?, since(&mark.end)?];
                let (node, kernel) = (session.node(mark.step), kernel(program, mark.step));
                times.push(StepTime { step: mark.step, node, kernel, host: mark.host, device });
            }
            Ok(times)
        })
    }

    /// Gives a step to the call's stream between two events.
    pub(super) fn issue_observed(&mut self, call: &mut Call<'_>, k: u32, action: &Action) -> Result<(), StepError> {
        let context = Arc::clone(&self.shared.context);
        let begun = call.timeline.as_ref().map_or_else(Instant::now, |t| t.begun);
        let (start, end) = (Event::new(&context, true)?, Event::new(&context, true)?);
        let first = begun.elapsed();
        context.api.record_event(start.handle(), call.stream)?;
        // A step that is timed does not overlap the one before it.
        call.after_launch = false;
        if !self.issue(call, action)? {
            return Ok(());
        }
        context.api.record_event(end.handle(), call.stream)?;
        if let Some(timeline) = &mut call.timeline {
            timeline.steps.push(Mark { step: k, host: [first, begun.elapsed()], start, end });
        }
        Ok(())
    }
}

/// What runs in a step.
pub fn kernel(program: &Program, step: u32) -> &'static str {
    match program.steps.get(step as usize).map(|s| &s.action) {
        Some(Action::Launch { kernel, .. }) => {
            let module = program.kernels.get(*kernel as usize).map(|k| k.module);
            module.and_then(|m| program.modules.get(m as usize)).map_or("kernel", |m| m.name)
        }
        Some(Action::Copy { .. }) => "copy",
        Some(Action::Clear { .. }) => "clear",
        _ => "step",
    }
}
