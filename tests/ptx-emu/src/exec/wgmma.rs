//! later
#[derive(Debug, Default)]
pub(crate) struct State;
