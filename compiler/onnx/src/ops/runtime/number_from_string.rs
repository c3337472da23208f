//! Text as numbers of a wide dtype (`f32`, `f64`, `i64`, `u64`): decimal, with exponent for floats, `inf` and `nan` in any case.

use super::datum::{Attrs, DType, Datum, TensorDatum, attr_dtype, input};

pub fn run(attrs: Attrs<'_>, inputs: &[&Datum]) -> Result<Vec<Datum>, String> {
    let words = input(inputs, 0)?;
    let dtype = attr_dtype(attrs, "to").ok_or("no dtype to read")?;
    let mut data = Vec::new();
    for word in words.strings()? {
        let text = word.trim();
        let bad = |_| format!("{word:?} is not a number of {dtype:?}");
        match dtype {
            DType::F32 => data.extend(text.parse::<f32>().map_err(|e| bad(e.to_string()))?.to_le_bytes()),
            DType::F64 => data.extend(text.parse::<f64>().map_err(|e| bad(e.to_string()))?.to_le_bytes()),
            DType::I64 => data.extend(text.parse::<i64>().map_err(|e| bad(e.to_string()))?.to_le_bytes()),
            DType::U64 => data.extend(text.parse::<u64>().map_err(|e| bad(e.to_string()))?.to_le_bytes()),
            other => return Err(format!("text is not read as {other:?}")),
        }
    }
    let shape = words.tensor()?.shape.clone();
    Ok(vec![Datum::Tensor(TensorDatum { dtype, shape, data, strings: Vec::new() })])
}
