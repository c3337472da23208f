//! onnx2crate: compiles ONNX models to standalone Rust crates.
//!
//! The library is what a build script uses; the command line is a thin layer over it.
//!
//! ```no_run
//! // build.rs
//! fn main() -> Result<(), onnx2crate::Error> {
//!     onnx2crate::Compiler::new("digits.onnx").dim("batch", "1..64")?.emit_module_for_build_script()
//! }
//! ```
//!
//! then `include!(concat!(env!("OUT_DIR"), "/digits.rs"));` gives a module `digits`.
//!
//! - [`compiler`]: import, plan, emit. [`cpu`]: the CPU target as emission sees it. [`golden`]: values for the crate's test.
//! - [`inspect`], [`verify`], [`bench`]: the subcommands. [`crate_run`]: builds crates and runs them. [`compare`]: errors. [`row_order`]: detections as sets.
//! - [`target`], [`planned`]: what a model is compiled for, and its plans. [`gpu`]: GPU targets. [`in_process`], [`host`], [`soak`]: running a plan on a GPU without a crate.
//! - [`locked`]: a lock folder in use. [`tuning`]: how its answers are found, on [`trial`]'s device. [`linked`]: its machine code.
//! - [`render`], [`progress`]: what is shown.

pub mod bench;
pub mod compare;
pub mod compiler;
pub mod cpu;
pub mod crate_run;
pub mod datums;
pub mod error;
pub mod golden;
pub mod gpu;
pub mod host;
pub mod in_process;
pub mod inspect;
pub mod lab;
pub mod linked;
pub mod locked;
pub mod planned;
pub mod progress;
pub mod render;
pub mod report;
pub mod row_order;
pub mod samples;
pub mod soak;
pub mod target;
pub mod trial;
pub mod tuning;
pub mod verify;

pub use compiler::{Compiled, Compiler};
pub use emit::WeightMode;
pub use error::Error;
pub use passes::Precision;
pub use target::{Target, Targets};
pub use tuning::Tune;
