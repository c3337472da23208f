//! From a case to the plans that are timed against each other: one, or one for each variant.

use std::path::Path;

use kernels::GpuCode;
use plan::plan::Plan;
use plan::tuning::{Question, Tuning};

use crate::error::Error;
use crate::gpu::Gpu;
use crate::lab::jobs::{Case, Op, Variants};
use crate::lab::network::{self, Network};
use crate::target::{Target, Targets};
use crate::{Compiler, Precision};

/// A case that can be run.
pub struct Prepared {
    pub case: Case,
    pub network: Network,
    pub gpu: Gpu,
    pub entrants: Vec<Entrant>,
}

/// One plan of a case.
pub struct Entrant {
    /// The variant asked for, or those chosen.
    pub variant: String,
    pub plan: Result<Plan<GpuCode>, Error>,
}

/// Plans a case for the target that a device of this capability runs best.
pub fn prepare(case: &Case, targets: &Targets, capability: u32) -> Result<Prepared, Error> {
    let unfit = || Error::Option {
        what: case.name.clone(),
        expected: "an architecture that this machine's GPU runs".to_string(),
        found: "none".to_string(),
    };
    if let (Op::Model, Some(path)) = (case.op, &case.job.model) {
        return of_model(case, path, targets, capability)?.ok_or_else(unfit);
    }
    let Targets::Gpus(list) = targets else { return Err(unfit()) };
    let gpus = list.iter().map(|sm| Gpu { sm: *sm }).filter(|gpu| gpu.runs_on(capability));
    let gpu = gpus.max_by_key(|gpu| gpu.sm).ok_or_else(unfit)?;
    let network = network::build(case)?;
    let mut model = network.model.clone();
    passes::run_pipeline(&mut model, &passes::Options::default())?;
    if case.job.generic {
        let entrants = vec![Entrant { variant: "generic".to_string(), plan: Ok(gpu.plan_generic(&model)?) }];
        return Ok(Prepared { case: case.clone(), network, gpu, entrants });
    }
    let most = match &case.job.variants {
        None | Some(Variants::Named(_)) => 0,
        Some(Variants::First(most)) => *most,
        Some(Variants::All(_)) => usize::MAX,
    };
    let (plan, asked) = gpu.plan_tuned(&model, Tuning { choose: &|_| None, variants: most })?;
    let first = asked.first().map(|asked| &asked.question);
    let names: Vec<String> = match &case.job.variants {
        Some(Variants::Named(names)) => names.clone(),
        _ => first.map(|q| q.variants.iter().map(|v| v.name.clone()).collect()).unwrap_or_default(),
    };
    if names.is_empty() {
        let variant = first.map_or_else(String::new, |q| q.problem.chosen.clone());
        let entrants = vec![Entrant { variant, plan: Ok(plan) }];
        return Ok(Prepared { case: case.clone(), network, gpu, entrants });
    }
    let family = first.map(|q| q.family);
    let entrant = |name: String| {
        let choose = |question: &Question| (Some(question.family) == family).then(|| name.clone());
        let planned = gpu.plan_tuned(&model, Tuning { choose: &choose, variants: 0 });
        let plan = planned.map_err(Error::from).and_then(|(plan, asked)| {
            match family.is_none() || asked.iter().any(|a| a.refused.is_some()) {
                false => Ok(plan),
                true => Err(Error::Option {
                    what: "variants".to_string(),
                    expected: "variants that the family offers for this problem".to_string(),
                    found: name.clone(),
                }),
            }
        });
        Entrant { variant: name, plan }
    };
    let entrants = names.into_iter().map(entrant).collect();
    Ok(Prepared { case: case.clone(), network, gpu, entrants })
}

fn of_model(case: &Case, path: &Path, targets: &Targets, capability: u32) -> Result<Option<Prepared>, Error> {
    let Targets::Gpus(list) = targets else { return Ok(None) };
    let list: Vec<Target> = list.iter().map(|sm| Target::Gpu(*sm)).collect();
    let precision = Precision::ALL.into_iter().find(|p| p.name() == case.dtype).ok_or_else(|| Error::Option {
        what: format!("{}: dtypes", case.name),
        expected: "f32, tf32, f16 or bf16".to_string(),
        found: case.dtype.clone(),
    })?;
    let mut compiler = Compiler::new(path).targets(&list).precision(precision);
    for (name, value) in &case.dims {
        compiler = compiler.dim(name, &value.to_string())?;
    }
    if let Some(lock) = &case.job.lock {
        compiler = compiler.lock(lock).locked(false);
    }
    let compiled = compiler.compile()?;
    let inputs = compiled.plans.sample_inputs(1).ok_or_else(|| Error::Option {
        what: case.name.clone(),
        expected: "a model whose inputs are tensors".to_string(),
        found: "an input that is none".to_string(),
    })?;
    let Some((gpu, plan)) = compiled.plans.for_gpu(capability) else { return Ok(None) };
    let (gpu, plan) = (*gpu, Ok(plan.clone()));
    let network = Network { model: compiled.imported.model, inputs, bytes: 0.0, flops: 0.0 };
    let entrants = vec![Entrant { variant: String::new(), plan }];
    Ok(Some(Prepared { case: case.clone(), network, gpu, entrants }))
}
