//! Kernels as Rust.
//!
//! A kernel becomes a safe function over typed slices and its size parameters:
//! `fn k(isa, x0: &[f32], …, y0: &mut [f32], …, p: &[i64; N]) -> Result<(), KernelError>`.
//! Loops follow the parallel dims, then the reduction dims; every expression stands at the outermost loop it depends on; rows
//! that are contiguous along the innermost loop become slices, so that the loop has no bounds checks and vectorises.

mod address;
mod cast;
mod expr;
mod function;
mod primitive;
mod slab;
mod stage;
mod types;

pub(crate) use expr::float32;
pub use function::{Function, TileMap, print_epilogue, print_kernel};
pub use slab::slab_dims;
pub(crate) use stage::lanes_dim;
pub use types::{storage_type, working_type};
