//! The pipeline: the passes in order, and how they run.

use graph::builder::Limits;
use graph::graph::Model;
use graph::verify;

use crate::PassError;
use crate::precision::{self, Precision};
use crate::{
    algebra, cse, dce, deep_convolutions, fold, fold_affine, integer_products, merge_binds, merge_contractions, no_op,
    pointwise_first, recognise_attention, recognise_norm, recognise_softmax, relabel, scale_out, split_taps,
    transposed, unit_views, views,
};

/// One step of the pipeline.
pub struct Pass {
    pub name: &'static str,
    pub run: fn(&mut Model, &Ctx<'_>) -> Result<Changes, PassError>,
    /// What it is for.
    pub reason: &'static str,
    /// Passes that must come earlier in a round.
    pub after: &'static [&'static str],
    /// Passes that must come later in a round.
    pub before: &'static [&'static str],
}

/// How often a pass changed something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes(pub usize);

/// What passes may ask of their caller.
pub struct Ctx<'a> {
    pub options: &'a Options,
}

/// What the caller decides.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// End after this pass, in the first round.
    pub stop_after: Option<String>,
    /// Bytes by which a folded constant may exceed what it is made of.
    pub fold_bytes: usize,
    /// Bounds on what a pass may build.
    pub limits: Limits,
    /// Sweeps over the graph in one pass.
    pub sweeps: usize,
    /// Rounds of the pipeline.
    pub rounds: usize,
    /// Merge contractions of one operand with constant weights (Q, K, V). The parts become views of one result.
    pub merge_contractions: bool,
    /// Keep what the CPU has kernels for and GPUs do not: transposed convolutions of one group over up to three dims, convolutions over
    /// three dims, and convolutions with few outputs.
    pub cpu_kernels: bool,
    /// What products are formed in, and intermediate values stored in.
    pub precision: Precision,
    /// Verify after every pass, not only at the end.
    pub verify_between: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            stop_after: None,
            fold_bytes: 1 << 22,
            limits: Limits::default(),
            sweeps: 64,
            rounds: 16,
            merge_contractions: true,
            cpu_kernels: false,
            precision: Precision::F32,
            verify_between: cfg!(debug_assertions),
        }
    }
}

impl Options {
    /// For the CPU.
    pub fn cpu() -> Options {
        Options { cpu_kernels: true, ..Options::default() }
    }
}

/// What the passes did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// In the order of the pipeline, all rounds summed; then those that run once.
    pub passes: Vec<PassReport>,
    /// Rounds that were run, before and after the passes that run once; each series ends with one that changes nothing, unless the
    /// pipeline was stopped.
    pub rounds: usize,
}

/// What one pass did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassReport {
    pub name: &'static str,
    pub changes: usize,
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts: Vec<String> = self.passes.iter().map(|p| format!("{} {}", p.name, p.changes)).collect();
        write!(f, "{} in {} rounds", parts.join(", "), self.rounds)
    }
}

/// The passes of a round, in order.
#[rustfmt::skip]
pub const PIPELINE: &[Pass] = &[
    fold::PASS,
    no_op::PASS,
    algebra::PASS,
    recognise_norm::PASS,
    recognise_softmax::PASS,
    views::PASS,
    pointwise_first::PASS,
    fold_affine::PASS,
    scale_out::PASS,
    relabel::PASS,
    merge_contractions::PASS,
    unit_views::PASS,
    cse::PASS,
    merge_binds::PASS,
    dce::PASS,
];

/// Passes that run once, in order, when the rounds have settled.
pub const AFTERWARDS: &[Pass] = &[
    recognise_attention::PASS,
    transposed::PASS,
    deep_convolutions::PASS,
    split_taps::PASS,
    precision::PASS,
    integer_products::PASS,
];

/// Runs the pipeline until a round changes nothing, then the passes that run once, and the pipeline again; or up to
/// [`Options::stop_after`]. The model is verified at the end.
pub fn run_pipeline(model: &mut Model, options: &Options) -> Result<Report, PassError> {
    if let Some(stop) = &options.stop_after {
        find(stop)?;
    }
    let mut run = Run { model, ctx: Ctx { options }, report: Report::default() };
    run.report.passes = every_pass().map(|p| PassReport { name: p.name, changes: 0 }).collect();
    if run.settle()? == Went::On {
        let mut total = 0;
        for pass in AFTERWARDS {
            let (count, went) = run.pass(pass)?;
            total += count;
            if went == Went::Stopped {
                return Ok(run.report);
            }
        }
        if total > 0 {
            run.settle()?;
        }
    }
    check(run.model, "pipeline")?;
    Ok(run.report)
}

/// Whether the caller's last pass was reached.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Went {
    On,
    Stopped,
}

struct Run<'a> {
    model: &'a mut Model,
    ctx: Ctx<'a>,
    report: Report,
}

impl Run<'_> {
    /// Rounds until one changes nothing.
    fn settle(&mut self) -> Result<Went, PassError> {
        let options = self.ctx.options;
        for _ in 0..options.rounds {
            let mut total = 0;
            self.report.rounds += 1;
            for pass in PIPELINE {
                let (count, went) = self.pass(pass)?;
                total += count;
                if went == Went::Stopped {
                    return Ok(Went::Stopped);
                }
            }
            if total == 0 {
                return Ok(Went::On);
            }
        }
        Err(PassError::Unsettled { rounds: options.rounds })
    }

    fn pass(&mut self, pass: &Pass) -> Result<(usize, Went), PassError> {
        let options = self.ctx.options;
        let Changes(count) = (pass.run)(self.model, &self.ctx)?;
        self.report.passes.iter_mut().filter(|p| p.name == pass.name).for_each(|p| p.changes += count);
        let last = options.stop_after.as_deref() == Some(pass.name);
        if last || (options.verify_between && count > 0) {
            check(self.model, pass.name)?;
        }
        Ok((count, if last { Went::Stopped } else { Went::On }))
    }
}

fn every_pass() -> impl Iterator<Item = &'static Pass> {
    PIPELINE.iter().chain(AFTERWARDS)
}

/// Runs one pass, and verifies the model.
pub fn run_pass(model: &mut Model, name: &str, options: &Options) -> Result<Changes, PassError> {
    let pass = find(name)?;
    let changes = (pass.run)(model, &Ctx { options })?;
    check(model, pass.name)?;
    Ok(changes)
}

/// Drops what no output needs, as the passes leave it behind, and verifies the model.
pub fn drop_dead(model: &mut Model, options: &Options) -> Result<Changes, PassError> {
    run_pass(model, dce::PASS.name, options)
}

fn find(name: &str) -> Result<&'static Pass, PassError> {
    every_pass().find(|p| p.name == name).ok_or_else(|| {
        let known: Vec<&str> = every_pass().map(|p| p.name).collect();
        PassError::UnknownPass { found: name.to_string(), known: known.join(", ") }
    })
}

fn check(model: &Model, pass: &'static str) -> Result<(), PassError> {
    let violations = verify::model(model).err().unwrap_or_default();
    match violations.first().cloned() {
        None => Ok(()),
        Some(first) => Err(PassError::Broken { pass, first: Box::new(first), violations }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_stand_where_they_must() {
        let position = |name: &str| every_pass().position(|p| p.name == name);
        for (here, pass) in every_pass().enumerate() {
            assert_eq!(position(pass.name), Some(here), "{} stands twice", pass.name);
            pass.after.iter().for_each(|other| assert!(position(other).unwrap() < here, "{} {other}", pass.name));
            pass.before.iter().for_each(|other| assert!(position(other).unwrap() > here, "{} {other}", pass.name));
        }
    }

    #[test]
    fn an_unknown_pass_is_refused() {
        let options = Options { stop_after: Some("magic".to_string()), ..Options::default() };
        let error = run_pipeline(&mut Model::default(), &options).unwrap_err();
        assert!(error.to_string().starts_with("there is no pass magic; there are fold, "), "{error}");
    }
}
