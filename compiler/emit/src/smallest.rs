//! Small sizes that a model accepts: for samples, and for the inputs that a session starts with.

use std::collections::BTreeMap;

use graph::dim::SymId;
use graph::symbol::SymSource;
use plan::plan::Plan;

/// Most values that are tried.
const TRIES: i64 = 64;

/// The smallest number that every input size can be at once with all guards holding; 1 where there is none.
pub fn smallest_sizes<C>(plan: &Plan<C>) -> BTreeMap<SymId, i64> {
    let sizes = |value: i64| -> BTreeMap<SymId, i64> {
        let inputs = plan.symbols.iter().filter(|(_, s)| s.source == SymSource::Input);
        inputs.map(|(id, s)| (id, value.clamp(s.lo, s.hi.unwrap_or(i64::MAX).max(s.lo)))).collect()
    };
    let fits = |sizes: &BTreeMap<SymId, i64>| {
        plan.guards.iter().all(|g| g.pred.eval(&|id| sizes.get(&id).copied()).unwrap_or(true))
    };
    (1..=TRIES).map(sizes).find(fits).unwrap_or_else(|| sizes(1))
}
