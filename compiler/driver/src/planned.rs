//! The plans of a model: one for the CPU, or one for each GPU architecture.

use std::collections::BTreeMap;

use backend_cpu::claim::CLAIMANTS;
use backend_cpu::code::CpuCode;
use emit::gpu::GpuTarget;
use emit::{EmitError, Files, Options, emit_crate, emit_gpu_crate, emit_gpu_out_dir, emit_out_dir};
use graph::datum::Datum;
use graph::dim::SymId;
use graph::graph::Model;
use kernels::GpuCode;
use plan::error::PlanError;
use plan::plan::{Border, Plan};

use crate::cpu::Cpu;
use crate::error::Error;
use crate::gpu::Gpu;
use crate::locked::{Answers, Locked, WithCubins};
use crate::samples::sample_inputs;
use crate::target::Targets;

/// Plans by target.
#[derive(Clone, Debug)]
pub enum Planned {
    Cpu(Box<Plan<CpuCode>>),
    Gpus(Vec<(Gpu, Plan<GpuCode>)>),
}

/// Something that is the same for plans of all targets.
macro_rules! any_plan {
    ($planned:expr, $plan:ident => $value:expr, $none:expr) => {
        match $planned {
            Planned::Cpu($plan) => $value,
            Planned::Gpus(list) => match list.first() {
                Some((_, $plan)) => $value,
                None => $none,
            },
        }
    };
}

impl Planned {
    /// Plans a model.
    pub fn of(model: &Model, targets: &Targets) -> Result<Planned, PlanError> {
        Ok(match targets {
            Targets::Cpu => Planned::Cpu(Box::new(plan::plan_model(model, &plan::Target::lines(CLAIMANTS))?)),
            Targets::Gpus(list) => {
                let plan = |sm: &ptx::Sm| Gpu { sm: *sm }.plan(model).map(|plan| (Gpu { sm: *sm }, plan));
                Planned::Gpus(list.iter().map(plan).collect::<Result<_, _>>()?)
            }
        })
    }

    /// Plans a model with the answers of a lock; and how the questions of each GPU's plan were answered.
    pub fn locked(model: &Model, targets: &Targets, lock: &Locked) -> Result<(Planned, Vec<Answers>), Error> {
        let Targets::Gpus(list) = targets else { return Ok((Planned::of(model, targets)?, Vec::new())) };
        let (mut plans, mut answers) = (Vec::new(), Vec::new());
        for sm in list {
            let gpu = Gpu { sm: *sm };
            let (plan, answered) = lock.plan(gpu, model)?;
            plans.push((gpu, plan));
            answers.push(answered);
        }
        Ok((Planned::Gpus(plans), answers))
    }

    /// The plan that runs on a device of this compute capability, times ten.
    pub fn for_gpu(&self, capability: u32) -> Option<&(Gpu, Plan<GpuCode>)> {
        let Planned::Gpus(list) = self else { return None };
        list.iter().filter(|(gpu, _)| gpu.runs_on(capability)).max_by_key(|(gpu, _)| gpu.sm)
    }

    /// The files of a crate, with the machine code of a lock.
    pub fn crate_files(&self, lock: &Locked, options: &Options) -> Result<Files, EmitError> {
        match self {
            Planned::Cpu(plan) => emit_crate(plan, &Cpu, options),
            Planned::Gpus(list) => with_targets(list, lock, |plans| emit_gpu_crate(plans, options)),
        }
    }

    /// The files of a module for `OUT_DIR`, with the machine code of a lock.
    pub fn out_dir_files(&self, lock: &Locked, options: &Options) -> Result<Files, EmitError> {
        match self {
            Planned::Cpu(plan) => emit_out_dir(plan, &Cpu, options),
            Planned::Gpus(list) => with_targets(list, lock, |plans| emit_gpu_out_dir(plans, options)),
        }
    }

    /// Small sizes that the model accepts.
    pub fn smallest_sizes(&self) -> BTreeMap<SymId, i64> {
        any_plan!(self, plan => emit::smallest::smallest_sizes(plan), BTreeMap::new())
    }

    /// Seeded inputs.
    pub fn sample_inputs(&self, seed: u64) -> Option<Vec<Datum>> {
        any_plan!(self, plan => sample_inputs(plan, seed), None)
    }

    /// The model's outputs.
    pub fn outputs(&self) -> &[Border] {
        any_plan!(self, plan => &plan.outputs, &[])
    }
}

/// Hands plans with their targets on.
fn with_targets<R>(
    list: &[(Gpu, Plan<GpuCode>)],
    lock: &Locked,
    then: impl FnOnce(&[(Plan<GpuCode>, &dyn GpuTarget<GpuCode>)]) -> R,
) -> R {
    let targets: Vec<WithCubins<'_>> = list.iter().map(|(gpu, _)| lock.target(*gpu)).collect();
    let plans: Vec<(Plan<GpuCode>, &dyn GpuTarget<GpuCode>)> = list
        .iter()
        .zip(&targets)
        .map(|((_, plan), target)| (plan.clone(), target as &dyn GpuTarget<GpuCode>))
        .collect();
    then(&plans)
}
