//! What a violation is.

/// A rule, by its number in the verifier's documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    Nesting,
    SymbolTable,
    Origins,
    States,
    InputNames,
    ValuesExist,
    DefinedOnce,
    DefinedBefore,
    SymbolsKnown,
    InputSymbols,
    Binds,
    Types,
    Contents,
    ExprOrder,
    ExprTypes,
    ExprConstants,
    IndexVariables,
    Accumulators,
    Loads,
    Roots,
    Compute,
    Const,
    Scatter,
    Sort,
    Compact,
    Prefix,
    Scan,
    If,
    Loop,
    Bind,
    Host,
    Region,
}

impl Rule {
    /// All rules, in order of their numbers.
    pub const ALL: [Rule; 32] = [
        Rule::Nesting,
        Rule::SymbolTable,
        Rule::Origins,
        Rule::States,
        Rule::InputNames,
        Rule::ValuesExist,
        Rule::DefinedOnce,
        Rule::DefinedBefore,
        Rule::SymbolsKnown,
        Rule::InputSymbols,
        Rule::Binds,
        Rule::Types,
        Rule::Contents,
        Rule::ExprOrder,
        Rule::ExprTypes,
        Rule::ExprConstants,
        Rule::IndexVariables,
        Rule::Accumulators,
        Rule::Loads,
        Rule::Roots,
        Rule::Compute,
        Rule::Const,
        Rule::Scatter,
        Rule::Sort,
        Rule::Compact,
        Rule::Prefix,
        Rule::Scan,
        Rule::If,
        Rule::Loop,
        Rule::Bind,
        Rule::Host,
        Rule::Region,
    ];
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "V{:02}", *self as usize + 1)
    }
}

/// Where in a model: `graph/5/body/2` is node 2 of the body of node 5.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub path: String,
    /// Name of the first ONNX node that the IR node stems from.
    pub origin: Option<String>,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.origin {
            Some(origin) => write!(f, "{} ({origin})", self.path),
            None => write!(f, "{}", self.path),
        }
    }
}

/// One broken rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{rule} {place}: {message}")]
pub struct Violation {
    pub rule: Rule,
    pub place: Place,
    /// What stands there, as text on one line.
    pub context: String,
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_in_order_of_their_numbers() {
        Rule::ALL.iter().enumerate().for_each(|(i, rule)| assert_eq!(*rule as usize, i));
        assert_eq!((Rule::Nesting.to_string(), Rule::Region.to_string()), ("V01".to_string(), "V32".to_string()));
    }
}
