//! `bench`: builds the crate and times its calls, or times the program in process.
//!
//! [`gpu`] measures, [`steps`] and [`work`] tell what steps achieve, [`trace`] writes a call for Perfetto, [`energy`] asks the
//! management library, [`spread`] has the order statistics.

pub mod energy;
pub mod gpu;
pub mod spread;
pub mod steps;
pub mod trace;
pub mod work;

use std::path::Path;
use std::time::Duration;

use runtime_min::error::Error as RunError;
use runtime_min::gpu::cudarc_table::driver;
use runtime_min::gpu::driver::DriverTable;
use runtime_min::gpu::owned::device_facts;

use crate::compiler::{Compiled, Compiler};
use crate::crate_run::CrateRun;
use crate::error::Error;
use crate::progress::Progress;
use gpu::{Effort, Measurement};

/// The lines of the crate's bench; the last one is a JSON object.
pub fn bench(compiler: &Compiler, seconds: f64, threads: usize) -> Result<String, Error> {
    let compiled = compiler.compile()?;
    let progress = Progress::start("writing the crate");
    let files = compiler.clone().golden(false).crate_files(&compiled)?;
    let run = CrateRun::new(&compiled.name, &files)?;
    progress.next("building and timing the crate");
    let text = run.bench(seconds, threads)?;
    progress.end();
    Ok(text)
}

/// Measures a model on this machine's GPU without a crate: lines, the last one a JSON object. A trace of a call goes to
/// `profile`.
pub fn bench_in_process(
    compiler: &Compiler,
    seconds: f64,
    iterations: usize,
    profile: Option<&Path>,
) -> Result<String, Error> {
    let compiled = compiler.compile()?;
    let progress = Progress::start("loading and timing the program");
    let driver = driver().map_err(RunError::from)?;
    let time = Duration::from_secs_f64(seconds.clamp(0.01, 3600.0));
    let found = measure(driver, &compiled, Effort { time, iterations })?;
    progress.end();
    if let Some(path) = profile {
        let trace = trace::trace(&found.model, &found.device, &found.timeline);
        std::fs::write(path, trace.to_string()).map_err(|e| Error::file(path, e))?;
    }
    Ok(format!("{}{}\n", found.text(), found.json()?))
}

/// Measures a compiled model on the first device of a driver.
pub fn measure(driver: &'static DriverTable, compiled: &Compiled, effort: Effort) -> Result<Measurement, Error> {
    let facts = device_facts(driver, 0).map_err(RunError::from)?;
    let (gpu, plan) = compiled.plans.for_gpu(facts.capability).ok_or_else(|| Error::Option {
        what: "--target".to_string(),
        expected: format!("native, or an architecture that {} runs", facts.name),
        found: "none".to_string(),
    })?;
    gpu::measure(driver, compiled, (&compiled.lock.target(*gpu), plan), effort)
}
