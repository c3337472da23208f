//! What a present optional holds.

use super::datum::{Attrs, Datum, input};

pub fn run(_attrs: Attrs<'_>, inputs: &[&Datum]) -> Result<Vec<Datum>, String> {
    match input(inputs, 0)? {
        Datum::Opt(Some(inner)) => Ok(vec![(**inner).clone()]),
        Datum::Opt(None) => Err("the optional is absent".to_string()),
        other => Ok(vec![other.clone()]),
    }
}
