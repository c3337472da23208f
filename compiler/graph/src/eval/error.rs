//! What can go wrong while a model runs, and where.

use crate::dtype::DType;
use crate::graph::{NodeId, Origin};
use crate::host::HostError;
use crate::node::{Node, OriginId};
use crate::tensor::TensorError;

/// Why a model cannot be evaluated, and at which node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvalError {
    /// Boxed so that results stay small.
    pub problem: Box<Problem>,
    /// The innermost node concerned; `None` at the model's border.
    pub place: Option<Place>,
}

/// A node, in words a user can find it by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Position in its graph.
    pub node: NodeId,
    /// The node's kind.
    pub op: &'static str,
    /// The ONNX node it stems from.
    pub origin: Option<OriginId>,
    /// Name and type of that ONNX node, once known.
    pub name: Option<String>,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("expected {expected} inputs, found {found}")]
    InputCount { expected: usize, found: usize },
    #[error("input {position} ({name}): expected {expected}, found {found}")]
    Input { position: usize, name: String, expected: String, found: String },
    #[error("size {name} is {first} by one input and {second} by another; give inputs of matching shapes")]
    SizeConflict { name: String, first: i64, second: i64 },
    #[error("size {name} is {found}, outside its range {lo}..={hi}")]
    SizeRange { name: String, found: i64, lo: i64, hi: i64 },
    #[error("the model assumes that {what}, but {pred}; change the input shapes")]
    Guard { what: String, pred: String },
    #[error("the size {dim} is not known here")]
    UnknownSize { dim: String },
    #[error("an extent is {found}, expected 0 or more")]
    NegativeExtent { found: i64 },
    #[error("a tensor of {dtype} and shape {shape:?} does not fit in memory")]
    TooLarge { dtype: DType, shape: Vec<usize> },
    #[error("operand {operand} is read at {index} along dim {dim}, outside its extent {extent}")]
    OutOfRange { operand: usize, dim: usize, index: i64, extent: usize },
    #[error("operand {position}: expected {expected}, found {found}")]
    Operand { position: usize, expected: String, found: String },
    #[error("result {position}: expected {expected}, found {found}")]
    Result { position: usize, expected: String, found: String },
    #[error("iteration {iteration} yields {found} to be stacked, iteration 0 {expected}")]
    Slice { iteration: usize, expected: String, found: String },
    #[error("{what} is not defined on {dtype}")]
    Undefined { what: &'static str, dtype: DType },
    #[error("malformed graph: {what}")]
    Malformed { what: &'static str },
    #[error(transparent)]
    Host(#[from] HostError),
    #[error(transparent)]
    Tensor(#[from] TensorError),
}

impl std::error::Error for EvalError {}

impl std::fmt::Display for EvalError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.place {
            Some(Place { name: Some(name), .. }) => write!(f, "{name}: {}", self.problem),
            Some(Place { node, op, .. }) => write!(f, "node {} ({op}): {}", node.0, self.problem),
            None => write!(f, "{}", self.problem),
        }
    }
}

impl From<Problem> for EvalError {
    fn from(problem: Problem) -> EvalError {
        EvalError { problem: Box::new(problem), place: None }
    }
}

impl From<TensorError> for EvalError {
    fn from(error: TensorError) -> EvalError {
        Problem::Tensor(error).into()
    }
}

impl EvalError {
    /// The same error with its place, unless it has one already.
    pub(super) fn at(mut self, id: NodeId, node: &Node) -> EvalError {
        self.place.get_or_insert_with(|| Place {
            node: id,
            op: node.op.name(),
            origin: node.origins.last().copied(),
            name: None,
        });
        self
    }

    /// The same error with the name of the ONNX node.
    pub(super) fn named(mut self, origins: &[Origin]) -> EvalError {
        if let Some(place) = &mut self.place
            && let Some(origin) = place.origin.and_then(|o| origins.get(o.0 as usize))
        {
            place.name = Some(format!("{} ({})", origin.name, origin.op_type));
        }
        self
    }
}
