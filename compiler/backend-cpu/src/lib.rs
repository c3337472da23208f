//! The CPU back end: kernels of a plan become Rust functions, claims become calls of the runtime's micro-kernels.
//!
//! - [`print`]: nests, primitives and epilogues as token streams.

pub mod error;
pub mod print;
