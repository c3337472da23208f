//! PTX as data: instructions of a table of opcode forms, over typed virtual registers.
//!
//! [`Builder`] → [`Entry`] → [`legalize`] → [`clean`] → [`verify`] → [`print`]. The crate knows nothing about tensors.
//!
//! Invariants: the table ([`Op`]) is the only place that knows an opcode; `print.rs` is the only place that spells PTX; equal data
//! give equal text, and the text parses back to equal data.
//!
//! ```text
//! .version 7.0
//! .target sm_80
//! .address_size 64
//!
//! .visible .entry twice(
//!     .param .b64 p0 // data
//! )
//! {
//!     .reg .b32 %r<2>;
//!     .reg .b64 %d<1>;
//!
//!     ld.param.u64 %d0, [p0];
//!     ld.global.f32 %r0, [%d0];
//!     add.rn.f32 %r1, %r0, %r0;
//!     st.global.f32 [%d0], %r1;
//!     ret;
//! }
//! ```

mod builder;
mod clean;
mod flow;
mod form;
mod inst;
mod legalize;
mod module;
mod parse;
mod print;
mod table;
mod target;
mod token;
mod verify;

pub use builder::{Builder, FULL_MASK};
pub use clean::clean;
pub use form::{Access, Effect, Form, Many, Modifiers, Role, Row, SpaceOf, Spec, TypeOf};
pub use inst::{Address, Base, Guard, Inst, Label, Operand, Param, Reg, Special, Stmt, Variable, Varies};
pub use legalize::legalize;
pub use module::{Entry, Module, ParamInfo, ParamRole, VariableInfo};
pub use parse::{ParseError, parse};
pub use print::{print, print_inst};
pub use table::Op;
pub use target::{Arch, Sm, Version};
pub use token::*;
pub use verify::{Place, Problem, verify};
