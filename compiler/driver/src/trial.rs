//! Launches and whole plans, timed on this machine's GPU.
//!
//! - [`Machine::link`]: machine code from PTX, several texts at a time, each once. [`Machine::spilling`]: what registers do not suffice for.
//! - [`alone`]: one launch of a plan as a plan of its own, at typical sizes; what it reads are inputs.
//! - [`Machine::load`]: a plan on the device with its inputs, as a CUDA graph of runs that take turns on copies of all memory.
//! - [`Running::time`]: nanoseconds of a run.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::num::NonZero;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use emit::gpu::GpuTarget;
use graph::datum::Datum;
use graph::dim::{Dim, SymId};
use graph::symbol::Symbols;
use graph::tensor::{Tensor, element_count};
use graph::ty::Type;
use kernels::GpuCode;
use plan::plan::{Action, Block, Border, Buffer, BufferId, CodeId, Launch, Place, Plan, Step, View, Weight};
use runtime_min::error::Error as RunError;
use runtime_min::gpu::driver::DriverTable;
use runtime_min::gpu::link::Linker;
use runtime_min::gpu::options::EngineOptions;
use runtime_min::gpu::owned::DeviceFacts;
use runtime_min::gpu::program::Target;
use runtime_min::gpu::rotate::Rotation;
use runtime_min::gpu::session::GpuSession;

use crate::error::Error;
use crate::gpu::Gpu;
use crate::in_process::{self, Given, Stored};
use crate::locked::{Text, Texts, WithCubins, kernel_texts, named};
use crate::samples::fill;

/// Bytes that the copies of a launch's memory fill at least: more than the cache holds.
const ROTATED: u64 = 160 << 20;
/// Most copies.
const MOST_COPIES: u64 = 64;
/// Runs of a graph, and graphs whose median is one timing.
const LEAST_RUNS: usize = 8;
const ROUNDS: usize = 3;
/// Most runs of one timing, and about how long these take.
const MOST_ROUNDS: usize = 60;
const EFFORT: Duration = Duration::from_millis(20);

/// A GPU, and the machine code that its driver linked in this process.
pub struct Machine {
    driver: &'static DriverTable,
    linker: Linker,
    /// By target and PTX.
    cubins: Mutex<BTreeMap<(String, String), Vec<u8>>>,
    /// Weights of the plan that was loaded last.
    weights: RefCell<Option<(Vec<Weight>, Rc<Stored>)>>,
}

impl Machine {
    /// Device `ordinal` of a driver.
    pub fn open(driver: &'static DriverTable, ordinal: u32) -> Result<Machine, Error> {
        let linker = Linker::open(driver, ordinal).map_err(RunError::from)?;
        Ok(Machine { driver, linker, cubins: Mutex::default(), weights: RefCell::default() })
    }

    /// Facts about the device.
    pub fn facts(&self) -> &DeviceFacts {
        self.linker.device()
    }

    /// Links texts, with names for errors, in any number of threads. Those linked before are not linked again.
    pub fn link(&self, target: Target, name: &str, texts: &[(&str, &str)]) -> Vec<Result<(), String>> {
        let mut jobs: BTreeMap<&str, &str> = texts.iter().map(|(label, ptx)| (*ptx, *label)).collect();
        {
            let known = self.cubins.lock().unwrap_or_else(PoisonError::into_inner);
            jobs.retain(|ptx, _| !known.contains_key(&(name.to_string(), ptx.to_string())));
        }
        let jobs: Vec<(&str, &str)> = jobs.into_iter().map(|(ptx, label)| (label, ptx)).collect();
        let linker = &self.linker;
        let linked = in_parallel(&jobs, |(label, ptx)| linker.link(label, ptx, target).map_err(|e| e.to_string()));
        let mut failed: BTreeMap<&str, String> = BTreeMap::new();
        let mut known = self.cubins.lock().unwrap_or_else(PoisonError::into_inner);
        for ((_, ptx), result) in jobs.iter().zip(linked) {
            match result {
                Ok(code) => {
                    known.insert((name.to_string(), ptx.to_string()), code);
                }
                Err(why) => {
                    failed.insert(ptx, why);
                }
            }
        }
        texts.iter().map(|(_, ptx)| failed.get(ptx).map_or(Ok(()), |why| Err(why.clone()))).collect()
    }

    /// Machine code that was linked.
    pub fn cubin(&self, target: &str, ptx: &str) -> Option<Vec<u8>> {
        let known = self.cubins.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&(target.to_string(), ptx.to_string())).cloned()
    }

    /// The first of some linked kernels that has not registers enough and keeps values in memory, with the bytes of a thread.
    pub fn spilling<'t>(&self, target: &str, texts: &'t Texts) -> Result<Option<(&'t Text, u32)>, Error> {
        for (ptx, text) in texts {
            let Some(code) = self.cubin(target, ptx) else { continue };
            // Kernels have no arrays of their own: what a thread has in memory is spilled.
            let facts = self.linker.facts(&code, &text.entry, [32, 1, 1], 0).map_err(RunError::from)?;
            if facts.local_bytes > 0 {
                return Ok(Some((text, facts.local_bytes)));
            }
        }
        Ok(None)
    }

    /// Links all kernels of a plan.
    pub fn link_plan(&self, gpu: Gpu, plan: &Plan<GpuCode>) -> Result<(), Error> {
        let texts = kernel_texts(plan, &self.target(gpu))?;
        let texts: Vec<(&str, &str)> = named(&texts).collect();
        for result in self.link(gpu.architecture(), gpu.name(), &texts) {
            result.map_err(|what| Error::Answer { what })?;
        }
        Ok(())
    }

    /// A target whose kernels have the machine code that was linked.
    pub fn target(&self, gpu: Gpu) -> WithCubins<'_> {
        WithCubins::new(gpu, Box::new(|target, ptx| Ok(self.cubin(target, ptx))))
    }

    /// The weights of a plan; those of the one before, if they are the same.
    fn stored(&self, plan: &Plan<GpuCode>) -> Result<Rc<Stored>, Error> {
        if plan.weights.is_empty() {
            return Ok(Rc::new(Stored::of(plan)?));
        }
        let mut last = self.weights.borrow_mut();
        if let Some((_, stored)) = last.as_ref().filter(|(weights, _)| *weights == plan.weights) {
            return Ok(Rc::clone(stored));
        }
        let stored = Rc::new(Stored::of(plan)?);
        *last = Some((plan.weights.clone(), Rc::clone(&stored)));
        Ok(stored)
    }

    /// Loads a plan with inputs by position. `turns`: runs take turns on copies of all memory, else they use the same.
    pub fn load(&self, plan: &Plan<GpuCode>, gpu: Gpu, given: &Arc<Given>, turns: bool) -> Result<Running, Error> {
        let options = EngineOptions::default().with_device(self.facts().ordinal);
        let stored = self.stored(plan)?;
        let engine = in_process::load_stored(self.driver, (plan, &self.target(gpu)), &stored, options)?;
        let mut session = engine.session()?;
        let rotation = match turns {
            true => {
                let copies = (ROTATED / session.memory_bytes().max(1) + 1).min(MOST_COPIES) as usize;
                Some(session.rotation(&given.inputs(), copies, copies.max(LEAST_RUNS))?)
            }
            false => None,
        };
        Ok(Running { session, rotation, given: Arc::clone(given), rounds: ROUNDS })
    }
}

/// Random inputs for a plan whose inputs are tensors of known sizes.
pub fn random_inputs(plan: &Plan<GpuCode>) -> Option<Given> {
    let tensor = |(k, border): (usize, &Border)| {
        let ty = border.ty.as_tensor()?;
        let shape = ty.static_shape()?;
        let bytes = fill(ty.dtype, element_count(&shape)?, k as u64);
        Tensor::from_bytes(ty.dtype, shape, bytes.into()).ok().map(Datum::Tensor)
    };
    let inputs: Option<Vec<Datum>> = plan.inputs.iter().enumerate().map(tensor).collect();
    Some(Given::new(&inputs?))
}

/// A plan on the device.
pub struct Running {
    session: GpuSession,
    rotation: Option<Rotation>,
    given: Arc<Given>,
    /// Runs of a timing where all use the same memory.
    rounds: usize,
}

impl Running {
    /// Nanoseconds of a run: the median of a few graphs.
    pub fn time(&mut self) -> Result<f64, Error> {
        let mut times = match &self.rotation {
            Some(rotation) => self.session.time_rotation(rotation, ROUNDS)?,
            None => self.session.time(&self.given.inputs(), self.rounds)?,
        };
        times.sort();
        let median = times.get(times.len() / 2).copied().unwrap_or(Duration::MAX);
        let rounds = EFFORT.as_nanos() / median.as_nanos().max(1);
        self.rounds = usize::try_from(rounds).unwrap_or(MOST_ROUNDS).clamp(ROUNDS, MOST_ROUNDS);
        Ok(median.as_secs_f64() * 1e9)
    }
}

/// Applies a function to all items, on as many threads as there are processors.
pub fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, R)>> = Mutex::new(Vec::with_capacity(items.len()));
    let run = || {
        loop {
            let k = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(k) else { break };
            let result = work(item);
            done.lock().unwrap_or_else(PoisonError::into_inner).push((k, result));
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get).min(items.len());
    std::thread::scope(|scope| {
        // A system that refuses threads is only slower.
        for _ in 1..threads {
            let _ = std::thread::Builder::new().spawn_scoped(scope, run);
        }
        run();
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(k, _)| *k);
    done.into_iter().map(|(_, result)| result).collect()
}

/// Launches of a code with these sizes: the first of them, and how often a run of the plan comes by. Loops count their typical
/// number of iterations.
pub fn find<'p>(plan: &'p Plan<GpuCode>, code: CodeId, sizes: &[Dim]) -> Option<(&'p Launch, f64)> {
    let mut found = None;
    let mut count = 0.0;
    walk(plan, &plan.body, 1.0, &mut |launch, weight| {
        if launch.code == code && launch.sizes == sizes {
            found.get_or_insert(launch);
            count += weight;
        }
    });
    found.map(|launch| (launch, count))
}

fn walk<'p>(plan: &'p Plan<GpuCode>, block: &'p Block, weight: f64, each: &mut dyn FnMut(&'p Launch, f64)) {
    for step in &block.steps {
        match &step.action {
            Action::Launch(launch) => each(launch, weight),
            Action::Loop(inner) => {
                let trip = inner.trip.as_ref().map_or(1, |d| plan::group::estimate(d, &plan.symbols));
                walk(plan, &inner.body, weight * trip as f64, each);
            }
            Action::If(inner) => {
                walk(plan, &inner.then_block, weight, each);
                walk(plan, &inner.else_block, weight, each);
            }
            Action::Copy { .. }
            | Action::Clear { .. }
            | Action::Host(_)
            | Action::ReadBack { .. }
            | Action::Let { .. }
            | Action::Check { .. } => {}
        }
    }
}

/// A launch as a plan of its own, at typical sizes: what it reads are inputs, what it writes lies in the arena. `None` where a
/// buffer holds no numbers.
pub fn alone(plan: &Plan<GpuCode>, launch: &Launch) -> Option<Plan<GpuCode>> {
    let typical = |id: SymId| {
        let value = plan::group::estimate(&Dim::symbol(id), &plan.symbols);
        Some(Dim::constant(i64::try_from(value).ok()?))
    };
    let fixed = |dim: &Dim| plan.symbols.substitute(dim, &typical);
    let mut out: Plan<GpuCode> = Plan {
        name: plan.name.clone(),
        symbols: Symbols::default(),
        guards: Vec::new(),
        origins: Vec::new(),
        states: Vec::new(),
        inputs: Vec::new(),
        outputs: Vec::new(),
        weights: Vec::new(),
        buffers: Vec::new(),
        codes: vec![plan.codes.get(launch.code.0 as usize)?.clone()],
        arena: Dim::constant(0),
        body: Block::default(),
    };
    let mut places: BTreeMap<BufferId, BufferId> = BTreeMap::new();
    let mut moved = |out: &mut Plan<GpuCode>, view: &View, written: bool| -> Option<View> {
        let buffer = plan.buffers.get(view.buffer.0 as usize)?;
        if matches!(buffer.place, Place::Object(_)) || buffer.dtype == graph::dtype::DType::Str {
            return None;
        }
        let id = *places.entry(view.buffer).or_insert_with(|| {
            let id = BufferId(out.buffers.len() as u32);
            let elements = fixed(&buffer.elements);
            let place = match written {
                true => Place::Arena { offset: Dim::constant(0) },
                false => Place::Input(out.inputs.len()),
            };
            out.buffers.push(Buffer { dtype: buffer.dtype, elements: elements.clone(), place });
            if !written {
                let shape = vec![elements];
                let access = nest::layout::Access::dense(&shape);
                let name = format!("read_{}", out.inputs.len());
                let ty = Type::tensor(buffer.dtype, shape.clone());
                out.inputs.push(Border { name, ty, view: View { buffer: id, shape, access } });
            }
            id
        });
        let mut access = view.access.clone();
        access.offset = fixed(&access.offset);
        access.strides = access.strides.iter().map(fixed).collect();
        Some(View { buffer: id, shape: view.shape.iter().map(fixed).collect(), access })
    };
    let writes = launch.writes.iter().map(|v| moved(&mut out, v, true)).collect::<Option<Vec<_>>>()?;
    let workspace = match &launch.workspace {
        Some(view) => Some(moved(&mut out, view, true)?),
        None => None,
    };
    let reads = launch.reads.iter().map(|v| moved(&mut out, v, false)).collect::<Option<Vec<_>>>()?;
    let sizes = launch.sizes.iter().map(fixed).collect();
    let launch = Launch { code: CodeId(0), reads, writes, sizes, workspace, meaning: None };
    out.body.steps.push(Step { action: Action::Launch(launch), after: Vec::new(), origins: Vec::new() });
    plan::arena::assign(&mut out);
    Some(out)
}
