//! A model on a GPU of this machine, in process: what trtexec tells, under the same names, and what it does not.
//!
//! Latency is H2D latency + GPU compute time + D2H latency of one call at a time, between page-locked memory of the host and
//! itself. Throughput counts whole calls over the host's clock. GPU compute time is of one call after another with the host
//! waiting in between, as is the first line; "back to back" is of CUDA graphs launched one after the other without waiting.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use emit::gpu::GpuTarget;
use kernels::GpuCode;
use plan::plan::Plan;
use runtime_min::error::Error as RunError;
use runtime_min::gpu::driver::DriverTable;
use runtime_min::gpu::options::EngineOptions;
use runtime_min::gpu::owned::Context;
use runtime_min::gpu::session::{GpuSession, HostInput};
use runtime_min::gpu::stopwatch::{CallTime, MemoryKinds};
use runtime_min::gpu::timeline::StepTime;
use serde::Serialize;

use super::energy::EnergyMeter;
use super::spread::Spread;
use super::steps::{self, Measured, StepLine};
use crate::compiler::Compiled;
use crate::error::Error;
use crate::in_process::{Given, Loadable};

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// How long calls are timed.
    pub time: Duration,
    /// At least so many calls.
    pub iterations: usize,
}

/// Everything that was measured; times in milliseconds, memory in bytes.
#[derive(Clone, Debug, Serialize)]
pub struct Measurement {
    pub model: String,
    pub device: String,
    pub target: String,
    pub driver: String,
    /// Kernels, and those that came as machine code.
    pub kernels: usize,
    pub from_cubin: usize,
    pub load_ms: f64,
    pub first_ms: f64,
    pub per_second: f64,
    /// Of whole calls on the host's clock.
    pub median_ms: f64,
    pub p90_ms: f64,
    pub p99_ms: f64,
    pub peak_bytes: u64,
    pub latency: Spread,
    pub enqueue: Spread,
    pub h2d: Spread,
    pub compute: Spread,
    pub d2h: Spread,
    pub compute_back_to_back: Spread,
    pub memory: Memory,
    /// `None`: there is no meter.
    pub millijoules: Option<f64>,
    pub steps: Vec<StepLine>,
    #[serde(skip)]
    pub timeline: Vec<StepTime>,
}

/// Bytes by kind; all but the last are of the device.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Memory {
    pub weights: u64,
    pub arena: u64,
    pub inputs: u64,
    pub outputs: u64,
    pub states: u64,
    pub other: u64,
    /// What was free before the engine and its session, and is not, beyond the above: modules, graphs, the driver's own.
    pub modules: u64,
    pub pinned: u64,
}

/// Calls between looks at the clock.
const ROUNDS: usize = 20;
/// Runs of a step in a graph, and graphs whose median counts.
const STEP_REPEATS: usize = 20;
const STEP_ROUNDS: usize = 5;

/// Measures a compiled model on a device of a driver.
pub fn measure(
    driver: &'static DriverTable,
    compiled: &Compiled,
    (target, plan): (&dyn GpuTarget<GpuCode>, &Plan<GpuCode>),
    effort: Effort,
) -> Result<Measurement, Error> {
    let inputs = compiled.plans.sample_inputs(1).ok_or_else(|| Error::Option {
        what: "bench".to_string(),
        expected: "a model whose inputs are tensors, as others cannot be made up".to_string(),
        found: "an input that is none".to_string(),
    })?;
    let options = EngineOptions::default();
    let context = Context::open(driver, options.device).map_err(RunError::from)?;
    let free = || {
        let _entered = context.enter()?;
        context.api.memory_info()
    };
    let before = free().map_err(RunError::from)?.0;
    let loadable = Loadable::of(plan, target)?;
    let planned = loadable.lowered.planned.clone();
    let start = Instant::now();
    let engine = loadable.load(driver, options)?;
    let load = start.elapsed();
    let mut session = engine.session()?;
    let given = Given::new(&inputs);
    let given = given.inputs();
    session.infer(&given)?;
    let first = start.elapsed();
    let after = free().map_err(RunError::from)?.0;
    let (calls, wall) = calls(&mut session, &given, effort)?;
    let replays = replays(&mut session, &given, effort)?;
    let millijoules = energy(&mut session, &given, &context, effort)?;
    session.infer(&given)?;
    let timeline = session.timeline()?;
    let alone = session.time_steps(&given, STEP_REPEATS, STEP_ROUNDS)?;
    let measured = by_plan_step(&planned, &timeline, &alone);
    let steps = steps::lines(plan, &compiled.plans.smallest_sizes(), &measured);
    let (info, kinds) = (engine.info(), session.memory_kinds());
    let memory = memory(kinds, before.saturating_sub(after) as u64);
    let host = Spread::of(calls.iter().map(|c| c.call));
    Ok(Measurement {
        model: compiled.name.clone(),
        device: info.device,
        target: info.target,
        driver: format!("{}.{}", info.driver.0, info.driver.1),
        kernels: info.from_cubin + info.compiled,
        from_cubin: info.from_cubin,
        load_ms: load.as_secs_f64() * 1e3,
        first_ms: first.as_secs_f64() * 1e3,
        per_second: calls.len() as f64 / wall.as_secs_f64().max(1e-9),
        median_ms: host.median,
        p90_ms: host.p90,
        p99_ms: host.p99,
        peak_bytes: memory.weights + memory.of_session(),
        latency: Spread::of(calls.iter().map(|c| c.upload + c.compute + c.download)),
        enqueue: Spread::of(calls.iter().map(|c| c.enqueue)),
        h2d: Spread::of(calls.iter().map(|c| c.upload)),
        compute: Spread::of(calls.iter().map(|c| c.compute)),
        d2h: Spread::of(calls.iter().map(|c| c.download)),
        compute_back_to_back: Spread::of(replays),
        memory,
        millijoules,
        steps,
        timeline,
    })
}

impl Memory {
    fn of_session(&self) -> u64 {
        self.arena + self.inputs + self.outputs + self.states + self.other
    }
}

fn memory(kinds: MemoryKinds, taken: u64) -> Memory {
    let MemoryKinds { weights, arena, inputs, outputs, states, other, pinned } = kinds;
    let mut memory = Memory { weights, arena, inputs, outputs, states, other, modules: 0, pinned };
    memory.modules = taken.saturating_sub(weights + memory.of_session());
    memory
}

/// Calls one at a time, and the host's time for all.
fn calls(
    session: &mut GpuSession,
    given: &[HostInput<'_>],
    effort: Effort,
) -> Result<(Vec<CallTime>, Duration), Error> {
    // Warms caches and clocks.
    session.time_calls(given, ROUNDS)?;
    let mut times: Vec<CallTime> = Vec::new();
    let start = Instant::now();
    while times.len() < effort.iterations.max(1) || start.elapsed() < effort.time {
        times.extend(session.time_calls(given, ROUNDS)?);
    }
    let wall = times.iter().map(|c| c.call).sum();
    Ok((times, wall))
}

/// The device's times of runs without waiting in between.
fn replays(session: &mut GpuSession, given: &[HostInput<'_>], effort: Effort) -> Result<Vec<Duration>, Error> {
    let mut times = Vec::new();
    let start = Instant::now();
    while times.len() < effort.iterations.max(1) || start.elapsed() < effort.time / 2 {
        times.extend(session.time(given, ROUNDS)?);
    }
    Ok(times)
}

/// Millijoules of a run, when runs follow each other without waiting; what the device takes when idle included.
fn energy(
    session: &mut GpuSession,
    given: &[HostInput<'_>],
    context: &Context,
    effort: Effort,
) -> Result<Option<f64>, Error> {
    let Some(meter) = EnergyMeter::open(context.facts.uuid) else { return Ok(None) };
    let Some(before) = meter.millijoules() else { return Ok(None) };
    // The counter is renewed every few tens of milliseconds.
    let window = effort.time.max(Duration::from_millis(500));
    let (start, mut runs) = (Instant::now(), 0.0);
    while start.elapsed() < window {
        session.time(given, ROUNDS * 5)?;
        runs += (ROUNDS * 5) as f64 + 1.0;
    }
    Ok(meter.millijoules().map(|after| after.saturating_sub(before) as f64 / runs))
}

/// Times of the plan's steps: of a step by itself, where it stands outside of loops, else from the timeline.
fn by_plan_step(planned: &[u32], timeline: &[StepTime], alone: &[(u32, Duration)]) -> BTreeMap<u32, Measured> {
    let alone: BTreeMap<u32, f64> = alone.iter().map(|(step, time)| (*step, time.as_secs_f64() * 1e6)).collect();
    let mut out: BTreeMap<u32, Measured> = BTreeMap::new();
    for step in timeline {
        let number = planned.get(step.step as usize).copied().unwrap_or(u32::MAX);
        let [start, end] = step.device;
        let observed = end.saturating_sub(start).as_secs_f64() * 1e6;
        let entry = out.entry(number).or_default();
        entry.launches += 1;
        entry.us += alone.get(&step.step).copied().unwrap_or(observed);
        entry.node.get_or_insert(step.node);
    }
    out
}

impl Measurement {
    /// For people.
    pub fn text(&self) -> String {
        let mut out = String::new();
        let Measurement { model, device, target, driver, kernels, from_cubin, .. } = self;
        let compiled = kernels - from_cubin;
        let _ = writeln!(
            out,
            "{model}: {device} for {target}, driver {driver}, {kernels} kernels ({from_cubin} as machine code, {compiled} compiled)"
        );
        let (load, first) = (self.load_ms, self.first_ms);
        let _ = writeln!(out, "Engine load time: {load:.1} ms, time to first result: {first:.1} ms");
        let _ = writeln!(out, "Throughput: {:.2} qps", self.per_second);
        for (name, spread) in [
            ("Latency", &self.latency),
            ("Enqueue Time", &self.enqueue),
            ("H2D Latency", &self.h2d),
            ("GPU Compute Time", &self.compute),
            ("D2H Latency", &self.d2h),
            ("GPU Compute Time, back to back", &self.compute_back_to_back),
        ] {
            let _ = writeln!(out, "{name}: {}", spread.text());
        }
        let Memory { weights, arena, inputs, outputs, states, other, modules, pinned } = self.memory;
        let kinds = [
            ("weights", weights),
            ("arena", arena),
            ("inputs", inputs),
            ("outputs", outputs),
            ("states", states),
            ("other", other),
            ("modules and the driver's own", modules),
        ];
        let list: Vec<String> = kinds.iter().map(|(name, bytes)| format!("{name} {}", megabytes(*bytes))).collect();
        let _ = writeln!(out, "Device memory: {}; pinned host memory: {}", list.join(", "), megabytes(pinned));
        let _ = match self.millijoules {
            Some(energy) => writeln!(out, "Energy per inference: {energy:.3} mJ, back to back"),
            None => writeln!(out, "Energy per inference: not available"),
        };
        let _ = write!(out, "\n{}", steps::table(&self.steps));
        out
    }

    /// One line.
    pub fn json(&self) -> Result<String, Error> {
        serde_json::to_string(self).map_err(|e| Error::Answer { what: e.to_string() })
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{:.3} MB", bytes as f64 / 1e6)
}
