//! Text tests: a file holds a text form, the commands to run on it, and what must come out.
//!
//! ```text
//! ; test verify
//! ; error: V08 graph/0: value %1, an operand, is not defined before
//!
//! model "m" {
//!   …
//! }
//! ```
//!
//! The lines of the header that begin with `;` are commands (`; test NAME`), expectations (each command has its own form)
//! and notes (anything else). `BLESS=1 cargo test -p filetests` rewrites expectations to what comes out; read the diff.

mod case;
mod claimants;
mod commands;
mod mutate;
mod registry;
mod runner;

pub use case::Case;
pub use claimants::TestCode;
pub use commands::plan::{agree, plan_checked, random_value};
pub use commands::{COMMANDS, Command};
pub use mutate::{Numbers, mutate};
pub use registry::registry;
pub use runner::{files, run};
