//! The sequence with one more element before a position (at the end if there is none).

use super::datum::{Attrs, Datum, input};

pub fn run(_attrs: Attrs<'_>, inputs: &[&Datum]) -> Result<Vec<Datum>, String> {
    let mut items = input(inputs, 0)?.sequence()?.to_vec();
    let at = match inputs.get(2) {
        Some(position) => place(position.index()?, items.len())?,
        None => items.len(),
    };
    items.insert(at, input(inputs, 1)?.clone());
    Ok(vec![Datum::Seq(items)])
}

fn place(position: i64, len: usize) -> Result<usize, String> {
    let shifted = if position < 0 { position.saturating_add(len as i64) } else { position };
    match usize::try_from(shifted) {
        Ok(at) if at <= len => Ok(at),
        _ => Err(format!("position {position} is outside a sequence of {len}")),
    }
}
