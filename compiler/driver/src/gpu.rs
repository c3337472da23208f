//! NVIDIA GPUs as planning and emission see them.

use backend_ptx::launch::{Arg, GpuKernel};
use backend_ptx::{compile, workspace};
use emit::EmitError;
use emit::gpu::{self, GpuArg, GpuTarget};
use graph::dim::Dim;
use nest::abstraction::Constants;
use nest::kernel::{Body, Kernel};
use plan::plan::Code;
use plan::target::Claimants;
use ptx::Sm;
use runtime_min::gpu::program;

/// What kernel families for GPUs emit.
#[derive(Clone, Debug, PartialEq)]
pub enum GpuCode {}

/// Kernel families for GPUs.
pub const CLAIMANTS: Claimants<'static, GpuCode> = &[];

/// A GPU architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gpu {
    pub sm: Sm,
}

/// What planning for any GPU asks.
pub fn planning() -> plan::Target<'static, GpuCode> {
    plan::Target { claimants: CLAIMANTS, workspace: &workspace, constants: Constants::Code }
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
            Code::Claimed(claimed) => match claimed.code {},
        }
    }
}

impl Gpu {
    fn launch(self, name: &str, kernel: GpuKernel) -> Result<gpu::GpuKernel, EmitError> {
        ptx::verify(&kernel.module).map_err(|problems| {
            let problems: Vec<String> = problems.iter().take(4).map(ToString::to_string).collect();
            EmitError::Target { target: self.sm.name(), what: format!("{name}: {}", problems.join("; ")) }
        })?;
        Ok(gpu::GpuKernel {
            name: name.to_string(),
            ptx: ptx::print(&kernel.module),
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

fn kind(kernel: &Kernel) -> &'static str {
    match kernel.body {
        Body::Nest(_) => "nest",
        Body::Scatter(_) => "scatter",
        Body::Sort { .. } => "sort",
        Body::Compact => "compact",
        Body::Prefix { .. } => "prefix",
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
