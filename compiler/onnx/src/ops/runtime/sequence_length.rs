//! Number of elements of a sequence.

use super::datum::{Attrs, Datum, TensorDatum, input};

pub fn run(_attrs: Attrs<'_>, inputs: &[&Datum]) -> Result<Vec<Datum>, String> {
    let items = input(inputs, 0)?.sequence()?;
    Ok(vec![Datum::Tensor(TensorDatum::from_i64s(Vec::new(), &[items.len() as i64]))])
}
