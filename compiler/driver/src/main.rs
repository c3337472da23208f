//! The command line.

mod cli_lab;
mod cli_lock;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use cli_lab::LabOptions;
use cli_lock::LockOptions;
use onnx2crate::linked::Unused;
use onnx2crate::row_order::RowAxis;
use onnx2crate::{Compiler, Error, Precision, Target, WeightMode, bench, inspect, linked, render, verify};

/// Symbolic sizes are many small values of short lives.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Compiles an ONNX model to a standalone Rust crate.
#[derive(Debug, Parser)]
#[command(
    name = "onnx2crate",
    version,
    after_help = "Also: onnx2crate inspect MODEL.onnx, onnx2crate verify MODEL.onnx, onnx2crate bench MODEL.onnx, onnx2crate lock MODEL.onnx, onnx2crate lab JOBS.toml; each has --help."
)]
struct Compile {
    #[command(flatten)]
    model: Model,
    /// Folder of the crate; an existing one is replaced if onnx2crate made it.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Name of the crate; otherwise the folder's.
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    lock: LockOptions,
}

/// The other commands.
#[derive(Debug, Parser)]
#[command(name = "onnx2crate", version)]
struct Other {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Shows inputs, outputs, operators, parameters and what is not supported.
    Inspect {
        #[command(flatten)]
        model: Model,
    },
    /// Builds the crate and compares its outputs with test data, or with the evaluator on random inputs.
    Verify {
        #[command(flatten)]
        model: Model,
        /// Folders with input_M.pb and output_M.pb, or with test_data_set_N of them.
        #[arg(long, value_name = "FOLDER", num_args = 1..)]
        data: Vec<PathBuf>,
        /// Greatest relative L2 error; otherwise 1e-5 for f32, more for narrower types and
        /// precisions (tf32 2e-3, f16 1e-2, bf16 5e-2).
        #[arg(long, value_name = "ERROR")]
        tolerance: Option<f64>,
        /// Compares detections as a set: outputs that share their extents up to the axis of scores, or AXIS, are one table of rows,
        /// whose order does not count. Rows are paired so that integers are equal and floats nearest.
        #[arg(long, value_name = "AXIS", num_args = 0..=1, require_equals = true, default_missing_value = "scores")]
        ignore_row_order: Option<RowAxis>,
        #[command(flatten)]
        way: InProcess,
        #[command(flatten)]
        lock: LockOptions,
    },
    /// Builds the crate and times its calls.
    Bench {
        #[command(flatten)]
        model: Model,
        /// Ends with one line that is a JSON object.
        #[arg(long)]
        json: bool,
        /// How long to measure.
        #[arg(long, default_value_t = 3.0)]
        seconds: f64,
        /// Threads of the session.
        #[arg(long, default_value_t = 1)]
        threads: usize,
        /// Without a crate, on this machine's GPU, with times of every step.
        #[arg(long)]
        in_process: bool,
        /// At least so many calls (in process).
        #[arg(long, default_value_t = 20)]
        iterations: usize,
        /// Where a trace of a call goes, for Perfetto or chrome://tracing (in process).
        #[arg(long, value_name = "FILE", requires = "in_process")]
        profile: Option<PathBuf>,
        #[command(flatten)]
        lock: LockOptions,
    },
    /// Tunes a model on this machine's GPU and links its kernels, for the lock alone.
    Lock {
        #[command(flatten)]
        model: Model,
        #[command(flatten)]
        lock: LockOptions,
        /// Links the kernels again and compares with the lock, which stays as it is.
        #[arg(long)]
        verify: bool,
        /// Deletes machine code for the targets that no kernel of this model refers to. Other models, sizes and precisions that
        /// share the lock lose theirs.
        #[arg(long, conflicts_with = "verify")]
        prune: bool,
    },
    /// Times the jobs of a file on this machine's GPU.
    #[command(after_help = cli_lab::FILE)]
    Lab {
        #[command(flatten)]
        options: LabOptions,
    },
}

/// How `verify` runs a model without a crate.
#[derive(Debug, Args)]
struct InProcess {
    /// Without a crate, on this machine's GPU.
    #[arg(long)]
    in_process: bool,
    /// Also with intermediate values that are NaN before they are written and share no memory: results must be equal.
    #[arg(long, requires = "in_process")]
    poison: bool,
    /// So many inferences more, which must give equal results and take no more memory.
    #[arg(long, value_name = "COUNT", default_value_t = 0, requires = "in_process")]
    repeat: usize,
    /// Sessions that --repeat uses, each on a thread of its own.
    #[arg(long, value_name = "COUNT", default_value_t = 4, requires = "in_process")]
    sessions: usize,
    /// Writes inputs and outputs of every case to this folder, as programs of generated crates read and write them.
    #[arg(long, value_name = "FOLDER", requires = "in_process")]
    save: Option<PathBuf>,
}

impl InProcess {
    fn way(self) -> verify::Way {
        let InProcess { in_process, poison, repeat, sessions, save } = self;
        match in_process {
            true => verify::Way::InProcess(verify::InProcess { poison, repeat, sessions, save }),
            false => verify::Way::Crate,
        }
    }
}

/// The model and how to import it.
#[derive(Debug, Args)]
struct Model {
    /// The ONNX file.
    #[arg(value_name = "MODEL.onnx")]
    model: PathBuf,
    /// What the crate is for: cpu, native, or sm_75, sm_80, sm_86, sm_87, sm_89, sm_90a, sm_100a, sm_120a; several GPU
    /// architectures with commas between.
    #[arg(long, value_name = "TARGETS", value_delimiter = ',', default_value = "cpu")]
    target: Vec<Target>,
    /// What a GPU multiplies in and stores intermediate values in: f32, tf32, f16, bf16. Sums stay f32, inputs and outputs keep
    /// their types.
    #[arg(long, default_value = "f32", value_parser = precision)]
    precision: Precision,
    /// Size or range of a named dim: batch=8, batch=1..64, batch=1.. .
    #[arg(long = "dim", value_name = "NAME=VALUES")]
    dims: Vec<String>,
    /// Where the crate has its weights.
    #[arg(long, value_enum, default_value_t = Weights::Embed)]
    weights: Weights,
    /// External data may be behind symbolic or hard links.
    #[arg(long)]
    allow_external_links: bool,
    /// Greatest rank of a tensor.
    #[arg(long)]
    limit_rank: Option<usize>,
    /// Most elements of a tensor of known size.
    #[arg(long)]
    limit_elements: Option<i64>,
    /// Most bytes that folding of constants may make.
    #[arg(long)]
    limit_fold_bytes: Option<usize>,
    /// Deepest nesting of bodies.
    #[arg(long)]
    limit_nesting: Option<usize>,
    /// Most nodes, those of functions counted once a call.
    #[arg(long)]
    limit_nodes: Option<usize>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Weights {
    Embed,
    File,
}

impl Model {
    fn import_options(&self) -> onnx::Options {
        let mut options = onnx::Options { allow_external_links: self.allow_external_links, ..Default::default() };
        let set = |slot: &mut usize, value: Option<usize>| *slot = value.unwrap_or(*slot);
        set(&mut options.limits.rank, self.limit_rank);
        set(&mut options.limits.nesting, self.limit_nesting);
        set(&mut options.limits.fold_bytes, self.limit_fold_bytes);
        options.limits.elements = self.limit_elements.unwrap_or(options.limits.elements);
        set(&mut options.nodes, self.limit_nodes);
        options
    }

    fn compiler(&self) -> Result<Compiler, Error> {
        let weights = match self.weights {
            Weights::Embed => WeightMode::Embed,
            Weights::File => WeightMode::File,
        };
        let mut compiler = Compiler::new(&self.model)
            .import_options(self.import_options())
            .weights(weights)
            .targets(&self.target)
            .precision(self.precision);
        for dim in &self.dims {
            let (name, range) = dim.split_once('=').ok_or_else(|| Error::Option {
                what: "--dim".to_string(),
                expected: "NAME=VALUES".to_string(),
                found: format!("{dim:?}"),
            })?;
            compiler = compiler.dim(name, range)?;
        }
        Ok(compiler)
    }
}

fn precision(text: &str) -> Result<Precision, String> {
    let names = Precision::ALL.map(Precision::name).join(", ");
    Precision::ALL.into_iter().find(|p| p.name() == text).ok_or_else(|| format!("expected one of {names}"))
}

fn main() -> ExitCode {
    let first = std::env::args().nth(1).unwrap_or_default();
    let outcome = match ["inspect", "verify", "bench", "lock", "lab"].contains(&first.as_str()) {
        true => run(Other::parse().command),
        false => compile(&Compile::parse()),
    };
    match outcome {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            show_error(&render::error(&error, std::io::stderr().is_terminal()));
            ExitCode::from(error.exit_status())
        }
    }
}

fn compile(compile: &Compile) -> Result<u8, Error> {
    let mut compiler = compile.lock.compiler(compile.model.compiler()?, &compile.model.model, &compile.model.target)?;
    if let Some(name) = &compile.name {
        compiler = compiler.name(name);
    }
    let compiled = compiler.emit_crate(&compile.out)?;
    let warnings = compiled.imported.warnings.iter().map(|w| format!("warning: {}\n", w.fault));
    show_error(&warnings.collect::<String>());
    show(&format!("{}: crate `{}` from {}\n", compile.out.display(), compiled.name, compiled.source));
    if let Some(outcome) = &compiled.tuned {
        show(&cli_lock::summary(outcome));
    }
    show(&format!("{}\n", onnx2crate::report::text(&compiled)?));
    Ok(0)
}

fn run(command: Command) -> Result<u8, Error> {
    match command {
        Command::Inspect { model } => {
            let options = model.import_options();
            show(&inspect::text(&model.model, &options)?);
            match onnx::import_file(&model.model, &options) {
                Ok(_) => Ok(0),
                Err(problems) => Err(problems.into()),
            }
        }
        Command::Verify { model, data, tolerance, ignore_row_order, way, lock } => {
            let compiler = lock.compiler_if_asked(model.compiler()?, &model.model, &model.target)?;
            let accept = verify::Accept { limit: tolerance, rows: ignore_row_order };
            let outcome = verify::verify(&compiler, &data, accept, &way.way())?;
            show(&outcome.text());
            Ok(u8::from(!outcome.passed()))
        }
        Command::Bench { model, json, seconds, threads, in_process, iterations, profile, lock } => {
            let compiler = lock.compiler_if_asked(model.compiler()?, &model.model, &model.target)?;
            let text = match in_process {
                true => bench::bench_in_process(&compiler, seconds, iterations, profile.as_deref())?,
                false => bench::bench(&compiler, seconds, threads)?,
            };
            let lines: Vec<&str> = text.lines().filter(|l| json || !l.starts_with('{')).collect();
            show(&format!("{}\n", lines.join("\n")));
            Ok(0)
        }
        Command::Lab { options } => options.run(),
        Command::Lock { model, lock, verify: false, prune } => {
            let compiled = lock.linking(model.compiler()?, &model.model, &model.target)?.compile()?;
            compiled.tuned.iter().for_each(|outcome| show(&cli_lock::summary(outcome)));
            show(&format!("{}\n", onnx2crate::report::text(&compiled)?));
            show(&linked::unused(&compiled, if prune { Unused::Delete } else { Unused::Tell })?);
            Ok(0)
        }
        Command::Lock { model, lock, verify: true, prune: _ } => {
            let verified = linked::verify_lock(&lock.reading(model.compiler()?, &model.model))?;
            show(&verified.text());
            Ok(u8::from(!verified.passed()))
        }
    }
}

#[allow(clippy::print_stdout, reason = "the command line's answer")]
fn show(text: &str) {
    print!("{text}");
}

#[allow(clippy::print_stderr, reason = "the command line's messages")]
fn show_error(text: &str) {
    eprint!("{text}");
}
