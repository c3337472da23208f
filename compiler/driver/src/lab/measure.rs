//! One case on the device: planned, loaded, run, checked, timed.

use std::time::Duration;

use emit::gpu::GpuTarget;
use graph::datum::Datum;
use plan::plan::Plan;
use runtime_min::gpu::driver::DriverTable;
use runtime_min::gpu::options::EngineOptions;

use crate::compare::distance;
use crate::error::Error;
use crate::in_process::{self, Given};
use crate::lab::jobs::Case;
use crate::lab::network::Network;

/// What came of a case.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Row {
    pub name: String,
    /// Microseconds of a run: median, least, and of the 90th percentile.
    pub us: f64,
    pub us_min: f64,
    pub us_p90: f64,
    /// Gigabytes and teraflops a second, of the least work that the case is.
    pub gb_per_s: f64,
    pub tflops: f64,
    /// The rate over that of the device's copy in this call of `lab`; 0 without one.
    pub of_copy: f64,
    /// Kernels of a run, and CTAs' names of their families.
    pub launches: usize,
    /// Relative L2 distance from the evaluator; nothing where that would take too long.
    pub error: Option<f64>,
    /// Why there is no time, or what is wrong with the values.
    pub failure: Option<String>,
}

/// What is asked of a measurement.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// How long a case is timed.
    pub time: Duration,
    /// Bytes of the copies that take turns.
    pub rotated: f64,
    /// Most elements and multiply-adds for which the evaluator is asked.
    pub checked: f64,
}

impl Default for Effort {
    fn default() -> Effort {
        Effort { time: Duration::from_millis(200), rotated: 256e6, checked: 3e7 }
    }
}

/// Most copies that take turns.
const MOST_COPIES: f64 = 64.0;

/// Times a planned case.
pub fn measure<C>(
    driver: &'static DriverTable,
    (plan, target): (&Plan<C>, &dyn GpuTarget<C>),
    (case, network): (&Case, &Network),
    effort: &Effort,
) -> Result<Row, Error> {
    let engine = in_process::load(driver, plan, target, EngineOptions::default())?;
    let mut session = engine.session()?;
    let found = in_process::run(&mut session, plan.outputs.len(), &network.inputs)?;
    let mut row = Row { name: case.name.clone(), launches: plan.body.steps.len(), ..Row::default() };
    check(&mut row, network, &found, effort)?;
    drop(found);
    let given = Given::new(&network.inputs);
    let given = given.inputs();
    let copies = (effort.rotated / network.bytes.max(1.0)).ceil().clamp(1.0, MOST_COPIES) as usize;
    let copies = if case.job.warm { 1 } else { copies };
    let mut times: Vec<f64> = match session.rotation(&given, copies, copies.max(4)) {
        Ok(rotation) => {
            let first = session.time_rotation(&rotation, 3)?;
            let one = first.iter().min().copied().unwrap_or_default().as_secs_f64() * rotation.runs() as f64;
            let rounds = (effort.time.as_secs_f64() / one.max(1e-6)).clamp(5.0, 200.0) as usize;
            session.time_rotation(&rotation, rounds)?
        }
        // Where the host has a part in the steps, whole runs are timed.
        Err(_) => session.time(&given, 20)?,
    }
    .iter()
    .map(|time| time.as_secs_f64() * 1e6)
    .collect();
    times.sort_by(f64::total_cmp);
    let at = |q: f64| times.get((times.len().saturating_sub(1) as f64 * q) as usize).copied().unwrap_or(0.0);
    (row.us, row.us_min, row.us_p90) = (at(0.5), at(0.0), at(0.9));
    row.gb_per_s = network.bytes / row.us.max(1e-6) / 1e3;
    row.tflops = network.flops / row.us.max(1e-6) / 1e6;
    Ok(row)
}

/// Compares with the evaluator, where that is quick enough.
fn check(row: &mut Row, network: &Network, found: &[Datum], effort: &Effort) -> Result<(), Error> {
    if network.flops / 2.0 + network.bytes / 2.0 > effort.checked {
        return Ok(());
    }
    let expected = graph::eval::model(&network.model, &network.inputs)?;
    let mut worst = 0.0f64;
    for (found, expected) in found.iter().zip(&expected) {
        match distance(found, expected) {
            Ok(distance) => worst = worst.max(distance.relative_l2),
            Err(what) => row.failure = Some(what),
        }
    }
    row.error = Some(worst);
    Ok(())
}
