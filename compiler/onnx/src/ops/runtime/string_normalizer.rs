//! Drops the strings of a row that are stop words, then changes case. A row without strings left becomes one empty string.

use std::collections::BTreeSet;

use super::datum::{Attrs, Datum, TensorDatum, attr_bool, attr_str, attr_strs, input};

pub fn run(attrs: Attrs<'_>, inputs: &[&Datum]) -> Result<Vec<Datum>, String> {
    let words = input(inputs, 0)?;
    let mut shape = words.tensor()?.shape.clone();
    let sensitive = attr_bool(attrs, "case_sensitive");
    let compared = |word: &str| if sensitive { word.to_string() } else { word.to_lowercase() };
    let stopped: BTreeSet<String> = attr_strs(attrs, "stopwords").iter().map(|w| compared(w)).collect();
    let action = attr_str(attrs, "case").unwrap_or("NONE");
    let mut kept: Vec<String> = words
        .strings()?
        .iter()
        .filter(|word| !stopped.contains(&compared(word)))
        .map(|word| match action {
            "LOWER" => word.to_lowercase(),
            "UPPER" => word.to_uppercase(),
            _ => word.clone(),
        })
        .collect();
    if kept.is_empty() {
        kept.push(String::new());
    }
    match shape.last_mut() {
        Some(last) => *last = kept.len(),
        None => return Err("a scalar has no words".to_string()),
    }
    Ok(vec![Datum::Tensor(TensorDatum::from_strings(shape, kept))])
}
