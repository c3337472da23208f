//! Emission: from a plan and a target's printer to the files of a crate.
//!
//! - [`target`]: what a target adds. [`options`]: how to emit. [`names`]: identifiers from model strings.
//! - [`weight_table`], [`slots`], [`size`], [`smallest`]: where things lie and how large they are.
//! - [`crate_files`]: crates of one model or many; [`samples`], [`golden`]: what stands around the code; [`mod@write`]: on disk.
//! - [`gpu`]: plans as programs of the GPU runtime.
//! - [`steps`], [`plan_file`], [`kinds`], [`api`]: the generated code. [`model`]: one model as modules; [`print`]: as text.

pub mod api;
pub mod crate_files;
pub mod error;
pub mod golden;
pub mod gpu;
pub mod kinds;
pub mod mentions;
pub mod model;
pub mod names;
pub mod options;
pub mod plan_file;
pub mod print;
pub mod samples;
pub mod size;
pub mod slots;
pub mod smallest;
pub mod steps;
pub mod target;
pub mod weight_table;
pub mod write;

pub use crate_files::{emit_crate, emit_gpu_crate, emit_gpu_out_dir, emit_modules, emit_out_dir};
pub use error::EmitError;
pub use model::{Contents, Files};
pub use options::{Golden, Options, WeightMode};
pub use target::{Call, SourceFile, TargetPrinter};
pub use write::{write_crate, write_files};
