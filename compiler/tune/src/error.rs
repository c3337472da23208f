//! What can be wrong with a lock.

use std::path::PathBuf;

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
    #[error("the lock has no entry for {family} with {key}; tune again, or compile without --locked")]
    Missing { family: String, key: String },
    #[error(
        "the lock's entry for {family} with {key} is of revision {found}, the family is at revision {expected}; tune again, or compile without --locked"
    )]
    Stale { family: String, key: String, found: u32, expected: u32 },
    #[error(
        "the lock's entry for {family} with {key} names the variant `{variant}`, which the family does not offer; tune again"
    )]
    Unknown { family: String, key: String, variant: String },
    #[error(
        "the lock has no linked kernel for {target} and PTX {hash}; tune again on that device, or compile without --locked"
    )]
    NoCubin { target: String, hash: String },
    #[error("the lock has no text: {why}")]
    Unwritable { why: String },
    #[error("the linked kernel {} differs from what the driver links now", path.display())]
    Differs { path: PathBuf },
}
