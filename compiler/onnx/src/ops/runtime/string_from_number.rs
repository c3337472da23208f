//! Numbers as text: integers in decimal; floats in the shortest form that reads back the same, with exponent where very large
//! or small; `NaN`, `INF`, `-INF`; bool as `True`, `False`.

use super::datum::{Attrs, DType, Datum, TensorDatum, input};

pub fn run(_attrs: Attrs<'_>, inputs: &[&Datum]) -> Result<Vec<Datum>, String> {
    let numbers = input(inputs, 0)?.tensor()?;
    let words = (0..numbers.len()).map(|i| word(numbers, i)).collect::<Result<Vec<_>, _>>()?;
    Ok(vec![Datum::Tensor(TensorDatum::from_strings(numbers.shape.clone(), words))])
}

fn word(numbers: &TensorDatum, i: usize) -> Result<String, String> {
    match numbers.dtype {
        DType::F32 => {
            let v = f32::from_bits(numbers.bits(i) as u32);
            Ok(special(f64::from(v)).unwrap_or_else(|| format!("{v:?}")))
        }
        DType::F64 => {
            let v = f64::from_bits(numbers.bits(i));
            Ok(special(v).unwrap_or_else(|| format!("{v:?}")))
        }
        DType::Bool => Ok(if numbers.bits(i) != 0 { "True" } else { "False" }.to_string()),
        DType::U64 => Ok(numbers.bits(i).to_string()),
        other => numbers.integer(i).map(|v| v.to_string()).ok_or_else(|| format!("no text form of {other:?}")),
    }
}

fn special(v: f64) -> Option<String> {
    if v.is_nan() {
        return Some("NaN".to_string());
    }
    if v.is_infinite() {
        return Some(if v > 0.0 { "INF" } else { "-INF" }.to_string());
    }
    None
}
