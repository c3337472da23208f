//! Why code cannot be printed.

use graph::dtype::DType;

/// A kernel that this back end has no Rust for, or a broken promise of the planner.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrintError {
    #[error("{what} on {dtype} has no Rust form")]
    DType { what: &'static str, dtype: DType },
    #[error("the kernel is malformed: {0}")]
    Malformed(&'static str),
    #[error("{0} is not printed by this back end")]
    Unsupported(&'static str),
}
