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
pub mod driver_functions;
pub mod engine;
pub mod enqueue;
pub mod fitting;
pub mod graphs;
pub mod host_steps;
pub mod image;
pub mod infer;
pub mod issue;
pub mod kernel_calls;
pub mod link;
pub mod memory;
pub mod modules;
pub mod options;
pub mod owned;
pub mod params;
pub mod pinned;
pub mod program;
pub mod regions;
#[cfg(any(test, feature = "tool"))]
pub mod rotate;
pub mod segments;
pub mod session;
pub mod shape;
pub mod steps;
#[cfg(any(test, feature = "tool"))]
pub mod stopwatch;
pub mod tensor_map;
pub mod timeline;
pub mod verify;
