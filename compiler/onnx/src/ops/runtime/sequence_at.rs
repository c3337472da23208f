//! One element of a sequence; a negative position counts from the end.

use super::datum::{Attrs, Datum, input};

pub fn run(_attrs: Attrs<'_>, inputs: &[&Datum]) -> Result<Vec<Datum>, String> {
    let items = input(inputs, 0)?.sequence()?;
    let position = input(inputs, 1)?.index()?;
    let shifted = if position < 0 { position.saturating_add(items.len() as i64) } else { position };
    let found = usize::try_from(shifted).ok().and_then(|at| items.get(at));
    let element = found.ok_or_else(|| format!("position {position} is outside a sequence of {}", items.len()))?;
    Ok(vec![element.clone()])
}
