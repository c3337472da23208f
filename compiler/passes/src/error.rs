//! Why the passes stop. All of these are bugs in a pass, or a model that was not verified.

use graph::builder::BuildError;
use graph::verify::Violation;

/// What went wrong in which pass. The model is not usable afterwards.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PassError {
    #[error("pass {pass} leaves a model that breaks {count} rules, first {first}; report this with the model", count = violations.len())]
    Broken { pass: &'static str, first: Box<Violation>, violations: Vec<Violation> },
    #[error("pass {pass} builds what the builder refuses: {error}; report this with the model")]
    Build { pass: &'static str, error: BuildError },
    #[error("pass {pass} still finds something after {iterations} sweeps; report this with the model")]
    Endless { pass: &'static str, iterations: usize },
    #[error("the pipeline still finds something after {rounds} rounds; report this with the model")]
    Unsettled { rounds: usize },
    #[error("there is no pass {found}; there are {known}")]
    UnknownPass { found: String, known: String },
}
