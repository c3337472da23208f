//! Why a model did not become a crate, or a crate did not run.

use std::path::PathBuf;

use emit::EmitError;
use graph::eval::EvalError;
use onnx::Problems;
use passes::PassError;
use plan::error::PlanError;
use tune::LockError;

/// Anything that stops a command.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The model is wrong or not supported.
    #[error("{0}")]
    Model(#[from] Problems),
    /// An option that does not fit the model.
    #[error("{what}: expected {expected}, found {found}")]
    Option { what: String, expected: String, found: String },
    /// A pass failed; a bug in onnx2crate.
    #[error("passes: {0}")]
    Pass(#[from] PassError),
    /// Planning failed; a bug in onnx2crate.
    #[error("planning: {0}")]
    Plan(#[from] PlanError),
    /// Emission failed.
    #[error("{0}")]
    Emit(#[from] EmitError),
    /// The evaluator refused the model's inputs.
    #[error("evaluator: {0}")]
    Eval(#[from] EvalError),
    /// A program did not load or run.
    #[error("{0}")]
    Run(#[from] runtime_min::error::Error),
    /// The lock cannot be read, written or used.
    #[error("{0}")]
    Lock(#[from] LockError),
    /// A file that cannot be read or written.
    #[error("{path}: {what}")]
    File { path: PathBuf, what: String },
    /// A variable that a build script has.
    #[error("the environment variable {name} is not set; this function is for build scripts")]
    Variable { name: &'static str },
    /// Cargo or the built crate failed.
    #[error("{command} failed:\n{output}")]
    Command { command: String, output: String },
    /// What a built crate wrote cannot be read.
    #[error("the crate's answer cannot be read: {what}")]
    Answer { what: String },
}

impl Error {
    /// A file error.
    pub fn file(path: impl Into<PathBuf>, error: impl std::fmt::Display) -> Error {
        Error::File { path: path.into(), what: error.to_string() }
    }

    /// The exit status of the command line: 2 if what was given is wrong, else 1.
    pub fn exit_status(&self) -> u8 {
        match self {
            Error::Model(_)
            | Error::Option { .. }
            | Error::Lock(_)
            | Error::File { .. }
            | Error::Emit(EmitError::Foreign { .. }) => 2,
            Error::Pass(_)
            | Error::Plan(_)
            | Error::Emit(_)
            | Error::Eval(_)
            | Error::Run(_)
            | Error::Variable { .. }
            | Error::Command { .. }
            | Error::Answer { .. } => 1,
        }
    }
}
