//! The interface between the importer and an operator's file.
//!
//! A file under `ops/` declares one `pub const OPERATOR: Operator`. The importer checks arity and attribute types against
//! it, then calls `build`, which adds primitives and regions to the graph through [`Ctx::b`] and returns the outputs.

mod ctx;

pub use ctx::{AttrValue, Body, Ctx, Importer, OpenBody, Signature};

use graph::builder::BuildError;

use crate::value::ImportValue;

/// What an operator is.
pub struct Operator {
    /// ONNX name.
    pub name: &'static str,
    /// ONNX domain; empty for `ai.onnx`.
    pub domain: &'static str,
    /// Opset versions in which the operator changed, oldest first; a model's opset must be at least the first.
    pub versions: &'static [i64],
    pub inputs: Arity,
    pub outputs: Arity,
    /// Every attribute of every version.
    pub attrs: &'static [AttrSpec],
    /// Adds the operator to the graph; one value per output that the node names (more are ignored).
    pub build: fn(&mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError>,
}

/// Bounds on a number of inputs or outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arity {
    pub min: usize,
    pub max: usize,
}

/// Exactly so many.
pub const fn exactly(n: usize) -> Arity {
    Arity { min: n, max: n }
}

/// From so many to so many.
pub const fn between(min: usize, max: usize) -> Arity {
    Arity { min, max }
}

/// So many or more.
pub const fn at_least(min: usize) -> Arity {
    Arity { min, max: usize::MAX }
}

/// Name and type of an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttrSpec {
    pub name: &'static str,
    pub kind: AttrKind,
    pub required: bool,
}

/// ONNX attribute types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttrKind {
    Int,
    Ints,
    Float,
    Floats,
    String,
    Strings,
    Tensor,
    SparseTensor,
    Graph,
    Type,
}

/// An attribute that may be left out.
pub const fn attr(name: &'static str, kind: AttrKind) -> AttrSpec {
    AttrSpec { name, kind, required: false }
}

/// An attribute that must be there.
pub const fn required(name: &'static str, kind: AttrKind) -> AttrSpec {
    AttrSpec { name, kind, required: true }
}
