//! Tuning: which variant of each kernel runs best on a device, and the lock folder that keeps the answers.
//!
//! - [`lock`]: the answers as data and as text (`tuning.toml`). [`folder`]: the lock on disk, and the linked kernels in it.
//! - [`search`]: from problems with candidates to answers, by timing on a [`search::Device`] within a time bound.
//!
//! Nothing here knows what a kernel is: a problem is a key with candidates, each written out as text with a cost from a
//! model. Same lock, same answers: emission reads the lock and never a clock.

pub mod error;
pub mod folder;
pub mod lock;
pub mod search;
mod statistics;

pub use error::LockError;
pub use folder::Folder;
pub use lock::{DeviceFacts, Entry, Lock, ProblemKey};
pub use statistics::median;
