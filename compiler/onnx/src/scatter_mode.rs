//! The `reduction` attribute of the scatter operators as a mode of the scatter node.

use graph::builder::BuildError;
use graph::node::{Combiner, ScatterMode};

use crate::operator::Ctx;

/// What happens where updates meet.
pub fn scatter_mode(ctx: &Ctx<'_>) -> Result<ScatterMode, BuildError> {
    let combiner = match ctx.string("reduction").unwrap_or("none") {
        "none" => return Ok(ScatterMode::Last),
        "add" => Combiner::Sum,
        "mul" => Combiner::Prod,
        "max" => Combiner::Max,
        "min" => Combiner::Min,
        other => {
            return Err(BuildError::Attr {
                name: "reduction".into(),
                expected: "none, add, mul, max or min".into(),
                found: other.to_string(),
            });
        }
    };
    Ok(ScatterMode::Combine(combiner))
}
