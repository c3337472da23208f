//! A sequence of the operands, in order.

use super::datum::{Attrs, Datum};

pub fn run(_attrs: Attrs<'_>, inputs: &[&Datum]) -> Result<Vec<Datum>, String> {
    Ok(vec![Datum::Seq(inputs.iter().map(|d| (*d).clone()).collect())])
}
