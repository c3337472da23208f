//! The operand as a present optional.

use super::datum::{Attrs, Datum, input};

pub fn run(_attrs: Attrs<'_>, inputs: &[&Datum]) -> Result<Vec<Datum>, String> {
    Ok(vec![Datum::Opt(Some(Box::new(input(inputs, 0)?.clone())))])
}
