//! The command `lab`: its options, its workers, its table.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use clap::Args;
use onnx2crate::lab::jobs::{self, Case};
use onnx2crate::lab::measure::Effort;
use onnx2crate::lab::worker::{Start, supervise, work};
use onnx2crate::lab::{heading, line};
use onnx2crate::{Error, Target, Targets};

use crate::show;

/// What a file of jobs looks like.
pub const FILE: &str = "\
A file of jobs is TOML. Every combination of sizes, dtypes and dims is a case:

  [[job]]
  op = \"gemm\"                    # copy, bias_relu, row_sum, softmax, layer_norm, transpose, gather, concat, gemm, conv,
                                   # attention, model
  sizes = [[4096, 4096, 4096]]     # gemm: [m, n, k] or [batch, m, n, k]; conv: [batch, channels, extent, filters, kernel,
                                   # stride, pad] and groups; attention: [batch, heads, queries, keys, size];
                                   # gather: [table, row, indices]; others: extents
  dtypes = [\"f32\", \"f16\"]          # f32, tf32, f16, bf16; of a model its precision
  epilogue = [\"bias\", \"gelu\"]      # gemm, conv: bias, relu, gelu, residual
  variants = \"all\"                 # of the kernel family: all, so many, or a list of names; else the one that is chosen
  free_weights = true              # gemm: the second operand is an input and no constant
  generic = true                   # without kernel families
  warm = true                      # runs use the same memory, so that what fits the cache stays there
  perm = [1, 0]                    # transpose
  parts = 2                        # concat, with axis = 1
  model = \"model.onnx\"             # model: a file beside this one, with dims = [{ batch = 8 }] and lock = \"onnx2crate.lock\"

Rates are of the least work that a case is: every input, constant and output once, two operations a multiply-add. `of copy`
compares with the case `copy` before it, `of best` with the fastest variant of the same case. `error` is the relative L2
distance from the evaluator, or from plain kernels in f64 where that would take long.";

#[derive(Debug, Args)]
pub struct LabOptions {
    /// Jobs in TOML.
    #[arg(value_name = "FILE.toml")]
    file: PathBuf,
    /// Only cases whose names hold this.
    #[arg(long, default_value = "")]
    only: String,
    /// How long each variant is timed.
    #[arg(long, default_value_t = 0.2)]
    seconds: f64,
    /// Values are not compared with what must come out.
    #[arg(long)]
    unchecked: bool,
    /// Where all results go, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Where this process begins as the worker of another.
    #[arg(long, hide = true)]
    worker: Option<usize>,
    /// Cases that it plans together.
    #[arg(long, hide = true, default_value_t = 1)]
    batch: usize,
    /// What it leaves out: CASE:VARIANT.
    #[arg(long, hide = true)]
    skip: Vec<String>,
}

impl LabOptions {
    pub fn run(&self) -> Result<u8, Error> {
        let cases: Vec<Case> =
            jobs::read(&self.file)?.into_iter().filter(|case| case.name.contains(&self.only)).collect();
        let targets = Targets::of(&[Target::Native])?;
        if let Some(from) = self.worker {
            let skip = self.skip.iter().filter_map(|s| s.split_once(':'));
            let skip = skip.filter_map(|(case, variant)| Some((case.parse().ok()?, variant.to_string()))).collect();
            let time = Duration::from_secs_f64(self.seconds.clamp(0.001, 3600.0));
            let effort = Effort { time, checked: !self.unchecked, batch: self.batch, ..Effort::default() };
            work(&cases, &Start { from, batch: self.batch, skip }, &effort, &targets)?;
            return Ok(0);
        }
        let program = std::env::current_exe().map_err(|e| Error::file("onnx2crate", e))?;
        let command = |start: &Start| {
            let mut command = Command::new(&program);
            command.arg("lab").arg(&self.file).args(["--only", &self.only, "--seconds", &self.seconds.to_string()]);
            command.args(self.unchecked.then_some("--unchecked"));
            command.args(["--worker", &start.from.to_string(), "--batch", &start.batch.to_string()]);
            command.args(
                start.skip.iter().flat_map(|(case, variant)| ["--skip".to_string(), format!("{case}:{variant}")]),
            );
            command
        };
        show(&heading());
        let rows = supervise(&cases, &command, &mut |row| show(&line(row)))?;
        if let Some(path) = &self.json {
            let text = serde_json::to_string_pretty(&rows).map_err(|e| Error::file(path, e))?;
            std::fs::write(path, text + "\n").map_err(|e| Error::file(path, e))?;
        }
        Ok(u8::from(rows.iter().any(|row| row.failure.is_some())))
    }
}
