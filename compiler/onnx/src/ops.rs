//! The operators, one file each; `list.rs` gathers them.

pub(crate) mod list;

pub use list::{HOST_OPS, OPERATORS};

use crate::operator::Operator;

/// The operator of this domain and name.
pub fn find(domain: &str, name: &str) -> Option<&'static Operator> {
    let domain = if domain == "ai.onnx" { "" } else { domain };
    OPERATORS.iter().find(|o| o.domain == domain && o.name == name).copied()
}
