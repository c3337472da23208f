//! The ONNX front end: a file becomes a verified graph, or a list of everything that is wrong with it.
//!
//! [`operator`] is the interface that the files under `ops/` implement, one an operator. [`hosted`]
//! runs the host operators' runtime files, [`late`] makes run-time values of static sequences and optionals.

mod casting;
pub mod hosted;
mod indexing;
pub mod late;
mod looping;
mod loss;
pub mod operator;
mod ops;
#[cfg(test)]
#[allow(dead_code, reason = "each operator's tests use a part of it")]
mod ops_testing;
mod pointwise;
mod quantised;
mod quantization;
mod recurrent;
mod reduction;
mod scatter_mode;
mod sizes;
mod sliding;
pub mod value;

pub use ops::{HOST_OPS, OPERATORS};
