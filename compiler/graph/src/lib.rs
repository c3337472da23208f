//! The graph IR: what a model computes, with symbolic shapes, and nothing of how.
//!
//! - [`dim`], [`symbol`]: sizes, their simplification and proof.
//! - [`dtype`], [`scalar`], [`tensor`], [`narrow`]: element types and constants.
//! - [`expr`]: the scalar language. [`node`], [`graph`]: the closed set of nodes and the arenas they live in.
//! - [`region`]: named computations. [`host`]: work for the host.
//! - [`builder`]: the network definition API. [`verify`]: the rules. [`eval`]: the meaning. [`text`]: print and parse.

pub mod attrs;
pub mod builder;
pub mod datum;
pub mod dim;
pub mod dtype;
pub mod eval;
pub mod expr;
pub mod graph;
pub mod host;
pub mod narrow;
pub mod node;
pub mod region;
pub mod scalar;
pub mod symbol;
pub mod tensor;
pub mod text;
pub mod ty;
pub mod verify;

/// How deep sizes, conditions, types and bodies may nest. Parsers and the verifier refuse more, so that what they let pass
/// can be walked by recursion.
pub const MAX_NESTING: usize = 128;
