//! What a name of an ONNX graph stands for while it is imported.

use graph::graph::ValueId;

/// A value of the model at import. Sequences of known length and optionals of known presence exist only here: they dissolve
/// into their elements and never reach the graph.
#[derive(Clone, Debug, PartialEq)]
pub enum ImportValue {
    /// A value of the graph: a tensor, or a sequence, optional or map that only the running model knows.
    Value(ValueId),
    /// A sequence of known length.
    Seq(Vec<ImportValue>),
    /// An optional of known presence.
    Opt(Option<Box<ImportValue>>),
}

impl ImportValue {
    /// The graph value, if this is one.
    pub fn as_value(&self) -> Option<ValueId> {
        match self {
            ImportValue::Value(id) => Some(*id),
            ImportValue::Seq(_) | ImportValue::Opt(_) => None,
        }
    }

    /// Calls `visit` for every graph value inside, in order.
    pub fn for_each_value(&self, visit: &mut dyn FnMut(ValueId)) {
        match self {
            ImportValue::Value(id) => visit(*id),
            ImportValue::Seq(items) => items.iter().for_each(|i| i.for_each_value(visit)),
            ImportValue::Opt(Some(inner)) => inner.for_each_value(visit),
            ImportValue::Opt(None) => {}
        }
    }
}

impl From<ValueId> for ImportValue {
    fn from(id: ValueId) -> ImportValue {
        ImportValue::Value(id)
    }
}
