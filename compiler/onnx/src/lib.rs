//! The ONNX front end: a file becomes a verified graph, or a list of everything that is wrong with it.
//!
//! [`load`] decodes, [`check`] looks at everything that needs no operator code, [`import`] builds the graph. Tensors stay
//! slices of the mapped file ([`tensor`], [`external`]). [`operator`] is the interface that the files under `ops/`
//! implement, one an operator; [`hosted`] runs the host operators' runtime files, [`late`] makes run-time values of
//! static sequences and optionals. What a caller gets is [`import_file`], [`inspect`] and [`read_tensor_file`].

mod attrs;
mod casting;
mod check;
mod data_file;
mod external;
mod functions;
pub mod hosted;
mod import;
mod indexing;
mod info;
mod inner;
mod interpolation;
pub mod late;
mod load;
mod looping;
mod loss;
mod mapped;
mod names;
pub mod operator;
mod ops;
#[cfg(test)]
#[allow(dead_code, reason = "each operator's tests use a part of it")]
mod ops_testing;
mod options;
mod packed_heads;
mod pointwise;
pub mod problem;
mod quantization;
mod quantized_products;
#[rustfmt::skip]
#[allow(clippy::large_enum_variant, reason = "generated")]
pub mod proto;
mod random;
mod recurrent;
mod reduction;
mod sampling;
mod scatter_mode;
mod sizes;
mod sliding;
mod spectrum;
mod tensor;
mod training;
mod types;
pub mod value;

pub use data_file::read_tensor_file;
pub use import::{Imported, import_bytes, import_file};
pub use info::{Border, Count, Info, inspect};
pub use ops::{HOST_OPS, OPERATORS};
pub use options::{DimRange, DimRangeError, Options};
pub use problem::{Problem, Problems};
