//! A lock folder in use: answers while plans are made, machine code while they are emitted.
//!
//! Reads files and nothing else; no driver and no GPU.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;

use emit::EmitError;
use emit::gpu::{GpuTarget, Kernels};
use graph::graph::Model;
use kernels::GpuCode;
use plan::plan::{Code, Plan};
use plan::tuning::{Asked, Question, Tuning};
use runtime_min::gpu::program::{self, Cubin};
use tune::folder::hash_of;
use tune::{Entry, Folder, Lock, LockError, ProblemKey};

use crate::error::Error;
use crate::gpu::Gpu;

/// A lock, and the folder that it is from.
#[derive(Clone, Debug, Default)]
pub struct Locked {
    pub lock: Lock,
    folder: Option<Folder>,
    required: bool,
    made: Made,
}

/// Kernels made of codes, which report and emission share.
#[derive(Clone, Debug, Default)]
struct Made(RefCell<Vec<(Gpu, Code<GpuCode>, Kernels)>>);

impl Made {
    fn kernels(&self, gpu: Gpu, code: &Code<GpuCode>) -> Result<Kernels, EmitError> {
        if let Some((_, _, kernels)) = self.0.borrow().iter().find(|(g, c, _)| *g == gpu && c == code) {
            return Ok(kernels.clone());
        }
        let kernels = gpu.kernels(code)?;
        self.0.borrow_mut().push((gpu, code.clone(), kernels.clone()));
        Ok(kernels)
    }
}

/// How a plan's questions were answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// By the lock, with a time or without.
    pub known: usize,
    /// By the cost model, as the lock has no entry, or one that is stale.
    pub modelled: usize,
    pub stale: usize,
}

impl Locked {
    /// The lock in a folder, which may not exist yet. If it is `required`, it must answer every question.
    pub fn open(path: impl Into<PathBuf>, required: bool) -> Result<Locked, Error> {
        let folder = Folder::new(path);
        Ok(Locked { lock: folder.load()?, folder: Some(folder), required, made: Made::default() })
    }

    /// Whether there is a folder.
    pub fn folder(&self) -> Option<&Folder> {
        self.folder.as_ref()
    }

    /// Writes the lock to its folder, if there is one.
    pub fn save(&self) -> Result<(), Error> {
        match &self.folder {
            Some(folder) => Ok(folder.save(&self.lock)?),
            None => Ok(()),
        }
    }

    /// Plans a model with the lock's answers.
    pub fn plan(&self, gpu: Gpu, model: &Model) -> Result<(Plan<GpuCode>, Answers), Error> {
        if self.folder.is_none() && self.lock.problems.is_empty() {
            return Ok((gpu.plan(model)?, Answers::default()));
        }
        let problems: RefCell<BTreeMap<ProblemKey, LockError>> = RefCell::default();
        let choose = |question: &Question| {
            let key = key_of(gpu, question);
            match self.lock.required(&key, question.problem.revision) {
                Ok(entry) => Some(entry.variant.clone()),
                Err(error) => {
                    problems.borrow_mut().insert(key, error);
                    None
                }
            }
        };
        let (plan, asked) = gpu.plan_tuned(model, Tuning { choose: &choose, variants: 0 })?;
        let mut problems = problems.into_inner();
        for (asked, variant) in asked.iter().filter_map(|a| a.refused.as_ref().map(|v| (a, v))) {
            let problem = key_of(gpu, &asked.question);
            problems.insert(problem.clone(), LockError::Unknown { problem, variant: variant.clone() });
        }
        let stale = problems.values().filter(|e| !matches!(e, LockError::Missing { .. })).count();
        let (count, modelled) = (questions(gpu, &asked).len(), problems.len());
        if let Some((_, first)) = problems.into_iter().next().filter(|_| self.required) {
            return Err(match modelled - 1 {
                0 => first.into(),
                more => LockError::Several { first: Box::new(first), more }.into(),
            });
        }
        Ok((plan, Answers { known: count.saturating_sub(modelled), modelled, stale }))
    }

    /// A target whose kernels have the machine code that the folder holds.
    pub fn target(&self, gpu: Gpu) -> WithCubins<'_> {
        let find = |target: &str, ptx: &str| match &self.folder {
            Some(folder) => folder.cubin(target, ptx),
            None => Ok(None),
        };
        WithCubins { made: Some(&self.made), ..WithCubins::new(gpu, Box::new(find)) }
    }

    /// The entry of a problem, as long as it is none of older code.
    pub fn entry(&self, key: &ProblemKey, revision: u32) -> Option<&Entry> {
        self.lock.answer(key, revision).ok().flatten()
    }
}

/// Distinct questions of a plan with the launches that they are about.
pub fn questions(gpu: Gpu, asked: &[Asked]) -> BTreeMap<ProblemKey, Vec<&Asked>> {
    let mut out: BTreeMap<ProblemKey, Vec<&Asked>> = BTreeMap::new();
    for asked in asked {
        out.entry(key_of(gpu, &asked.question)).or_default().push(asked);
    }
    out
}

/// What a lock calls a question.
pub fn key_of(gpu: Gpu, question: &Question) -> ProblemKey {
    let sizes: Vec<String> = question.sizes.iter().map(u64::to_string).collect();
    let epilogue = question.epilogue.as_ref().map(|text| hash_of(text));
    let epilogue = epilogue.as_ref().and_then(|hash| hash.get(..16)).unwrap_or("none");
    ProblemKey {
        target: gpu.name().to_string(),
        family: question.family.to_string(),
        key: format!("{}; sizes {}; epilogue {epilogue}", question.problem.text, sizes.join(" ")),
    }
}

/// Machine code by target and PTX.
pub type Find<'a> = Box<dyn Fn(&str, &str) -> Result<Option<Vec<u8>>, LockError> + 'a>;

/// A GPU with machine code that was linked before.
pub struct WithCubins<'a> {
    gpu: Gpu,
    find: Find<'a>,
    made: Option<&'a Made>,
}

impl<'a> WithCubins<'a> {
    /// A GPU with the machine code that `find` has.
    pub fn new(gpu: Gpu, find: Find<'a>) -> WithCubins<'a> {
        WithCubins { gpu, find, made: None }
    }

    /// A GPU without machine code.
    pub fn none(gpu: Gpu) -> WithCubins<'static> {
        WithCubins::new(gpu, Box::new(|_, _| Ok(None)))
    }
}

impl GpuTarget<GpuCode> for WithCubins<'_> {
    fn name(&self) -> &'static str {
        self.gpu.name()
    }

    fn architecture(&self) -> program::Target {
        self.gpu.architecture()
    }

    fn kernels(&self, code: &Code<GpuCode>) -> Result<Kernels, EmitError> {
        let mut kernels = match self.made {
            Some(made) => made.kernels(self.gpu, code)?,
            None => self.gpu.kernels(code)?,
        };
        let program::Target { capability, specific } = self.architecture();
        for kernel in &mut kernels.launches {
            let found = (self.find)(self.name(), &kernel.ptx);
            let found = found.map_err(|e| EmitError::Target { target: self.name(), what: e.to_string() })?;
            kernel.cubins =
                found.map(|bytes| Cubin { capability, specific, bytes: Cow::Owned(bytes) }).into_iter().collect();
        }
        Ok(kernels)
    }
}

/// Kernels by text.
pub type Texts = BTreeMap<String, Text>;

/// What is said of a kernel's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// For errors.
    pub name: String,
    pub entry: String,
    /// Whether the target has machine code for it.
    pub linked: bool,
}

/// The kernels of a plan, each once.
pub fn kernel_texts(plan: &Plan<GpuCode>, target: &WithCubins<'_>) -> Result<Texts, EmitError> {
    let mut out = Texts::new();
    for code in &plan.codes {
        if emit::gpu::runs_on_host(code) {
            continue;
        }
        for kernel in target.kernels(code)?.launches {
            let text = Text { name: kernel.name, entry: kernel.entry, linked: !kernel.cubins.is_empty() };
            out.insert(kernel.ptx, text);
        }
    }
    Ok(out)
}

/// Kernels without machine code, as name and text.
pub fn named(texts: &Texts) -> impl Iterator<Item = (&str, &str)> {
    texts.iter().filter(|(_, text)| !text.linked).map(|(ptx, text)| (text.name.as_str(), ptx.as_str()))
}
