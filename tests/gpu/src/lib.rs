//! Programs of PTX kernels through the GPU runtime: everything that a driver does for it, shown on whole programs.
//!
//! A case loads a program, runs it, and compares with what the host computes. `cargo test` runs the cases on the PTX emulator
//! behind the driver that stands in; `gpu-checks` runs the same cases on a GPU, and those that only a GPU can show.

pub mod cases;
pub mod emulated;
pub mod hardware;
pub mod lent;
pub mod programs;
pub mod soak;
