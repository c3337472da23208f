//! NVIDIA GPUs as planning and emission see them.

use backend_ptx::launch::{Arg, GpuKernel};
use backend_ptx::{compile, workspace};
use emit::EmitError;
use emit::gpu::{self, GpuArg, GpuTarget};
use graph::dim::Dim;
use graph::graph::Model;
pub use kernels::GpuCode;
use kernels::{
    Argument, Attentions, Contractions, Convolutions, DepthwiseConvolutions, Device, LoweredKernel, Recurrences,
};
use nest::abstraction::Constants;
use nest::kernel::{Body, Kernel};
use plan::error::PlanError;
use plan::plan::{Code, Plan};
use plan::target::Claimants;
use plan::tuning::{Asked, Tuning};
use ptx::Sm;
use runtime_min::gpu::program;

/// A GPU architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gpu {
    pub sm: Sm,
}

impl Gpu {
    /// Whether a device of this compute capability, times ten, runs its code.
    pub fn runs_on(self, capability: u32) -> bool {
        match self.architecture() {
            target if target.specific => target.capability == capability,
            target => target.capability <= capability,
        }
    }

    /// Plans a model with all kernel families.
    pub fn plan(self, model: &Model) -> Result<Plan<GpuCode>, PlanError> {
        self.plan_families(model, None).map(|(plan, _)| plan)
    }

    /// Plans a model with all kernel families in the variants that are chosen, and yields what was asked.
    pub fn plan_tuned(self, model: &Model, tuning: Tuning<'_>) -> Result<(Plan<GpuCode>, Vec<Asked>), PlanError> {
        self.plan_families(model, Some(tuning))
    }

    fn plan_families(
        self,
        model: &Model,
        tuning: Option<Tuning<'_>>,
    ) -> Result<(Plan<GpuCode>, Vec<Asked>), PlanError> {
        let device = Device::of(self.sm);
        plan_with(
            model,
            &[
                &Contractions { device },
                &Convolutions { device },
                &DepthwiseConvolutions { device },
                &Attentions { device },
                &Recurrences { device },
            ],
            tuning,
        )
    }

    /// Plans a model without kernel families: everything goes the generic way.
    pub fn plan_generic(self, model: &Model) -> Result<Plan<GpuCode>, PlanError> {
        plan_with(model, &[], None).map(|(plan, _)| plan)
    }
}

fn plan_with(
    model: &Model,
    claimants: Claimants<'_, GpuCode>,
    tuning: Option<Tuning<'_>>,
) -> Result<(Plan<GpuCode>, Vec<Asked>), PlanError> {
    plan::plan_tuned(model, &plan::Target { claimants, workspace: &workspace, constants: Constants::Code, tuning })
}

impl GpuTarget<GpuCode> for Gpu {
    fn name(&self) -> &'static str {
        self.sm.name()
    }

    fn architecture(&self) -> program::Target {
        program::Target { capability: self.sm.number(), specific: self.sm.is_specific() }
    }

    fn kernels(&self, code: &Code<GpuCode>) -> Result<gpu::Kernels, EmitError> {
        match code {
            Code::Kernel(kernel) => {
                let fail = |e: backend_ptx::error::PtxError| EmitError::Target {
                    target: self.sm.name(),
                    what: format!("{}: {e}", kind(kernel)),
                };
                let compiled = compile(kernel, self.sm).map_err(fail)?;
                let launches = compiled.launches.into_iter().map(|k| self.launch(kind(kernel), k));
                let launches = launches.collect::<Result<Vec<_>, _>>()?;
                Ok(gpu::Kernels { launches, workspace: compiled.workspace })
            }
            Code::Claimed(claimed) => {
                let fail = |what: String| EmitError::Target { target: self.sm.name(), what };
                let operands = claimed.operands + claimed.derived;
                let name = match &claimed.code {
                    GpuCode::Product(code) if code.window.is_some() => "conv",
                    GpuCode::Product(_) => "product",
                    GpuCode::Depthwise(_) => "depthwise",
                    GpuCode::Attention(_) => "attention",
                    GpuCode::Recurrent(_) => "recurrent",
                };
                let lowered = kernels::lower(&claimed.code, operands, claimed.epilogue.as_ref(), self.sm);
                let lowered = lowered.map_err(|e| fail(format!("{name}: {e}")))?;
                let launches = lowered.launches.into_iter().map(|k| self.claimed(name, k));
                let launches = launches.collect::<Result<Vec<_>, _>>()?;
                Ok(gpu::Kernels { launches, workspace: lowered.workspace })
            }
        }
    }
}

impl Gpu {
    /// The text of a module that keeps the rules.
    fn text(self, name: &str, module: &ptx::Module) -> Result<String, EmitError> {
        ptx::verify(module).map_err(|problems| {
            let problems: Vec<String> = problems.iter().take(4).map(ToString::to_string).collect();
            EmitError::Target { target: self.sm.name(), what: format!("{name}: {}", problems.join("; ")) }
        })?;
        Ok(ptx::print(module))
    }

    fn claimed(self, name: &str, kernel: LoweredKernel) -> Result<gpu::GpuKernel, EmitError> {
        Ok(gpu::GpuKernel {
            name: name.to_string(),
            ptx: self.text(name, &kernel.module)?,
            cubins: Vec::new(),
            entry: kernel.entry,
            grid: kernel.grid,
            block: kernel.block,
            cluster: kernel.cluster,
            dynamic_shared: Dim::constant(i64::from(kernel.shared)),
            args: kernel.args.into_iter().map(claimed_arg).collect(),
            cooperative: false,
            dependent: false,
        })
    }

    fn launch(self, name: &str, kernel: GpuKernel) -> Result<gpu::GpuKernel, EmitError> {
        Ok(gpu::GpuKernel {
            name: name.to_string(),
            ptx: self.text(name, &kernel.module)?,
            cubins: Vec::new(),
            entry: kernel.entry,
            grid: kernel.grid,
            block: kernel.block,
            cluster: [1, 1, 1],
            dynamic_shared: kernel.dynamic_shared,
            args: kernel.args.into_iter().map(arg).collect(),
            cooperative: kernel.cooperative,
            dependent: false,
        })
    }
}

/// The variant that code runs in, by its name.
pub fn variant(code: &GpuCode) -> String {
    match code {
        GpuCode::Product(code) => code.variant.name(),
        GpuCode::Depthwise(code) => code.variant.name(),
        GpuCode::Attention(code) => code.variant.name(),
        GpuCode::Recurrent(code) => code.variant.name(),
    }
}

/// What a generic kernel is.
pub fn kind(kernel: &Kernel) -> &'static str {
    match kernel.body {
        Body::Nest(_) => "nest",
        Body::Scatter(_) => "scatter",
        Body::Sort { .. } => "sort",
        Body::Compact => "compact",
        Body::Prefix { .. } => "prefix",
    }
}

fn claimed_arg(arg: Argument) -> GpuArg {
    match arg {
        Argument::Read(k) => GpuArg::Read(k),
        Argument::Write(k) => GpuArg::Write(k),
        Argument::Workspace => GpuArg::Workspace { offset: Dim::constant(0) },
        Argument::Size64(d) => GpuArg::Size64(d),
        Argument::Size32(d) => GpuArg::Size32(d),
        Argument::Divisor(d) => GpuArg::Divisor(d),
        Argument::Stride { read, dim } => GpuArg::Stride { read, dim },
    }
}

fn arg(arg: Arg) -> GpuArg {
    match arg {
        Arg::Read(k) => GpuArg::Read(k),
        Arg::Write(k) => GpuArg::Write(k),
        Arg::Workspace { offset } => GpuArg::Workspace { offset },
        Arg::Size64(d) => GpuArg::Size64(d),
        Arg::Size32(d) => GpuArg::Size32(d),
        Arg::Divisor(d) => GpuArg::Divisor(d),
    }
}
