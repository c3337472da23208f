//! Running programs on an NVIDIA GPU through its driver: no toolkit, no vendor library.
//!
//! ```text
//! program (tables) ─► verify ─► engine (device, modules, weights) ─► session (memory, sizes, graphs) ─► steps ─► driver
//! ```

pub mod calls;
#[cfg(feature = "cuda")]
pub mod cudarc_table;
pub mod divisor;
pub mod driver;
pub mod image;
pub mod kernel_calls;
pub mod owned;
pub mod params;
pub mod pinned;
pub mod program;
pub mod verify;
