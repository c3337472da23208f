//! The GPU back end for what no kernel family claims: nests and whole-tensor primitives to PTX kernels and their launches.
//!
//! [`compile`] takes a verified [`nest::kernel::Kernel`] and a target, and yields [`launch::Kernels`]: launches in order, whose
//! grids and arguments are sizes over the kernel's parameters. [`workspace`] says how much scratch they share. Equal kernels
//! give equal PTX.
//!
//! - `moves`: floats that are only moved, as integers. [`flat`]: a stage over as few dims as its addresses allow. [`facts`], [`schedule`]: how it runs, as data.
//! - [`writer`] over [`emitter`]: an entry under construction. [`index`], [`memory`], [`point`], [`state`]: index arithmetic,
//!   elements, expressions, accumulators.
//! - [`points`], `blocks`, [`tile`], [`reduce`], [`contract`], [`rows`]: nests. [`scatter`], [`sort`], [`compact`], [`prefix`]: primitives.
//!
//! What may hold for some sizes only is decided by the host: each way to run has a predicate over sizes, and its launches a grid
//! of 0 where that does not hold.

mod blocks;
pub mod compact;
mod compile;
pub mod contract;
pub mod emitter;
pub mod error;
pub mod facts;
pub mod flat;
pub mod index;
pub mod launch;
pub mod memory;
mod moves;
pub mod point;
pub mod points;
pub mod prefix;
pub mod reduce;
pub mod rows;
mod scan;
pub mod scatter;
pub mod schedule;
pub mod sort;
pub mod state;
pub mod tile;
pub mod writer;

pub use compile::{compile, compile_within, workspace};

#[cfg(test)]
mod tests_flat;
