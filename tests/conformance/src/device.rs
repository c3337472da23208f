//! Models on a GPU, emulated or real: planned, lowered, loaded, and run by a session of the runtime. The emulated one is the
//! stand-in driver over the PTX emulator.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gpu_checks::emulated::Emulated;
use graph::datum::Datum;
use graph::graph::Model;
use onnx2crate::gpu::{Gpu, GpuCode};
use onnx2crate::in_process::{self, Loadable};
use plan::plan::Plan;
use plan::tuning::{Question, Tuning};
use ptx::Sm;
use runtime_min::gpu::driver::DriverTable;
use runtime_min::gpu::options::EngineOptions;
use runtime_min::gpu::program::Action;
use runtime_min::stand_in::{Script, StandIn};

/// A model made ready for an architecture.
#[derive(Clone, Debug)]
pub struct Ready {
    pub sm: Sm,
    /// Whether kernel families took what they can.
    pub families: bool,
    pub options: EngineOptions,
    outputs: usize,
    loadable: Loadable,
}

/// Plans a model for an architecture and writes its kernels: with the kernel families, or everything the generic way.
pub fn prepare(model: &Model, sm: Sm, families: bool) -> Result<Ready, String> {
    let gpu = Gpu { sm };
    let plan = if families { gpu.plan(model) } else { gpu.plan_generic(model) };
    Ok(Ready { families, ..lower(&plan.map_err(|e| format!("plan: {e}"))?, sm)? })
}

/// Plans a model for an architecture with the kernel families, each claim in the variant of a name where its family is named.
pub fn prepare_in(model: &Model, sm: Sm, variants: &[(&str, &str)]) -> Result<Ready, String> {
    let named = |question: &Question| {
        let found = variants.iter().find(|(family, _)| *family == question.family);
        found.map(|(_, variant)| (*variant).to_string())
    };
    let planned = Gpu { sm }.plan_tuned(model, Tuning { choose: &named, variants: 0 });
    let (plan, asked) = planned.map_err(|e| format!("plan: {e}"))?;
    if let Some(refused) = asked.iter().find_map(|a| a.refused.as_ref()) {
        return Err(format!("no variant {refused} of these: {asked:?}"));
    }
    if let Some((family, _)) = variants.iter().find(|(family, _)| asked.iter().all(|a| a.question.family != *family)) {
        return Err(format!("nothing of family {family} in {asked:?}"));
    }
    lower(&plan, sm)
}

/// Writes the kernels of a plan.
fn lower(plan: &Plan<GpuCode>, sm: Sm) -> Result<Ready, String> {
    let loadable = Loadable::of(plan, &Gpu { sm }).map_err(|e| format!("lower: {e}"))?;
    Ok(Ready { sm, families: true, options: EngineOptions::default(), outputs: plan.outputs.len(), loadable })
}

/// All ways in which a model runs on some architectures, those that differ in nothing but the architecture that their kernels name
/// once; and how many there were.
pub fn distinct(model: &Model, sms: &[Sm]) -> Result<(Vec<Ready>, usize), String> {
    let mut out: Vec<Ready> = Vec::new();
    let mut all = 0;
    for sm in sms {
        for families in [true, false] {
            let ready = prepare(model, *sm, families).map_err(|e| format!("{sm}: {e}"))?;
            all += 1;
            if !out.iter().any(|known| known.is_same(&ready)) {
                out.push(ready);
            }
        }
    }
    Ok((out, all))
}

/// Where kernels run.
#[derive(Clone, Copy, Debug)]
pub enum Place {
    Emulator,
    Gpu(&'static DriverTable),
}

impl Ready {
    /// Names and PTX of its kernels.
    pub fn kernels(&self) -> impl Iterator<Item = (&str, &str)> {
        self.loadable.lowered.program.modules.iter().map(|m| (m.name, m.ptx.as_ref()))
    }

    /// Changes the PTX of kernel `k`.
    pub fn set_kernel(&mut self, k: usize, ptx: String) {
        if let Some(module) = self.loadable.lowered.program.modules.to_mut().get_mut(k) {
            module.ptx = ptx.into();
        }
    }

    /// The steps that are launches, by their numbers.
    pub fn launches(&self) -> Vec<usize> {
        let steps = self.loadable.lowered.program.steps.iter().enumerate();
        steps.filter(|(_, s)| matches!(s.action, Action::Launch { .. })).map(|(k, _)| k).collect()
    }

    /// Leaves a step out.
    pub fn drop_step(&mut self, step: usize) {
        if let Some(step) = self.loadable.lowered.program.steps.to_mut().get_mut(step) {
            step.action = Action::Let { values: Vec::new().into() };
        }
    }

    /// Whether it runs the same instructions on the same data.
    fn is_same(&self, other: &Ready) -> bool {
        let texts = |ready: &Ready| ready.kernels().map(|(_, ptx)| body(ptx).to_string()).collect::<Vec<_>>();
        let rest = |ready: &Ready| {
            let mut lowered = ready.loadable.lowered.clone();
            lowered.program.target = self.loadable.lowered.program.target;
            for module in lowered.program.modules.to_mut() {
                module.ptx = "".into();
            }
            lowered
        };
        texts(self) == texts(other)
            && self.loadable.weights.pieces() == other.loadable.weights.pieces()
            && self.loadable.weights.fills() == other.loadable.weights.fills()
            && rest(self) == rest(other)
    }

    /// Runs it on each of several inputs, in one session.
    pub fn run(self, place: Place, inputs: &[&[Datum]]) -> Result<Vec<Vec<Datum>>, String> {
        match place {
            Place::Gpu(table) => self.run_on(table, inputs),
            Place::Emulator => self.emulate(Emulated::default(), inputs),
        }
    }

    /// Runs it on the emulator; results, and the instructions that warps executed.
    pub fn run_counted(self, inputs: &[&[Datum]]) -> Result<(Vec<Vec<Datum>>, u64), String> {
        let executed = Arc::new(AtomicU64::new(0));
        let found = self.emulate(Emulated::counting(executed.clone()), inputs)?;
        Ok((found, executed.load(Ordering::Relaxed)))
    }

    fn emulate(self, device: Emulated, inputs: &[&[Datum]]) -> Result<Vec<Vec<Datum>>, String> {
        let script = Script { capability: self.sm.number() as i32, ..Script::default() };
        let driver = StandIn::new(Box::new(device), script);
        self.run_on(driver.table(), inputs).map_err(|e| {
            // The driver's answer is a number; what the emulator found is with the stand-in.
            let found = driver.leaks().misuse;
            if found.is_empty() { e } else { format!("run: {}", found.join("; ")) }
        })
    }

    fn run_on(self, table: &'static DriverTable, inputs: &[&[Datum]]) -> Result<Vec<Vec<Datum>>, String> {
        let engine = self.loadable.load(table, self.options).map_err(|e| format!("load: {e}"))?;
        let mut session = engine.session().map_err(|e| format!("session: {e}"))?;
        let run = |set: &&[Datum]| in_process::run(&mut session, self.outputs, set).map_err(|e| format!("run: {e}"));
        inputs.iter().map(run).collect()
    }
}

/// A module's text behind the lines that say what it is for.
pub fn body(ptx: &str) -> &str {
    ptx.find(".address_size").and_then(|at| ptx.get(at..)).unwrap_or(ptx)
}

/// Runs a model on an emulated device of an architecture.
pub fn run(model: &Model, inputs: &[Datum], sm: Sm, families: bool) -> Result<Vec<Datum>, String> {
    once(prepare(model, sm, families)?, inputs)
}

/// Runs a plan on an emulated device of its architecture.
pub fn run_plan(plan: &Plan<GpuCode>, inputs: &[Datum], sm: Sm) -> Result<Vec<Datum>, String> {
    once(lower(plan, sm)?, inputs)
}

fn once(ready: Ready, inputs: &[Datum]) -> Result<Vec<Datum>, String> {
    let found = ready.run(Place::Emulator, &[inputs])?;
    found.into_iter().next().ok_or_else(|| "no results".to_string())
}
