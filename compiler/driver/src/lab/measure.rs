//! The entrants of a case on the device: loaded, run, checked, then timed in turns.

use std::sync::Arc;
use std::time::Duration;

use graph::datum::Datum;
use runtime_min::gpu::driver::DriverTable;
use runtime_min::gpu::options::EngineOptions;
use runtime_min::gpu::rotate::Rotation;
use runtime_min::gpu::session::GpuSession;

use crate::error::Error;
use crate::in_process::{self, Given};
use crate::lab::check;
use crate::lab::prepare::{Entrant, Prepared};
use crate::trial::Machine;

/// What came of an entrant.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Row {
    pub name: String,
    /// The kernel family's variant, if one was asked for or chosen.
    pub variant: String,
    /// Microseconds of a run: median, least, and of the 90th percentile.
    pub us: f64,
    pub us_min: f64,
    pub us_p90: f64,
    /// Gigabytes and teraflops a second, of the least work that the case is.
    pub gb_per_s: f64,
    pub tflops: f64,
    /// The rate over that of the device's copy in this call of `lab`; 0 without one.
    pub of_copy: f64,
    /// Time of the case's fastest entrant over this one's.
    pub of_best: f64,
    /// Steps of a run.
    pub steps: usize,
    /// Relative L2 distance from what must come out; nothing for models.
    pub error: Option<f64>,
    /// Why there is no time, or what is wrong with the values.
    pub failure: Option<String>,
}

/// What is asked of a measurement.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// How long an entrant is timed.
    pub time: Duration,
    /// Bytes of the copies that take turns.
    pub rotated: f64,
    /// Whether values are compared with what must come out.
    pub checked: bool,
    /// Cases that are planned and linked together.
    pub batch: usize,
}

impl Default for Effort {
    fn default() -> Effort {
        Effort { time: Duration::from_millis(200), rotated: 256e6, checked: true, batch: BATCH }
    }
}

/// Cases that are planned and linked together, where nothing else is said.
pub const BATCH: usize = 16;
/// Most copies that take turns, and least runs of a graph.
const MOST_COPIES: f64 = 64.0;
const LEAST_RUNS: usize = 4;
/// Turns of the entrants.
const TURNS: u32 = 5;
/// Most entrants that are on the device at once.
const MOST_LANES: usize = 8;

/// An entrant on the device.
struct Lane {
    row: Row,
    session: GpuSession,
    /// Nothing where the host has a part in the steps: then calls are timed.
    rotation: Option<Rotation>,
    /// Rounds of a turn.
    rounds: usize,
    times: Vec<f64>,
}

/// Times the entrants of a case; `begin` hears of each before it runs for the first time.
pub fn measure(
    driver: &'static DriverTable,
    machine: &Machine,
    prepared: &Prepared,
    effort: &Effort,
    begin: &mut dyn FnMut(&str),
) -> Vec<Row> {
    let given = Arc::new(Given::new(&prepared.network.inputs));
    let mut expected = None;
    let mut rows = Vec::with_capacity(prepared.entrants.len());
    for group in prepared.entrants.chunks(MOST_LANES) {
        let mut lanes = Vec::with_capacity(group.len());
        for entrant in group {
            begin(&entrant.variant);
            match open(driver, machine, prepared, entrant, (&given, effort), &mut expected) {
                Ok(lane) => lanes.push(lane),
                Err(error) => rows.push(failed(prepared, entrant, &error)),
            }
        }
        rows.extend(time(lanes, prepared, &given, effort));
    }
    let best = rows.iter().filter(|r| r.failure.is_none()).map(|r| r.us).fold(f64::INFINITY, f64::min);
    for row in rows.iter_mut().filter(|r| r.us > 0.0) {
        row.of_best = best / row.us;
    }
    rows
}

fn failed(prepared: &Prepared, entrant: &Entrant, error: &Error) -> Row {
    let (name, variant) = (prepared.case.name.clone(), entrant.variant.clone());
    Row { name, variant, failure: Some(error.to_string()), ..Row::default() }
}

fn open(
    driver: &'static DriverTable,
    machine: &Machine,
    prepared: &Prepared,
    entrant: &Entrant,
    (given, effort): (&Given, &Effort),
    expected: &mut Option<Option<Vec<Datum>>>,
) -> Result<Lane, Error> {
    let Prepared { case, network, gpu, .. } = prepared;
    let plan = entrant.plan.as_ref().map_err(|error| Error::Answer { what: error.to_string() })?;
    let engine = in_process::load(driver, plan, &machine.target(*gpu), EngineOptions::default())?;
    let mut session = engine.session()?;
    let (name, variant) = (case.name.clone(), entrant.variant.clone());
    let mut row = Row { name, variant, steps: plan.body.steps.len(), ..Row::default() };
    if effort.checked {
        session.infer(&given.inputs())?;
        let found = in_process::fetched(&session, plan.outputs.len())?;
        if expected.is_none() {
            *expected = Some(check::expected(driver, *gpu, case, network)?);
        }
        match expected.as_ref().and_then(Option::as_ref).map(|e| check::relative_l2(&found, e)) {
            Some(Ok(error)) => row.error = Some(error),
            Some(Err(what)) => row.failure = Some(what),
            None => {}
        }
    }
    let inputs = given.inputs();
    let taken = session.memory_bytes() as f64 + engine.info().weight_bytes as f64;
    let copies = (effort.rotated / taken.max(1.0)).ceil().clamp(1.0, MOST_COPIES) as usize;
    let copies = if case.job.warm { 1 } else { copies };
    let (mut rotation, mut one) = (None, 0.0);
    if let Ok(recorded) = session.rotation(&inputs, copies, copies.max(LEAST_RUNS)) {
        let first = session.time_rotation(&recorded, 3)?;
        one = first.iter().min().copied().unwrap_or_default().as_secs_f64() * recorded.runs() as f64;
        rotation = Some(recorded);
    }
    let rounds = ((effort.time / TURNS).as_secs_f64() / one.max(1e-6)).clamp(2.0, 50.0) as usize;
    Ok(Lane { row, session, rotation, rounds, times: Vec::new() })
}

/// Lanes take turns, so that what changes with time changes for all.
fn time(mut lanes: Vec<Lane>, prepared: &Prepared, given: &Given, effort: &Effort) -> Vec<Row> {
    let turns = if effort.time.is_zero() { 1 } else { TURNS };
    for _ in 0..turns {
        for lane in lanes.iter_mut().filter(|lane| lane.row.failure.is_none()) {
            let times = match &lane.rotation {
                Some(rotation) => lane.session.time_rotation(rotation, lane.rounds),
                None => lane.session.time(&given.inputs(), 4),
            };
            match times {
                Ok(times) => lane.times.extend(times.iter().map(|time| time.as_secs_f64() * 1e6)),
                Err(error) => lane.row.failure = Some(error.to_string()),
            }
        }
    }
    lanes.into_iter().map(|lane| finish(lane, prepared)).collect()
}

fn finish(mut lane: Lane, prepared: &Prepared) -> Row {
    lane.times.sort_by(f64::total_cmp);
    let times = &lane.times;
    let at = |q: f64| times.get((times.len().saturating_sub(1) as f64 * q) as usize).copied().unwrap_or(0.0);
    let mut row = lane.row;
    (row.us, row.us_min, row.us_p90) = (at(0.5), at(0.0), at(0.9));
    row.gb_per_s = prepared.network.bytes / row.us.max(1e-6) / 1e3;
    row.tflops = prepared.network.flops / row.us.max(1e-6) / 1e6;
    row
}
