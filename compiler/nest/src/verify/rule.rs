//! What a violation is.

/// A rule, by its number in the verifier's documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    Nesting,
    Parameters,
    Extents,
    Access,
    ExprOrder,
    ExprTypes,
    ExprConstants,
    IndexVariables,
    Accumulators,
    Loads,
    Roots,
    Stores,
    Results,
    Scatter,
    Sort,
    Compact,
    Prefix,
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "N{:02}", *self as usize + 1)
    }
}

/// One broken rule, and the part of the kernel that breaks it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{rule} {place}: {message}")]
pub struct Violation {
    pub rule: Rule,
    pub place: String,
    pub message: String,
}
