//! Runs PTX text without a GPU and reports what a kernel does wrong.
//!
//! PTX text → [`Module`] (parsed, each instruction decoded once) → [`Device::launch`] → results in the device's memory, or a list of
//! [`Fault`]s with line, CTA, thread and address. There is no timing. What the hardware leaves open is decided against the program:
//! asynchronous copies and wgmma happen at the wait that makes their results legal to use, and not before.
//!
//! Each half of `cargo test` on GPU code stands on this crate, so that it shares nothing with the code that prints PTX.
//!
//! ```
//! use ptx_emu::{Device, Launch, Module};
//!
//! let module = Module::parse(
//!     ".version 7.0\n.target sm_80\n.address_size 64
//!     .visible .entry twice(.param .u64 data) {
//!         .reg .b32 %r<3>; .reg .b64 %rd<4>;
//!         ld.param.u64 %rd1, [data];
//!         mov.u32 %r1, %tid.x;
//!         mul.wide.u32 %rd2, %r1, 4;
//!         add.s64 %rd3, %rd1, %rd2;
//!         ld.global.u32 %r2, [%rd3];
//!         shl.b32 %r2, %r2, 1;
//!         st.global.u32 [%rd3], %r2;
//!         ret;
//!     }",
//! )?;
//! let mut device = Device::default();
//! let data = device.alloc_with(&[1, 0, 0, 0, 2, 0, 0, 0]);
//! device.launch(&module, &Launch::new("twice", [1; 3], [2, 1, 1], &data.to_le_bytes())).unwrap();
//! assert_eq!(device.read(data, 8)?, [2, 0, 0, 0, 4, 0, 0, 0]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Rounding: f32 and f64 arithmetic, f16 and bf16 are exact with one rounding. The results of `.approx` instructions are the true value,
//! moved within the documented error by an amount that depends on the bits of the input, so that nothing can rely on more
//! accuracy than there is. Matrix instructions add all products of one instruction exactly as far as f64 can, then round once to nearest;
//! hardware truncates intermediate sums, so that floating-point matrix results differ from it in the last bits.

mod approx;
mod block;
mod decode;
mod device;
mod exec;
mod fault;
mod float;
mod inst;
mod lex;
mod machine;
mod memory;
mod module;
mod parse;
mod probe;
mod race;
mod raw;
mod report;
mod stamps;
mod tensor_map;
mod types;
mod warp;

pub use device::{Device, Launch, Options, Stats};
pub use fault::{Fault, FaultKind, ParseError};
pub use memory::MemoryError;
pub use module::Module;
pub use probe::Probe;
pub use tensor_map::{Element, Im2col, Swizzle, TensorMap};
