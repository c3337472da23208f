//! What can be wrong with what a builder is asked for.

use crate::dtype::DType;
use crate::expr::ExprError;
use crate::host::HostError;
use crate::tensor::TensorError;

/// A refusal of the builder. The caller adds the place (file, node, operator).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    #[error("value %{value} does not exist in this graph")]
    NoValue { value: u32 },
    #[error("expected a tensor, found {found}")]
    NotATensor { found: String },
    #[error("{what}: expected {expected}, found {found}")]
    Operand { what: String, expected: String, found: String },
    #[error("expected {expected} results, found {found}")]
    Results { expected: usize, found: usize },
    #[error("dtype {found} is not supported for {what}; supported: {expected}")]
    DType { what: String, expected: String, found: DType },
    #[error("rank {found} of {what}, expected {expected}")]
    Rank { what: String, expected: String, found: usize },
    #[error("axis {found} is outside -{rank}..{rank}")]
    Axis { found: i64, rank: usize },
    #[error("attribute {name}: expected {expected}, found {found}")]
    Attr { name: String, expected: String, found: String },
    #[error("{what}: {left} and {right} do not fit")]
    Shapes { what: String, left: String, right: String },
    #[error("{what} cannot hold: {pred}")]
    Refuted { what: String, pred: String },
    #[error("negative extent {found}")]
    NegativeDim { found: i64 },
    #[error("{what} {found} exceeds the limit of {limit}")]
    Limit { what: &'static str, found: String, limit: String },
    #[error("{what} is not supported; the closest supported form is {closest}")]
    Unsupported { what: String, closest: String },
    #[error(transparent)]
    Expr(#[from] ExprError),
    #[error(transparent)]
    Host(#[from] HostError),
    #[error(transparent)]
    Tensor(#[from] TensorError),
}
