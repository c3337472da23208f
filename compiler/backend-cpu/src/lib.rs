//! The CPU back end: kernels of a plan become Rust functions, claims become calls of the runtime's micro-kernels.
//!
//! - [`claim`]: what the kernel families can run; [`code`]: what they emit.
//! - [`print`]: nests, primitives and epilogues as token streams. [`call`]: launches.

pub mod call;
pub mod claim;
pub mod code;
pub mod error;
pub mod print;
