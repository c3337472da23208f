//! `lab`: many small networks, and models, timed on this machine's GPU in one call: planned, lowered and run as any model is.
//!
//! Each case is timed as CUDA graphs of runs that take turns on copies of all their memory, together larger than the cache;
//! bytes and operations are those of the least work that the case is.

pub mod jobs;
pub mod measure;
pub mod network;

use std::path::Path;

use runtime_min::error::Error as RunError;
use runtime_min::gpu::cudarc_table::driver;
use runtime_min::gpu::driver::DriverTable;
use runtime_min::gpu::owned::device_facts;

use crate::error::Error;
use crate::gpu::Gpu;
use crate::lab::jobs::{Case, Op};
use crate::lab::measure::{Effort, Row, measure};
use crate::lab::network::Network;
use crate::planned::Planned;
use crate::target::{Target, Targets};
use crate::{Compiler, samples};

/// Runs the cases of a file whose names hold `only`; `each` gets every row when it is there.
pub fn run(path: &Path, only: &str, effort: &Effort, each: &mut dyn FnMut(&Row)) -> Result<Vec<Row>, Error> {
    let cases: Vec<Case> = jobs::read(path)?.into_iter().filter(|case| case.name.contains(only)).collect();
    let driver = driver().map_err(RunError::from)?;
    run_cases(driver, &Targets::of(&[Target::Native])?, &cases, effort, each)
}

/// Runs cases on the first device of a driver. What goes wrong in a case is its row's.
pub fn run_cases(
    driver: &'static DriverTable,
    targets: &Targets,
    cases: &[Case],
    effort: &Effort,
    each: &mut dyn FnMut(&Row),
) -> Result<Vec<Row>, Error> {
    let capability = device_facts(driver, 0).map_err(RunError::from)?.capability;
    let mut rows: Vec<Row> = Vec::with_capacity(cases.len());
    let mut copy = 0.0;
    for case in cases {
        let mut row = run_case(driver, targets, capability, case, effort)
            .unwrap_or_else(|error| Row { failure: Some(error.to_string()), ..Row::default() });
        row.name = case.name.clone();
        if case.op == Op::Copy && row.failure.is_none() {
            copy = row.gb_per_s;
        }
        row.of_copy = if copy > 0.0 { row.gb_per_s / copy } else { 0.0 };
        each(&row);
        rows.push(row);
    }
    Ok(rows)
}

fn run_case(
    driver: &'static DriverTable,
    targets: &Targets,
    capability: u32,
    case: &Case,
    effort: &Effort,
) -> Result<Row, Error> {
    let (network, plans) = match &case.job.model {
        None => {
            let network = network::build(case)?;
            let mut model = network.model.clone();
            passes::run_pipeline(&mut model, &passes::Options::default())?;
            let plans = Planned::of(&model, targets)?;
            (network, plans)
        }
        Some(path) => model_of(case, path)?,
    };
    let unfit = || Error::Option {
        what: case.name.clone(),
        expected: "an architecture that this machine's GPU runs".to_string(),
        found: "none".to_string(),
    };
    let (gpu, plan) = plans.for_gpu(capability).ok_or_else(unfit)?;
    if case.job.generic {
        let generic = gpu.plan_generic(&network.model)?;
        return measure(driver, (&generic, gpu as &Gpu), (case, &network), effort);
    }
    measure(driver, (plan, gpu as &Gpu), (case, &network), effort)
}

fn model_of(case: &Case, path: &Path) -> Result<(Network, Planned), Error> {
    let mut compiler = Compiler::new(path).targets(&[Target::Native]);
    for (name, value) in &case.dims {
        compiler = compiler.dim(name, &value.to_string())?;
    }
    let compiled = compiler.compile()?;
    let inputs = compiled.plans.sample_inputs(1).ok_or_else(|| Error::Option {
        what: case.name.clone(),
        expected: "a model whose inputs are tensors".to_string(),
        found: "an input that is none".to_string(),
    })?;
    let bytes = inputs.iter().map(samples::bytes).sum::<usize>() as f64;
    Ok((Network { model: compiled.imported.model, inputs, bytes, flops: 0.0 }, compiled.plans))
}

/// The heads of the table's columns.
pub fn heading() -> String {
    let head = format!("{:<44} {:>10} {:>8} {:>8} {:>8} {:>8}", "case", "us", "GB/s", "of copy", "TFLOP/s", "error");
    format!("{head}\n")
}

/// One line of the table.
pub fn line(row: &Row) -> String {
    if let Some(failure) = &row.failure {
        return format!("{:<44} failed: {failure}\n", row.name);
    }
    let error = row.error.map_or_else(|| "-".to_string(), |e| format!("{e:.1e}"));
    let (us, rate, copy, flops) = (row.us, row.gb_per_s, row.of_copy, row.tflops);
    format!("{:<44} {us:>10.2} {rate:>8.0} {copy:>8.2} {flops:>8.1} {error:>8}\n", row.name)
}
