//! A tensor in parts along an axis: of one size (the last may be smaller), or of given sizes.

use super::datum::{Attrs, Datum, TensorDatum, attr_bool, attr_int, input};

pub fn run(attrs: Attrs<'_>, inputs: &[&Datum]) -> Result<Vec<Datum>, String> {
    let tensor = input(inputs, 0)?.tensor()?;
    let axis = usize::try_from(attr_int(attrs, "axis").unwrap_or(0)).map_err(|_| "a negative axis")?;
    let extent = *tensor.shape.get(axis).ok_or("an axis beyond the rank")?;
    let sizes = sizes(input(inputs, 1)?.tensor()?, extent)?;
    let outer: usize = tensor.shape[..axis].iter().product();
    let inner: usize = tensor.shape[axis + 1..].iter().product();
    let mut parts = Vec::with_capacity(sizes.len());
    let mut start = 0;
    for size in sizes {
        let mut part = TensorDatum::empty(tensor.dtype);
        for row in 0..outer {
            let from = (row * extent + start) * inner;
            part.append(tensor, from..from + size * inner);
        }
        let mut shape = tensor.shape.clone();
        shape[axis] = size;
        if attr_bool(attrs, "squeeze") {
            shape.remove(axis);
        }
        parts.push(Datum::Tensor(part.with_shape(shape)));
        start += size;
    }
    Ok(vec![Datum::Seq(parts)])
}

fn sizes(split: &TensorDatum, extent: usize) -> Result<Vec<usize>, String> {
    let given = split.integers().ok_or("split is not an integer tensor")?;
    let given: Vec<usize> = given.into_iter().filter_map(|v| usize::try_from(v).ok()).collect();
    if split.shape.is_empty() {
        return match given[..] {
            [size] if size > 0 => Ok((0..extent.div_ceil(size)).map(|k| size.min(extent - k * size)).collect()),
            _ => Err("split must be positive".to_string()),
        };
    }
    if given.len() == split.len() && given.iter().sum::<usize>() == extent {
        return Ok(given);
    }
    Err(format!("parts of {given:?} do not make up an extent of {extent}"))
}
