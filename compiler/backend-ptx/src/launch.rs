//! What a kernel becomes: launches in order, and the scratch they share.

use graph::dim::Dim;
use ptx::Module;

/// The launches of one kernel. All sizes are over the kernel's own parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernels {
    /// In order; each starts when the one before is done. One whose grid has a 0 is skipped.
    pub launches: Vec<GpuKernel>,
    /// Bytes of scratch, contents undefined before and after. Its start is a multiple of 256.
    pub workspace: Dim,
}

/// One launch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GpuKernel {
    /// One entry.
    pub module: Module,
    pub entry: String,
    pub grid: [Dim; 3],
    pub block: [u32; 3],
    /// Bytes of shared memory beyond what the entry names.
    pub dynamic_shared: Dim,
    /// In the order of the entry's parameters.
    pub args: Vec<Arg>,
    /// Whether all CTAs must run at once.
    pub cooperative: bool,
}

/// The value of a parameter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Arg {
    /// Element 0 of the buffer that the k-th operand lies in, a multiple of 16.
    Read(usize),
    /// Element 0 of the buffer that the k-th result lies in, a multiple of 16.
    Write(usize),
    /// An address in the scratch.
    Workspace {
        offset: Dim,
    },
    Size64(Dim),
    /// The low 32 bits of a size.
    Size32(Dim),
    /// Multiplier and shift of a division by a size, for numbers below 2^31; see `runtime_min::gpu::divisor`.
    Divisor(Dim),
}

/// Where the buffers of one launch lie.
#[derive(Clone, Copy, Debug)]
pub struct Addresses<'a> {
    pub reads: &'a [u64],
    pub writes: &'a [u64],
    pub workspace: u64,
}

/// A launch for known sizes and buffers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    pub grid: [u32; 3],
    pub dynamic_shared: u32,
    /// The parameters as they lie in the parameter space.
    pub params: Vec<u8>,
}

/// Multiplier and shift of the division by a number from 1 to 2^31 - 1: `n / d = (high32(n * m) + n) >> s` for n below 2^31.
pub fn divisor(d: i64) -> Option<(u32, u32)> {
    let d = u64::try_from(d).ok().filter(|d| (1..1 << 31).contains(d))?;
    let shift = 64 - (d - 1).leading_zeros();
    let multiplier = (((1u64 << shift) - d) << 32) / d + 1;
    Some((multiplier as u32, shift))
}

impl GpuKernel {
    /// The grid for values of the kernel's parameters; `None` if one is missing or the grid has no place on a GPU.
    pub fn grid_for(&self, sizes: &[i64]) -> Option<[u32; 3]> {
        let mut grid = [0; 3];
        for (slot, dim) in grid.iter_mut().zip(&self.grid) {
            *slot = u32::try_from(value(dim, sizes)?).ok()?;
        }
        Some(grid)
    }

    /// The launch for values of the kernel's parameters. Only for grids without a 0.
    pub fn prepare(&self, sizes: &[i64], addresses: Addresses<'_>) -> Option<Prepared> {
        let mut params = Vec::new();
        for arg in &self.args {
            let bytes = match arg {
                Arg::Read(k) => addresses.reads.get(*k)?.to_le_bytes().to_vec(),
                Arg::Write(k) => addresses.writes.get(*k)?.to_le_bytes().to_vec(),
                Arg::Workspace { offset } => {
                    addresses.workspace.wrapping_add_signed(value(offset, sizes)?).to_le_bytes().to_vec()
                }
                Arg::Size64(size) => value(size, sizes)?.to_le_bytes().to_vec(),
                Arg::Size32(size) => (value(size, sizes)? as u32).to_le_bytes().to_vec(),
                Arg::Divisor(size) => {
                    let (multiplier, shift) = divisor(value(size, sizes)?)?;
                    (u64::from(multiplier) | u64::from(shift) << 32).to_le_bytes().to_vec()
                }
            };
            params.resize(params.len().next_multiple_of(bytes.len()), 0);
            params.extend(bytes);
        }
        let dynamic_shared = u32::try_from(value(&self.dynamic_shared, sizes)?).ok()?;
        Some(Prepared { grid: self.grid_for(sizes)?, dynamic_shared, params })
    }
}

fn value(dim: &Dim, sizes: &[i64]) -> Option<i64> {
    dim.eval(&|id| sizes.get(id.0 as usize).copied())
}
