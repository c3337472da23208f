//! What a GPU target adds: the kernels that a code becomes.
//!
//! All sizes are over the code's own parameters: `SymId(k)` is parameter `k` of the launch.

use graph::dim::Dim;
use plan::plan::Code;
use runtime_min::gpu::program::{Cubin, Target};

use crate::error::EmitError;

/// A GPU target, as emission sees it.
pub trait GpuTarget<C> {
    /// Name in reports and in `engine.info()`: `sm_90a`.
    fn name(&self) -> &'static str;

    /// The architecture that the PTX asks for.
    fn architecture(&self) -> Target;

    /// The kernels that run a code, in order. Equal codes give equal kernels.
    fn kernels(&self, code: &Code<C>) -> Result<Kernels, EmitError>;
}

/// What a code becomes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Kernels {
    pub launches: Vec<GpuKernel>,
    /// Bytes of scratch; no more than planning was told.
    pub workspace: Dim,
}

/// A kernel with its launch.
#[derive(Clone, Debug, PartialEq)]
pub struct GpuKernel {
    /// For file names and errors.
    pub name: String,
    pub ptx: String,
    /// What was linked from this PTX.
    pub cubins: Vec<Cubin>,
    pub entry: String,
    /// Number of CTAs; the launch is skipped where one is 0. Of a cooperative kernel, the first is cut to what the device
    /// holds at once.
    pub grid: [Dim; 3],
    pub block: [u32; 3],
    /// CTAs of a cluster; [1, 1, 1] for none.
    pub cluster: [u32; 3],
    /// Bytes.
    pub dynamic_shared: Dim,
    pub args: Vec<GpuArg>,
    /// All CTAs run at once.
    pub cooperative: bool,
    /// May begin before the launch ahead of it has ended.
    pub dependent: bool,
}

/// One parameter of a kernel.
///
/// An address is that of element 0 of the buffer where the code knows offset and strides (operands and results of kernels
/// and of epilogues), and that of the view's first element where it does not (operands and direct results of claims).
#[derive(Clone, Debug, PartialEq)]
pub enum GpuArg {
    /// Address of the launch's read `k`.
    Read(usize),
    /// Address of the launch's write `k`.
    Write(usize),
    /// Address in the scratch, this many bytes from its start.
    Workspace { offset: Dim },
    /// 8 bytes.
    Size64(Dim),
    /// 4 bytes.
    Size32(Dim),
    /// Fast divisor for unsigned 32-bit division: multiplier and shift.
    Divisor(Dim),
    /// 8 bytes: stride of a dim of read `k`, in elements.
    Stride { read: usize, dim: usize },
}
