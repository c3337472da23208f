//! The hard classes: what makes a model more than a static function of tensors.

use std::collections::BTreeSet;

use graph::datum::Datum;
use graph::dtype::DType;
use graph::graph::{Graph, Model, ValueId};
use graph::node::Op;
use graph::ty::Type;

use crate::case::DataSet;

/// A hard class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// An input's values decide a size.
    InputSizes,
    /// `If`, `Loop`, `Scan` and what is spelled with them.
    Control,
    /// A computed value decides a size.
    DataSizes,
    /// Sequences or optionals.
    Sequences,
    Strings,
    /// Integers and floats of 8 bits and fewer.
    Narrow,
    /// An extent of zero.
    Empty,
}

impl Class {
    /// All classes.
    pub const ALL: [Class; 7] = [
        Class::InputSizes,
        Class::Control,
        Class::DataSizes,
        Class::Sequences,
        Class::Strings,
        Class::Narrow,
        Class::Empty,
    ];

    /// Name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Class::InputSizes => "sizes from inputs",
            Class::Control => "control flow",
            Class::DataSizes => "sizes from data",
            Class::Sequences => "sequences, optionals",
            Class::Strings => "strings",
            Class::Narrow => "8 bits and below",
            Class::Empty => "zero extents",
        }
    }
}

const CONTROL: &[&str] = &["If", "Loop", "Scan", "SequenceMap"];
const SEQUENCE: &[&str] = &[
    "SequenceConstruct",
    "SequenceEmpty",
    "SequenceInsert",
    "SequenceErase",
    "SequenceAt",
    "SequenceLength",
    "SequenceMap",
    "ConcatFromSequence",
    "SplitToSequence",
    "Optional",
    "OptionalGetElement",
    "OptionalHasElement",
];

/// The classes of a model, as it was imported, and its data.
pub fn classes(model: &Model, sets: &[DataSet]) -> BTreeSet<Class> {
    let mut out = BTreeSet::new();
    let named = |names: &[&str]| model.origins.iter().any(|o| names.contains(&o.op_type.as_str()));
    if named(CONTROL) {
        out.insert(Class::Control);
    }
    let borders: Vec<&Type> = model
        .graph
        .inputs
        .iter()
        .chain(&model.graph.outputs)
        .filter_map(|v| model.graph.value(*v))
        .map(|v| &v.ty)
        .collect();
    if named(SEQUENCE) || borders.iter().any(|t| matches!(t, Type::Seq(_) | Type::Opt(_))) {
        out.insert(Class::Sequences);
    }
    if borders.iter().any(|t| dtype(t) == Some(DType::Str)) {
        out.insert(Class::Strings);
    }
    let narrow = |d: DType| d.bits() <= 8 && d != DType::Bool && d != DType::Str;
    if borders.iter().any(|t| dtype(t).is_some_and(narrow)) {
        out.insert(Class::Narrow);
    }
    let empty = |d: &Datum| d.as_tensor().is_some_and(|t| t.is_empty());
    if sets.iter().any(|s| s.inputs.iter().chain(&s.outputs).any(empty)) {
        out.insert(Class::Empty);
    }
    sizes(&model.graph, &mut out);
    out
}

fn dtype(ty: &Type) -> Option<DType> {
    match ty {
        Type::Tensor(t) => Some(t.dtype),
        Type::Ragged { dtype, .. } => Some(*dtype),
        Type::Seq(inner) | Type::Opt(inner) => dtype(inner),
        Type::Map { value, .. } => dtype(value),
    }
}

/// Where the sizes that the graph binds come from.
fn sizes(graph: &Graph, out: &mut BTreeSet<Class>) {
    let definitions = graph.definitions();
    for node in &graph.nodes {
        if !matches!(node.op, Op::Bind) {
            continue;
        }
        let mut data = false;
        let mut input = false;
        let mut stack: Vec<ValueId> = node.operands.clone();
        let mut seen = BTreeSet::new();
        while let Some(value) = stack.pop() {
            if !seen.insert(value) {
                continue;
            }
            input |= graph.inputs.contains(&value);
            if let Some((id, _)) = definitions.get(value.0 as usize).copied().flatten()
                && let Some(node) = graph.node(id)
            {
                let counts = matches!(node.op, Op::Compact(_) | Op::Loop(_) | Op::Scan(_) | Op::If(_));
                data |= counts;
                if !counts {
                    stack.extend(&node.operands);
                }
            }
        }
        if data {
            out.insert(Class::DataSizes);
        } else if input {
            out.insert(Class::InputSizes);
        }
    }
}
