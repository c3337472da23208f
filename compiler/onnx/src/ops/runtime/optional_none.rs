//! An absent optional.

use super::datum::{Attrs, Datum};

pub fn run(_attrs: Attrs<'_>, _inputs: &[&Datum]) -> Result<Vec<Datum>, String> {
    Ok(vec![Datum::Opt(None)])
}
