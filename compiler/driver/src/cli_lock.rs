//! The command line's options about locks and tuning.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Args;
use onnx2crate::tuning::Outcome;
use onnx2crate::{Compiler, Error, Target, Tune};

/// Seconds of tuning where nothing else is said.
const SECONDS: f64 = 60.0;

/// Where answers are kept, and how long they are looked for.
#[derive(Debug, Args)]
pub struct LockOptions {
    /// Folder with the variants and the machine code of GPU kernels; otherwise onnx2crate.lock beside the model.
    #[arg(long, value_name = "DIR")]
    lock: Option<PathBuf>,
    /// Fails where the lock has no answer for a kernel, or one to older code; asks no driver and no GPU.
    #[arg(long, conflicts_with = "tune_seconds")]
    locked: bool,
    /// How long variants of kernels are timed on this machine's GPU; 0 is off. Otherwise 60, if the GPU runs a target.
    #[arg(long, value_name = "SECONDS")]
    tune_seconds: Option<f64>,
}

impl LockOptions {
    /// A compiler for crates: the lock is read, and tuning adds to it.
    pub fn compiler(&self, compiler: Compiler, model: &Path, targets: &[Target]) -> Result<Compiler, Error> {
        if !targets.iter().any(|t| *t != Target::Cpu) {
            return Ok(compiler);
        }
        let folder = self.lock.clone().unwrap_or_else(|| beside(model));
        let compiler = compiler.lock(folder).locked(self.locked);
        match (self.tune_seconds, self.locked) {
            (None, false) => self.tuned(compiler, SECONDS, false),
            (Some(seconds), _) if seconds > 0.0 => self.tuned(compiler, seconds, true),
            _ => Ok(compiler),
        }
    }

    /// A compiler for one run: a lock and tuning only where they are asked for.
    pub fn compiler_if_asked(&self, compiler: Compiler, model: &Path, targets: &[Target]) -> Result<Compiler, Error> {
        if self.lock.is_none() && !self.locked && self.tune_seconds.is_none() {
            return Ok(compiler);
        }
        match self.tune_seconds {
            None if !self.locked => Ok(compiler.lock(self.lock.clone().unwrap_or_default()).locked(false)),
            _ => self.compiler(compiler, model, targets),
        }
    }

    /// A compiler for the lock alone: it links on this machine's GPU even where nothing is tuned.
    pub fn linking(&self, compiler: Compiler, model: &Path, targets: &[Target]) -> Result<Compiler, Error> {
        if !targets.iter().any(|t| *t != Target::Cpu) {
            return Err(Error::Option {
                what: "--target".to_string(),
                expected: "native, or GPU architectures, whose kernels a lock is about".to_string(),
                found: "cpu".to_string(),
            });
        }
        let folder = self.lock.clone().unwrap_or_else(|| beside(model));
        self.tuned(compiler.lock(folder).locked(self.locked), self.tune_seconds.unwrap_or(SECONDS), true)
    }

    /// A compiler that only reads the lock.
    pub fn reading(&self, compiler: Compiler, model: &Path) -> Compiler {
        compiler.lock(self.lock.clone().unwrap_or_else(|| beside(model))).locked(self.locked)
    }

    fn tuned(&self, compiler: Compiler, seconds: f64, required: bool) -> Result<Compiler, Error> {
        let time = Duration::try_from_secs_f64(seconds.clamp(0.0, 86_400.0)).unwrap_or_default();
        Ok(compiler.tune(Tune { time, stop: stop_on_interrupt()?, required }))
    }
}

/// The lock of a model's folder.
fn beside(model: &Path) -> PathBuf {
    model.with_file_name("onnx2crate.lock")
}

/// A flag that the first interrupt sets; the second ends the program.
fn stop_on_interrupt() -> Result<Arc<AtomicBool>, Error> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    let handler = move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    };
    ctrlc::set_handler(handler).map_err(|e| Error::Answer { what: format!("interrupts cannot be watched: {e}") })?;
    Ok(stop)
}

/// What tuning did, for people.
pub fn summary(outcome: &Outcome) -> String {
    let report = &outcome.report;
    let seconds = outcome.time.as_secs_f64();
    let mut out = format!(
        "tuned {} problems in {seconds:.1} s; {} were known, {} left to the cost model\n",
        report.timed, report.known, report.modelled
    );
    if let Some((modelled, tuned)) = outcome.network {
        let (modelled, tuned, gain) = (modelled / 1e3, tuned / 1e3, (modelled / tuned - 1.0) * 100.0);
        out.push_str(&format!(
            "network on the GPU: {modelled:.1} us as modelled, {tuned:.1} us as tuned ({gain:+.1} %)\n"
        ));
    }
    for failure in report.failures.iter().take(3) {
        out.push_str(&format!("not timed: {failure}\n"));
    }
    match report.failures.len().checked_sub(3) {
        Some(more) if more > 0 => out + &format!("not timed: {more} more candidates\n"),
        _ => out,
    }
}
