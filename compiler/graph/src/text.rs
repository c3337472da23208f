//! The text form of a model: everything prints, and what is printed parses back to equal data.
//!
//! ```text
//! model "relu" {
//!   symbol batch = 1..=64 input
//!   origin @0 "act" Relu
//!   graph (%0 "x": f32[batch, 4]) -> (%1) {
//!     %1 "y": f32[batch, 4] = compute (%0) @0 {
//!       shape [batch, 4]
//!       e0 = index 0
//!       e1 = index 1
//!       e2 = load 0 [e0, e1]
//!       e3 = const f32 0.0
//!       e4 = max e2, e3
//!       out [e4]
//!     }
//!   }
//! }
//! ```
//!
//! [`lexer`] and [`cursor`] have the tokens, [`dim`], [`expr`], [`scalar`], [`ty`] the parts that the text forms of later stages share.
//! A model that breaks rules prints and parses too: [`crate::verify`] judges. Nesting is bounded by [`crate::MAX_NESTING`].

pub mod attrs;
mod constant;
pub mod cursor;
pub mod datum;
pub mod dim;
mod error;
pub mod expr;
mod graph;
pub mod lexer;
mod model;
pub mod node;
pub mod point;
pub mod scalar;
pub mod tables;
pub mod ty;

use std::collections::BTreeMap;

pub use constant::parse_blob;
pub use error::{ParseError, ParseErrorKind};
pub use model::{blobs, parse, parse_graph, parse_graph_at, print, print_graph, print_graph_at};

use crate::host::HostOp;
use crate::region::RegionKind;
use crate::tensor::{Hash, Tensor};

/// What a text only names.
#[derive(Clone, Copy, Debug)]
pub struct Registry<'a> {
    pub host_ops: &'a [&'static HostOp],
    /// Kinds beside those of [`crate::region::KINDS`].
    pub region_kinds: &'a [&'static RegionKind],
    pub blobs: &'a BTreeMap<Hash, Tensor>,
    /// Whether a blob of an unknown hash becomes zeros of the result's dtype and shape, rather than an error.
    pub placeholders: bool,
}

static NO_BLOBS: BTreeMap<Hash, Tensor> = BTreeMap::new();

impl Default for Registry<'_> {
    /// Knows nothing, forgives nothing.
    fn default() -> Self {
        Registry { host_ops: &[], region_kinds: &[], blobs: &NO_BLOBS, placeholders: false }
    }
}
