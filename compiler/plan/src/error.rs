//! Why a graph cannot be planned.

use graph::expr::ExprError;

/// A refusal, or a broken promise of an earlier stage.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    #[error("value %{value} has no storage where it is read: the graph is not in order")]
    NoView { value: u32 },
    #[error("groups of nodes depend on each other in a circle")]
    Circle,
    #[error("region {kind} is neither claimed nor opened")]
    Region { kind: &'static str },
    #[error("node {op} is malformed: {what}")]
    Malformed { op: &'static str, what: &'static str },
    #[error("fusing nodes: {0}")]
    Fuse(#[from] ExprError),
}
