//! Compares the strings of two tensors of one shape, element by element.

use super::datum::{Attrs, Datum, TensorDatum, input};

pub fn run(_attrs: Attrs<'_>, inputs: &[&Datum]) -> Result<Vec<Datum>, String> {
    let (a, b) = (input(inputs, 0)?, input(inputs, 1)?);
    let equal: Vec<bool> = a.strings()?.iter().zip(b.strings()?).map(|(a, b)| a == b).collect();
    Ok(vec![Datum::Tensor(TensorDatum::from_bools(a.tensor()?.shape.clone(), &equal))])
}
