//! Why a text is not the printed form of anything.

use crate::expr::ExprError;
use crate::tensor::TensorError;

/// A refusal of a parser, with the place in the text (both counted from 1, columns in characters).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {kind}")]
pub struct ParseError {
    pub line: u32,
    pub column: u32,
    pub kind: ParseErrorKind,
}

/// What is wrong there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseErrorKind {
    #[error("expected {expected}, found {found}")]
    Expected { expected: String, found: String },
    #[error("character {found:?} begins no token")]
    Character { found: char },
    #[error("a string that does not end on its line; close it with a double quote")]
    OpenString,
    #[error("escape \\{found} is not one of \\\" \\\\ \\n \\r \\t \\u{{…}}")]
    Escape { found: String },
    #[error("unknown {what} `{name}`; {next_step}")]
    Unknown { what: &'static str, name: String, next_step: &'static str },
    #[error("{what} {found} is out of range; expected {expected}")]
    Range { what: &'static str, found: String, expected: String },
    #[error("expected {what} {expected} here, found {found}; they are numbered in order")]
    Order { what: &'static str, expected: usize, found: u32 },
    #[error("{what} `{name}` is defined twice; remove one definition")]
    Duplicate { what: &'static str, name: String },
    #[error("value %{missing} has no type, but %{last} has; number the values of a graph without gaps")]
    Gap { missing: u32, last: u32 },
    #[error("nested more than {limit} deep")]
    Depth { limit: usize },
    #[error(transparent)]
    Tensor(#[from] TensorError),
    #[error("{0}; write the dtype (`e0: f32 = …`) to keep an expression that has no type")]
    Expr(#[from] ExprError),
}
