//! For each string its position in a list of keys (the first of equals), or -1.

use std::collections::BTreeMap;

use super::datum::{Attrs, Datum, TensorDatum, input};

pub fn run(_attrs: Attrs<'_>, inputs: &[&Datum]) -> Result<Vec<Datum>, String> {
    let (words, keys) = (input(inputs, 0)?, input(inputs, 1)?);
    let mut place = BTreeMap::new();
    for (position, key) in keys.strings()?.iter().enumerate() {
        place.entry(key.as_str()).or_insert(position as i64);
    }
    let found: Vec<i64> = words.strings()?.iter().map(|w| place.get(w.as_str()).copied().unwrap_or(-1)).collect();
    Ok(vec![Datum::Tensor(TensorDatum::from_i64s(words.tensor()?.shape.clone(), &found))])
}
