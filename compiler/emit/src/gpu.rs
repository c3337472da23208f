//! GPU targets: a plan becomes the tables of a [`Program`](runtime_min::gpu::program::Program).
//!
//! ```text
//! Plan<C> ─► lower (sizes, buffers, kernels, steps) ─► Program ─► in process, or printed as `static` tables of a crate
//! ```

pub mod lower;
pub mod model;
pub mod print;
pub mod target;

pub use lower::{HostEntry, Lowered, lower, runs_on_host};
pub use target::{GpuArg, GpuKernel, GpuTarget, Kernels};
