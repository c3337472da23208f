//! Passes: they bring an imported model into normal form. What it computes stays the same; nothing here decides what shares
//! a kernel, or how anything is laid out.
//!
//! [`PIPELINE`] is the order, [`run_pipeline`] runs it until a whole round changes nothing, then what runs once ([`AFTERWARDS`]),
//! then rounds again. A pass is one file with one
//! `const PASS`; most are a rule that looks at one node and what it reads ([`rewrite`]), so that they work inside bodies too.
//! Bodies of regions are never edited.
//!
//! ```text
//! let report = passes::run_pipeline(&mut model, &Options::default())?;
//! ```

mod affine;
mod algebra;
mod cse;
mod dce;
mod deep_convolutions;
mod error;
mod facts;
mod fold;
mod fold_affine;
mod integer_products;
mod liveness;
mod map;
mod merge_binds;
mod merge_contractions;
mod no_op;
mod pattern;
mod pipeline;
mod pointwise_first;
mod precision;
mod recognise_attention;
mod recognise_norm;
mod recognise_softmax;
mod relabel;
mod rename;
mod rewrite;
mod scale_out;
mod shape_arithmetic;
mod split_taps;
mod transposed;
mod unit_views;
mod views;

pub use error::PassError;
pub use pipeline::{
    AFTERWARDS, Changes, Ctx, Options, PIPELINE, Pass, PassReport, Report, drop_dead, run_pass, run_pipeline,
};
pub use precision::Precision;
pub use shape_arithmetic::shape_arithmetic;
