//! From a model file to a crate or a module: import, plan, emit.

use std::path::{Path, PathBuf};

use emit::{Files, Options, WeightMode, write_crate, write_files};
use onnx::{DimRange, Imported};
use passes::Precision;

use crate::error::Error;
use crate::golden;
use crate::gpu::Gpu;
use crate::linked;
use crate::locked::{Answers, Locked};
use crate::planned::Planned;
use crate::progress::Progress;
use crate::report;
use crate::target::{Target, Targets};
use crate::tuning::{self, Budget, Outcome, Tune};

/// Settings of one compilation.
#[derive(Clone, Debug)]
pub struct Compiler {
    model: PathBuf,
    name: Option<String>,
    import: onnx::Options,
    weights: WeightMode,
    golden: bool,
    targets: Vec<Target>,
    precision: Precision,
    lock: Option<PathBuf>,
    locked: bool,
    tune: Option<Tune>,
}

/// A planned model.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// Name of the crate or module.
    pub name: String,
    /// File name and hash of the model.
    pub source: String,
    /// The model as it was imported, before any pass.
    pub imported: Imported,
    pub precision: Precision,
    pub passes: passes::Report,
    pub plans: Planned,
    pub lock: Locked,
    /// How the lock answered for each GPU.
    pub answers: Vec<Answers>,
    /// What tuning did, if it ran.
    pub tuned: Option<Outcome>,
}

impl Compiler {
    /// Compiles this ONNX file.
    pub fn new(model: impl Into<PathBuf>) -> Compiler {
        let import = onnx::Options::default();
        Compiler {
            model: model.into(),
            name: None,
            import,
            weights: WeightMode::Embed,
            golden: true,
            targets: vec![Target::Cpu],
            precision: Precision::F32,
            lock: None,
            locked: false,
            tune: None,
        }
    }

    /// Gives a named input dim a size or a range: `8`, `1..64`, `1..`.
    pub fn dim(mut self, name: &str, range: &str) -> Result<Compiler, Error> {
        // Points after `@` are for tuning, which the CPU target has none of.
        let sizes = range.split('@').next().unwrap_or(range);
        let range: DimRange = sizes.parse().map_err(|_| Error::Option {
            what: format!("--dim {name}"),
            expected: "a size, LO..HI or LO..".to_string(),
            found: format!("{range:?}"),
        })?;
        self.import.dims.insert(name.to_string(), range);
        Ok(self)
    }

    /// Names the crate or module; otherwise its folder or the model's file does.
    pub fn name(mut self, name: &str) -> Compiler {
        self.name = Some(name.to_string());
        self
    }

    /// What to compile for: the CPU alone (so unless told otherwise), or GPU architectures.
    pub fn targets(mut self, targets: &[Target]) -> Compiler {
        self.targets = targets.to_vec();
        self
    }

    /// What GPUs multiply in and store intermediate values in; inputs and outputs keep their types. The CPU has f32 alone.
    pub fn precision(mut self, precision: Precision) -> Compiler {
        self.precision = precision;
        self
    }

    /// Takes variants and machine code of GPU kernels from a lock folder, which must have an answer for every kernel unless
    /// [`Compiler::locked`] says otherwise. No GPU and no driver is asked.
    pub fn lock(mut self, folder: impl Into<PathBuf>) -> Compiler {
        (self.lock, self.locked) = (Some(folder.into()), true);
        self
    }

    /// Whether it is an error that the lock lacks an answer, or has one to older code; else the cost model answers.
    pub fn locked(mut self, required: bool) -> Compiler {
        self.locked = required;
        self
    }

    /// Times variants on this machine's GPU and keeps the answers in the lock folder; build scripts have no use for it.
    pub fn tune(mut self, tune: Tune) -> Compiler {
        self.tune = Some(tune);
        self
    }

    /// Where the crate has its weights.
    pub fn weights(mut self, mode: WeightMode) -> Compiler {
        self.weights = mode;
        self
    }

    /// Replaces the settings of the import, dims included.
    pub fn import_options(mut self, options: onnx::Options) -> Compiler {
        self.import = options;
        self
    }

    /// Whether the crate gets a test against values of the evaluator, where those are cheap.
    pub fn golden(mut self, wanted: bool) -> Compiler {
        self.golden = wanted;
        self
    }

    /// Imports and plans the model.
    pub fn compile(&self) -> Result<Compiled, Error> {
        let targets = Targets::of(&self.targets)?;
        let precision = self.precision;
        if targets == Targets::Cpu && precision != Precision::F32 {
            return Err(Error::Option {
                what: "--precision".to_string(),
                expected: "f32, or GPU architectures as --target: the CPU computes in f32".to_string(),
                found: precision.to_string(),
            });
        }
        let progress = Progress::start("importing the model");
        let imported = onnx::import_file(&self.model, &self.import)?;
        progress.next("passes");
        let mut model = imported.model.clone();
        let options = match &targets {
            Targets::Cpu => passes::Options::cpu(),
            Targets::Gpus(_) => passes::Options { precision, ..passes::Options::default() },
        };
        let passes = passes::run_pipeline(&mut model, &options)?;
        let mut lock = match &self.lock {
            Some(folder) => Locked::open(folder, self.locked)?,
            None => Locked::default(),
        };
        let machine = match &self.tune {
            Some(tune) => tune.machine(&targets)?,
            None => None,
        };
        let tuned = match (&self.tune, &machine) {
            (Some(tune), Some((machine, gpu))) => {
                let budget = Budget { time: tune.time, stop: &tune.stop };
                let tuned = tuning::tune(&model, *gpu, machine, &mut lock, budget, &mut |what| progress.next(what))?;
                if let Targets::Gpus(list) = &targets {
                    list.iter().try_for_each(|sm| tuning::complete(&model, Gpu { sm: *sm }, &mut lock))?;
                }
                Some(tuned)
            }
            _ => None,
        };
        progress.next("planning");
        let (plans, answers) = Planned::locked(&model, &targets, &lock)?;
        if let (Some((machine, _)), Planned::Gpus(list)) = (&machine, &plans) {
            progress.next("linking the kernels");
            linked::keep(machine, list, &lock)?;
        }
        progress.end();
        let stem = self.model.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        let name = emit::names::snake(self.name.as_deref().unwrap_or(&stem));
        Ok(Compiled { name, source: self.source()?, imported, precision, passes, plans, lock, answers, tuned })
    }

    /// File name and hash of the model.
    fn source(&self) -> Result<String, Error> {
        let mut hasher = blake3::Hasher::new();
        let mut file = std::fs::File::open(&self.model).map_err(|e| Error::file(&self.model, e))?;
        std::io::copy(&mut file, &mut hasher).map_err(|e| Error::file(&self.model, e))?;
        let name = self.model.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let hash = hasher.finalize().to_hex();
        Ok(format!("{name} (blake3 {})", hash.get(..16).unwrap_or_default()))
    }

    fn options(&self, compiled: &Compiled) -> Result<Options, Error> {
        let golden = if self.golden { golden::values(compiled)? } else { None };
        Ok(Options {
            name: compiled.name.clone(),
            source: compiled.source.clone(),
            tool_version: env!("CARGO_PKG_VERSION").to_string(),
            weights: self.weights,
            report: report::text(compiled)?,
            golden,
        })
    }

    /// The files of the crate.
    pub fn crate_files(&self, compiled: &Compiled) -> Result<Files, Error> {
        Ok(compiled.plans.crate_files(&compiled.lock, &self.options(compiled)?)?)
    }

    /// Compiles the model and writes the crate to a folder, whose name becomes the crate's unless another one is set.
    pub fn emit_crate(&self, folder: impl AsRef<Path>) -> Result<Compiled, Error> {
        let folder = folder.as_ref();
        let mut compiled = self.compile()?;
        if let (None, Some(name)) = (&self.name, folder.file_name()) {
            compiled.name = emit::names::snake(&name.to_string_lossy());
        }
        let progress = Progress::start("writing the crate");
        let files = self.crate_files(&compiled)?;
        write_crate(folder, &files)?;
        progress.end();
        Ok(compiled)
    }

    /// Compiles the model to a module under a folder: `NAME.rs` to be included, and what belongs to it. Yields that file's
    /// path.
    pub fn emit_module(&self, folder: impl AsRef<Path>) -> Result<PathBuf, Error> {
        let folder = folder.as_ref();
        let compiled = self.compile()?;
        let options = Options { golden: None, ..self.clone().golden(false).options(&compiled)? };
        let files = compiled.plans.out_dir_files(&compiled.lock, &options)?;
        write_files(folder, &files)?;
        Ok(folder.join(format!("{}.rs", compiled.name)))
    }

    /// For build scripts: [`Compiler::emit_module`] to `OUT_DIR`, and the lines that tell cargo what the module is made from.
    /// They are printed last: only a model that was compiled names files inside its folder.
    #[allow(clippy::print_stdout, reason = "cargo reads a build script's standard output")]
    pub fn emit_module_for_build_script(&self) -> Result<(), Error> {
        let folder = std::env::var_os("OUT_DIR").ok_or(Error::Variable { name: "OUT_DIR" })?;
        self.emit_module(Path::new(&folder))?;
        for file in self.watched()? {
            println!("cargo::rerun-if-changed={}", file.display());
        }
        Ok(())
    }

    /// The model's file, those of its external data, and the lock.
    pub fn watched(&self) -> Result<Vec<PathBuf>, Error> {
        let mut out = vec![self.model.clone()];
        let folder = self.model.parent().unwrap_or(Path::new("."));
        let external = onnx::inspect(&self.model)?.external_files;
        // A line break in a name would be an instruction of its own to cargo.
        if let Some(name) = external.iter().find(|name| name.contains(char::is_control)) {
            return Err(Error::file(folder.join(name), "a file name has control characters; rename the external data"));
        }
        out.extend(external.iter().map(|f| folder.join(f)));
        out.extend(self.lock.clone().filter(|lock| lock.exists()));
        Ok(out)
    }
}
