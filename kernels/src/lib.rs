//! Kernel families for NVIDIA GPUs, as tile programs.
//!
//! problem (dtypes, sizes that are code, access classes) + variant (tile, warps, stages, splits) → `emit` → [`TileKernel`]:
//! entry, parameters by role, grid rule. A tile program computes one tile of the result from tile coordinates; a wrapper gives it
//! these from the CTA's index. Pointwise work on the results is data ([`finish::Finish`]).
//!
//! ```text
//! GemmProblem { f16, n = 1024, k = 1024, a row-major } + 128x128x32, 2x2 warps, 4 stages
//!   → 3 copies under way │ ldmatrix ─► mma.sync ─► registers │ through shared memory ─► rows of 16 bytes ─► memory
//! ```
//!
//! Invariants: a variant changes speed, never which sum is computed; sums over several CTAs are added in a fixed order, so the same
//! input gives the same bits; no kernel reads outside its operands, whatever the sizes.

pub mod attention;
pub mod claim;
pub mod cluster;
pub mod code;
pub mod depthwise;
pub mod device;
pub mod epilogue;
pub mod finish;
pub mod fragment;
pub mod gemm;
pub mod image;
pub mod launch;
pub mod lower;
pub mod pipeline;
pub mod product;
pub mod recurrent;
pub mod shared;
pub mod simt;
pub mod source;
pub mod split;
pub mod turn;
pub mod val;
pub mod warpgroup;
pub mod wide;

pub use claim::{Attentions, Contractions, Convolutions, DepthwiseConvolutions, Recurrences};
pub use code::GpuCode;
pub use device::Device;
pub use launch::{KernelError, Role, TileKernel};
pub use lower::{Argument, Lowered, LoweredKernel, lower, workspace};
