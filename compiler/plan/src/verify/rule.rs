//! What a violation is.

use graph::verify::Place;

/// A rule, by its number in the verifier's documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    Nesting,
    SymbolTable,
    Origins,
    States,
    Codes,
    Weights,
    Places,
    Arena,
    Lifetimes,
    Named,
    Views,
    Addresses,
    LaunchCounts,
    Ports,
    Overwrites,
    Meaning,
    Copies,
    Host,
    Scalars,
    Loops,
    SymbolsKnown,
    DefinedOnce,
    WrittenBefore,
    Outputs,
    Guards,
    After,
    Hazards,
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "P{:02}", *self as usize + 1)
    }
}

/// One broken rule; `body/5/then/2` is step 2 of the first block of step 5.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{rule} {place}: {message}")]
pub struct Violation {
    pub rule: Rule,
    pub place: Place,
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_have_their_numbers() {
        assert_eq!((Rule::Nesting.to_string(), Rule::Hazards.to_string()), ("P01".to_string(), "P27".to_string()));
    }
}
