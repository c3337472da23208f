//! The sequence without one element (the last if no position is given).

use super::datum::{Attrs, Datum, input};

pub fn run(_attrs: Attrs<'_>, inputs: &[&Datum]) -> Result<Vec<Datum>, String> {
    let mut items = input(inputs, 0)?.sequence()?.to_vec();
    let position = match inputs.get(1) {
        Some(position) => position.index()?,
        None => -1,
    };
    let len = items.len();
    let shifted = if position < 0 { position.saturating_add(len as i64) } else { position };
    match usize::try_from(shifted) {
        Ok(at) if at < len => {
            items.remove(at);
            Ok(vec![Datum::Seq(items)])
        }
        _ => Err(format!("position {position} is outside a sequence of {len}")),
    }
}
