//! Splits each string at a delimiter, or at runs of white space without one; rows are filled up with empty strings. Yields the
//! parts and how many each string has.

use super::datum::{Attrs, Datum, TensorDatum, attr_int, attr_str, input};

pub fn run(attrs: Attrs<'_>, inputs: &[&Datum]) -> Result<Vec<Datum>, String> {
    let words = input(inputs, 0)?;
    let delimiter = attr_str(attrs, "delimiter").unwrap_or("");
    let most = attr_int(attrs, "maxsplit").and_then(|m| usize::try_from(m).ok()).unwrap_or(usize::MAX);
    let rows: Vec<Vec<&str>> = words
        .strings()?
        .iter()
        .map(|word| match delimiter {
            "" => at_space(word, most),
            _ => word.splitn(most.saturating_add(1), delimiter).collect(),
        })
        .collect();
    let width = rows.iter().map(Vec::len).max().unwrap_or(0);
    let counts: Vec<i64> = rows.iter().map(|row| row.len() as i64).collect();
    let mut parts = Vec::with_capacity(rows.len() * width);
    for row in &rows {
        parts.extend(row.iter().map(|part| part.to_string()));
        parts.extend((row.len()..width).map(|_| String::new()));
    }
    let shape = words.tensor()?.shape.clone();
    let mut wide = shape.clone();
    wide.push(width);
    Ok(vec![
        Datum::Tensor(TensorDatum::from_strings(wide, parts)),
        Datum::Tensor(TensorDatum::from_i64s(shape, &counts)),
    ])
}

/// At most `most` splits; what is left keeps its inner and trailing white space.
fn at_space(word: &str, most: usize) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = word.trim_start();
    while !rest.is_empty() {
        if parts.len() == most {
            parts.push(rest);
            break;
        }
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let (part, tail) = rest.split_at(end);
        parts.push(part);
        rest = tail.trim_start();
    }
    parts
}
