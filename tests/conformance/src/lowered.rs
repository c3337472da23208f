//! Plans as programs of the GPU runtime, with one kernel without a body for each code: the tables must hold together.

use emit::EmitError;
use emit::gpu::{GpuArg, GpuKernel, GpuTarget, Kernels, lower};
use emit::weight_table::WeightTable;
use graph::dim::Dim;
use plan::plan::{Code, Plan};
use runtime_min::gpu::program::Target;

/// A target whose kernels do nothing.
struct Empty;

impl<C> GpuTarget<C> for Empty {
    fn name(&self) -> &'static str {
        "empty"
    }

    fn architecture(&self) -> Target {
        Target { capability: 75, specific: false }
    }

    fn kernels(&self, code: &Code<C>) -> Result<Kernels, EmitError> {
        let (reads, writes, sizes) = match code {
            Code::Kernel(kernel) => (kernel.operands.len(), kernel.results.len(), kernel.params),
            Code::Claimed(claimed) => (claimed.operands + claimed.derived, claimed.results, claimed.sizes),
        };
        let mut args: Vec<GpuArg> = (0..reads).map(GpuArg::Read).collect();
        args.extend((0..writes).map(GpuArg::Write));
        let size = |k: usize| Dim::symbol(graph::dim::SymId(k as u32));
        args.extend((0..sizes).map(|k| GpuArg::Size64(size(k))));
        let one = || Dim::constant(1);
        let kernel = GpuKernel {
            name: "empty".to_string(),
            ptx: format!("// {reads} {writes} {sizes}"),
            cubins: Vec::new(),
            entry: "empty".to_string(),
            grid: [if sizes > 0 { size(0) } else { one() }, one(), one()],
            block: [32, 1, 1],
            cluster: [1, 1, 1],
            dynamic_shared: Dim::default(),
            args,
            cooperative: false,
            dependent: false,
        };
        Ok(Kernels { launches: vec![kernel], workspace: Dim::default() })
    }
}

/// Lowers a plan; the program's own verifier has the say.
pub fn check_lowered<C>(plan: &Plan<C>) -> Result<(), String> {
    let (_, weights) = WeightTable::of_all([plan]).map_err(|e| format!("weights: {e}"))?;
    let weights: Vec<_> = weights.into_iter().flatten().collect();
    let lowered = lower(plan, &Empty, &weights).map_err(|e| format!("lower: {e}"))?;
    lowered.program.verify().map_err(|problems| format!("program: {problems:?}"))
}
