//! The evaluator.

use crate::datum::Datum;
use crate::dim::SymId;
use crate::graph::{Graph, Model};
use crate::node::Node;

/// Values of symbols while a model runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bindings {
    values: std::collections::BTreeMap<SymId, i64>,
}

impl Bindings {
    /// The value of a symbol.
    pub fn get(&self, id: SymId) -> Option<i64> {
        self.values.get(&id).copied()
    }

    /// Sets the value of a symbol.
    pub fn set(&mut self, id: SymId, value: i64) {
        self.values.insert(id, value);
    }
}

/// Why a model cannot be evaluated.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EvalError {
    #[error("not there yet")]
    Missing,
}

/// Runs a model.
pub fn model(_model: &Model, _inputs: &[Datum]) -> Result<Vec<Datum>, EvalError> {
    Err(EvalError::Missing)
}

/// Runs one node on its operands' values.
pub fn node(
    _graph: &Graph,
    _node: &Node,
    _operands: &[Datum],
    _bindings: &mut Bindings,
) -> Result<Vec<Datum>, EvalError> {
    Err(EvalError::Missing)
}
