//! Region kinds: computations known as a whole. One file each under `region/`, gathered in [`KINDS`].
//!
//! A kind gives the body that says what a region means; kernels claim regions, everything else opens them.

use crate::attrs::Attrs;
use crate::builder::{BuildError, Builder};
use crate::graph::ValueId;

mod list;

pub use list::*;

/// A kind of region. Two are equal if their names are.
pub struct RegionKind {
    /// Canonical name (`contract`, `conv`, `softmax` …), not an ONNX one.
    pub name: &'static str,
    /// Builds the body in the builder's current scope from the operands there; yields the results.
    pub body: fn(&mut Builder, &Attrs, &[ValueId]) -> Result<Vec<ValueId>, BuildError>,
}

impl PartialEq for RegionKind {
    fn eq(&self, other: &RegionKind) -> bool {
        self.name == other.name
    }
}

impl std::fmt::Debug for RegionKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "region:{}", self.name)
    }
}

/// The kind of this name.
pub fn by_name(name: &str) -> Option<&'static RegionKind> {
    KINDS.iter().find(|k| k.name == name).copied()
}

/// Operands of a region, which must be exactly so many.
fn operands<const N: usize>(kind: &'static str, found: &[ValueId]) -> Result<[ValueId; N], BuildError> {
    found.try_into().map_err(|_| BuildError::Operand {
        what: format!("operands of {kind}"),
        expected: N.to_string(),
        found: found.len().to_string(),
    })
}

/// An attribute that must be there.
fn attribute<T>(name: &str, found: Option<T>, expected: &str) -> Result<T, BuildError> {
    found.ok_or_else(|| BuildError::Attr {
        name: name.to_string(),
        expected: expected.to_string(),
        found: "nothing or another type".to_string(),
    })
}
