//! What generated crates need at run time: a few files, copied into each crate as they are but for their tests.
//!
//! - [`memory`], [`weights`], [`crew`] (and `half_elements`): all the `unsafe` code there is beside the kernels.
//! - [`sizes`], [`copy`], [`bridge`], [`datum`]: what steps call. [`tensor`], [`engine`], [`error`]: what users see.

pub mod bridge;
pub mod copy;
pub mod cpu;
pub mod crew;
pub mod datum;
pub mod engine;
pub mod error;
pub mod exchange;
pub mod gpu;
#[cfg(test)]
mod gpu_tests;
pub mod half_elements;
pub mod half_round;
pub mod memory;
pub mod sizes;
pub mod sources;
#[cfg(any(test, feature = "stand-in"))]
pub mod stand_in;

pub mod tensor;
pub mod weights;
