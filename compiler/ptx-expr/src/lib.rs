//! Scalar expressions and index maps as sequences of machine operations, and those as PTX.
//!
//! ```text
//! Exprs ─► Emitter ─► Arith ─┬─► Machine: ptx::Builder, an instruction an operation
//!                            └─► Host: runs it (tests, folding of constants)
//! ```
//!
//! [`Emitter`] turns a DAG into values at one point of a domain; leaves come from a [`Leaves`]. [`memory`] loads and stores
//! elements of every dtype. Meaning of every operation: [`graph::expr`]; elementary functions: [`maths`].
//!
//! ```
//! use graph::dtype::DType;
//! use graph::expr::BinOp;
//! use ptx_expr::{Machine, Value, Width, binary};
//! let mut b = ptx::Builder::new("sum");
//! let x = b.mov(ptx::Type::B32, 2.0f32);
//! let mut m = Machine::new(&mut b, ptx::Sm::Sm80);
//! let one = Value::Const(Width::B32, u64::from(1f32.to_bits()));
//! let sum = binary(&mut m, BinOp::Add, DType::F32, Value::Reg(x), one).unwrap();
//! assert!(matches!(sum, Value::Reg(_)));
//! ```

mod arith;
mod cast;
mod emitter;
mod error;
mod float;
mod form;
mod host;
mod index;
mod integer;
mod machine;
pub mod maths;
pub mod memory;
mod narrow;
mod op;
mod quotient;
mod scalar;

pub use arith::Arith;
pub use cast::{Cast, bitcast};
pub use emitter::{Emitter, Fits, Leaves, Load, Options, Whole};
pub use error::Error;
pub use form::Form;
pub use host::{Host, evaluate};
pub use machine::{Machine, Value};
pub use maths::MathsMode;
pub use narrow::{round, within};
pub use op::{Approx, BitOp, Convert, Feature, Float, FloatOp, Int, IntOp, Number, Op, Relation, Width};
pub use scalar::{binary, compare, constant, fma, from_memory, to_memory, unary, whole_as};
