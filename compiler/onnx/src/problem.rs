//! What can be wrong with a model, and where.
//!
//! The parts of the front end return a [`Fault`]; the importer adds the place and gathers [`Problem`]s, so that all of a
//! model's problems are shown at once. Plain text form:
//!
//! ```text
//! error[O2C0306]: Relu "act" (opset 13): attribute `alpha`: expected a float, found a string
//! ```

mod code;
mod display;

pub use code::{Code, Property, TABLE};

use std::collections::BTreeSet;

use graph::builder::BuildError;
use graph::expr::ExprError;

/// Something wrong, without the place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub code: Code,
    /// What it is about: an attribute, an initializer, a file …; may be empty.
    pub what: String,
    pub expected: String,
    pub found: String,
    /// A next step, where there is one beyond the code's own.
    pub help: Option<String>,
}

impl Fault {
    /// A fault that says what was expected and what is there.
    pub fn new(code: Code, expected: impl Into<String>, found: impl Into<String>) -> Fault {
        Fault { code, what: String::new(), expected: expected.into(), found: found.into(), help: None }
    }

    /// With the thing it is about, put before what is there already.
    pub fn about(mut self, what: impl Into<String>) -> Fault {
        let what = what.into();
        self.what = if self.what.is_empty() { what } else { format!("{what}: {}", self.what) };
        self
    }

    /// With a next step.
    pub fn help(mut self, help: impl Into<String>) -> Fault {
        self.help = Some(help.into());
        self
    }
}

/// The node that a problem is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodePlace {
    /// Name in the file with the functions and bodies around it; `OpType_index` if it has none.
    pub name: String,
    pub operator: String,
    /// Empty for `ai.onnx`.
    pub domain: String,
    /// Version of the domain that the model imports, where it does.
    pub opset: Option<i64>,
}

/// Something wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The model's file as it was named by the caller.
    pub file: Option<String>,
    pub node: Option<NodePlace>,
    pub fault: Fault,
}

/// Everything that is wrong with a model; never empty when returned as an error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// Adds one.
    pub fn push(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    /// Keeps the first of equal ones: a body may be imported more than once.
    pub fn deduplicate(&mut self) {
        let mut seen = BTreeSet::new();
        self.0.retain(|p| seen.insert(p.to_string()));
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All in order of discovery.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Problems {
        Problems(vec![problem])
    }
}

impl std::error::Error for Problems {}

/// What an operator or the builder refuses, as a fault of the node.
impl From<BuildError> for Fault {
    fn from(error: BuildError) -> Fault {
        match error {
            BuildError::Operand { what, expected, found } => Fault::new(Code::Operand, expected, found).about(what),
            BuildError::NotATensor { found } => Fault::new(Code::Operand, "a tensor", found),
            BuildError::DType { what, expected, found } => {
                Fault::new(Code::OperandDType, expected, found.name()).about(what)
            }
            BuildError::Rank { what, expected, found } => {
                Fault::new(Code::Operand, format!("rank {expected}"), format!("rank {found}")).about(what)
            }
            BuildError::Axis { found, rank } => {
                Fault::new(Code::Operand, format!("an axis in -{rank}..{rank}"), found.to_string())
            }
            BuildError::Attr { name, expected, found } => {
                Fault::new(Code::AttrValue, expected, found).about(format!("attribute `{name}`"))
            }
            BuildError::Shapes { what, left, right } => {
                Fault::new(Code::Shapes, "shapes that fit", format!("{left} and {right}")).about(what)
            }
            BuildError::Refuted { what, pred } => {
                Fault::new(Code::Shapes, "sizes that can be equal", format!("{pred}, which cannot hold")).about(what)
            }
            BuildError::NegativeDim { found } => Fault::new(Code::Shapes, "an extent of 0 or more", found.to_string()),
            BuildError::Limit { what, found, limit } => {
                Fault::new(Code::Limit, format!("at most {limit}"), found).about(what)
            }
            BuildError::Unsupported { what, closest } => Fault::new(Code::Unsupported, closest, what),
            BuildError::Expr(ExprError::Class { op, dtype }) => {
                Fault::new(Code::OperandDType, format!("a dtype on which {op} is defined"), dtype.name())
            }
            BuildError::Expr(ExprError::Mixed { op, left, right }) => {
                Fault::new(Code::OperandDType, format!("values of one dtype for {op}"), format!("{left} and {right}"))
            }
            error @ (BuildError::NoValue { .. }
            | BuildError::Results { .. }
            | BuildError::Expr(_)
            | BuildError::Host(_)
            | BuildError::Tensor(_)) => Fault::new(Code::Build, "a well-formed node", error.to_string()),
        }
    }
}
