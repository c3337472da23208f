//! Strings by number: operand 0 numbers the strings of all further operands; out of range stands for the empty string.

use super::datum::{Attrs, Datum, TensorDatum, input};

pub fn run(_attrs: Attrs<'_>, inputs: &[&Datum]) -> Result<Vec<Datum>, String> {
    let numbers = input(inputs, 0)?.tensor()?;
    let mut strings: Vec<&String> = Vec::new();
    for operand in inputs.iter().skip(1) {
        strings.extend(operand.strings()?);
    }
    let picked = (0..numbers.len())
        .map(|i| {
            let number = numbers.integer(i).and_then(|n| usize::try_from(n).ok());
            number.and_then(|n| strings.get(n)).map_or_else(String::new, |s| s.to_string())
        })
        .collect();
    Ok(vec![Datum::Tensor(TensorDatum::from_strings(numbers.shape.clone(), picked))])
}
