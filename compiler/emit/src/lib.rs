//! Emission: from a plan and a target's printer to the files of a crate.
//!
//! - [`target`]: what a target adds. [`names`]: identifiers from model strings. [`size`]: sizes as Rust.

pub mod error;
pub mod names;
pub mod size;
pub mod target;

pub use error::EmitError;
pub use target::{Call, SourceFile, TargetPrinter};
