//! Running programs on an NVIDIA GPU through its driver: no toolkit, no vendor library.
//!
//! ```text
//! program (tables) ─► verify ─► engine (device, modules, weights) ─► session (memory, sizes, graphs) ─► steps ─► driver
//! ```

pub mod divisor;
pub mod program;
pub mod verify;
