//! Host operators: work on strings, sequences, optionals and maps. Each is one const in the file of its ONNX operator.

use crate::attrs::Attrs;
use crate::datum::Datum;
use crate::dim::SymId;
use crate::symbol::Symbols;
use crate::ty::Type;

/// What a host operator is. Two are equal if their names are.
pub struct HostOp {
    /// Name in text and in the emitted crate: snake case, unique.
    pub name: &'static str,
    /// Types of the results, and the symbols that their extents bring into being.
    pub infer: fn(&Attrs, &[Type], &mut Symbols) -> Result<(Vec<Type>, Vec<SymId>), HostError>,
    /// The meaning.
    pub eval: fn(&Attrs, &[Datum]) -> Result<Vec<Datum>, HostError>,
    /// Rust source of the module that an emitted crate gets: `pub fn run(attrs: &[(&str, Attr)], inputs: &[&Datum]) ->
    /// Result<Vec<Datum>, String>` over the runtime's `Datum` and `Attr`.
    pub runtime: &'static str,
}

/// Why a host operator cannot be typed or run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    #[error("operand {position}: expected {expected}, found {found}")]
    Operand { position: usize, expected: &'static str, found: String },
    #[error("attribute {name}: expected {expected}")]
    Attr { name: &'static str, expected: &'static str },
    #[error("value: {what}")]
    Value { what: String },
}

impl PartialEq for HostOp {
    fn eq(&self, other: &HostOp) -> bool {
        self.name == other.name
    }
}

impl std::fmt::Debug for HostOp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "host:{}", self.name)
    }
}
