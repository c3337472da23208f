//! What can be wrong with a lock.

use std::path::PathBuf;

use crate::lock::ProblemKey;

/// A lock that cannot be read, written or used.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("{}: {source}", path.display())]
    File {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{} is not a lock: {why}; remove it and tune again", path.display())]
    Text { path: PathBuf, why: String },
    #[error("{} has format {found}, this tool reads format {expected}; tune again with this tool", path.display())]
    Format { path: PathBuf, found: u32, expected: u32 },
    #[error("the lock has no entry for {problem}; tune again on a GPU (onnx2crate lock), or compile without --locked")]
    Missing { problem: ProblemKey },
    #[error(
        "the lock's entry for {problem} is of revision {found}, the family is at revision {expected}; tune again on a GPU \
         (onnx2crate lock), or compile without --locked"
    )]
    Stale { problem: ProblemKey, found: u32, expected: u32 },
    #[error(
        "the lock's entry for {problem} names the variant `{variant}`, which the family does not offer; tune again on a GPU \
         (onnx2crate lock), or compile without --locked"
    )]
    Unknown { problem: ProblemKey, variant: String },
    #[error("{first}; {more} more entries are missing or stale")]
    Several { first: Box<LockError>, more: usize },
    #[error("the lock has no text: {why}")]
    Unwritable { why: String },
}
