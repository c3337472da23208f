//! `lab`: many small networks, and models, timed on this machine's GPU in one call: planned, lowered and run as any model is.
//!
//! ```text
//! jobs ─► cases ─► prepare (plans, one a variant; in parallel) ─► link (in parallel) ─► measure (check, then time in turns) ─► rows
//! ```
//!
//! Runs are timed as CUDA graphs that take turns on copies of all their memory, together larger than the cache; bytes and
//! operations are those of the least work that a case is. Cases run in a process of their own, [`worker`]: a kernel that
//! fails spoils its context and costs one row.

pub mod check;
pub mod jobs;
pub mod measure;
pub mod network;
pub mod prepare;
pub mod table;
pub mod worker;

use emit::gpu::GpuTarget;
use runtime_min::error::Error as RunError;
use runtime_min::gpu::driver::DriverTable;
use runtime_min::gpu::owned::device_facts;

use crate::error::Error;
use crate::gpu::Gpu;
use crate::lab::jobs::{Case, Op};
use crate::lab::measure::{Effort, Row, measure};
use crate::lab::prepare::{Entrant, Prepared, prepare};
use crate::locked::{WithCubins, kernel_texts};
use crate::target::Targets;
use crate::trial::{Machine, in_parallel};

pub use table::{heading, line};

/// What is heard of cases as they run.
pub trait Listener {
    /// An entrant of a case, by its number, is about to run for the first time.
    fn begin(&mut self, _case: usize, _variant: &str) {}
    /// All rows of a case are there; whether the next one may run.
    fn end(&mut self, case: usize, rows: &[Row]) -> bool;
    /// Entrants that are left out.
    fn skips(&self, _case: usize, _variant: &str) -> bool {
        false
    }
}

/// Runs cases on the first device of a driver. What goes wrong in a case is its rows'.
pub fn run_cases(
    driver: &'static DriverTable,
    targets: &Targets,
    cases: &[Case],
    effort: &Effort,
    listener: &mut dyn Listener,
) -> Result<(), Error> {
    let capability = device_facts(driver, 0).map_err(RunError::from)?.capability;
    let machine = Machine::open(driver, 0)?;
    let numbered: Vec<(usize, &Case)> = cases.iter().enumerate().collect();
    for chunk in numbered.chunks(effort.batch.max(1)) {
        let prepared = in_parallel(chunk, |(number, case)| (*number, *case, prepare(case, targets, capability)));
        let plans: Vec<(&Prepared, &Entrant)> = prepared
            .iter()
            .filter_map(|(_, _, prepared)| prepared.as_ref().ok())
            .flat_map(|prepared| prepared.entrants.iter().map(move |entrant| (prepared, entrant)))
            .collect();
        let texts = in_parallel(&plans, |(prepared, entrant)| texts(prepared.gpu, entrant));
        let texts: Vec<(Gpu, String, String)> = texts.into_iter().flatten().collect();
        for same in texts.chunk_by(|a, b| a.0 == b.0) {
            let Some((gpu, ..)) = same.first() else { continue };
            let list: Vec<(&str, &str)> = same.iter().map(|(_, name, ptx)| (name.as_str(), ptx.as_str())).collect();
            // What cannot be linked fails again, with its reason, when it is loaded.
            machine.link(gpu.architecture(), gpu.name(), &list);
        }
        for (number, case, prepared) in prepared {
            let rows = match prepared {
                Ok(mut prepared) => {
                    prepared.entrants.retain(|entrant| !listener.skips(number, &entrant.variant));
                    measure(driver, &machine, &prepared, effort, &mut |variant| listener.begin(number, variant))
                }
                Err(error) => {
                    vec![Row { name: case.name.clone(), failure: Some(error.to_string()), ..Row::default() }]
                }
            };
            if !listener.end(number, &rows) {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Names and texts of a plan's kernels; nothing where they cannot be written.
fn texts(gpu: Gpu, entrant: &Entrant) -> Vec<(Gpu, String, String)> {
    let bare = WithCubins::none(gpu);
    let texts = entrant.plan.as_ref().ok().and_then(|plan| kernel_texts(plan, &bare).ok()).unwrap_or_default();
    texts.into_iter().map(|(ptx, text)| (gpu, text.name, ptx)).collect()
}

/// Gives rows their rate over that of the copies before them.
pub fn compare_with_copy(case: &Case, rows: &mut [Row], copy: &mut f64) {
    for row in rows {
        if case.op == Op::Copy && row.failure.is_none() {
            *copy = row.gb_per_s;
        }
        row.of_copy = if *copy > 0.0 { row.gb_per_s / *copy } else { 0.0 };
    }
}
