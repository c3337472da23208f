//! The elements of a sequence joined along an axis, or stacked along a new one.

use super::datum::{Attrs, Datum, TensorDatum, attr_bool, attr_int, input};

pub fn run(attrs: Attrs<'_>, inputs: &[&Datum]) -> Result<Vec<Datum>, String> {
    let items = input(inputs, 0)?.sequence()?;
    let tensors = items.iter().map(Datum::tensor).collect::<Result<Vec<_>, _>>()?;
    let axis = usize::try_from(attr_int(attrs, "axis").unwrap_or(0)).map_err(|_| "a negative axis")?;
    let Some(first) = tensors.first() else { return Err("an empty sequence cannot be concatenated".to_string()) };
    let stack = attr_bool(attrs, "new_axis");
    let shapes: Vec<Vec<usize>> = tensors.iter().map(|t| shape(t, axis, stack)).collect();
    let mut joint = shapes[0].clone();
    if axis >= joint.len() {
        return Err(format!("axis {axis} of elements of rank {}", first.shape.len()));
    }
    joint[axis] = shapes.iter().map(|s| s.get(axis).copied().unwrap_or(0)).sum();
    let outer: usize = joint[..axis].iter().product();
    let mut out = TensorDatum::empty(first.dtype);
    for (tensor, shape) in tensors.iter().zip(&shapes) {
        let fits =
            shape.len() == joint.len() && shape.iter().zip(&joint).enumerate().all(|(d, (a, b))| d == axis || a == b);
        if !fits || tensor.dtype != first.dtype {
            return Err(format!("elements of shapes {:?} and {:?} do not fit", first.shape, tensor.shape));
        }
    }
    for row in 0..outer {
        for (tensor, shape) in tensors.iter().zip(&shapes) {
            let run: usize = shape[axis..].iter().product();
            out.append(tensor, row * run..(row + 1) * run);
        }
    }
    Ok(vec![Datum::Tensor(out.with_shape(joint))])
}

fn shape(tensor: &TensorDatum, axis: usize, stack: bool) -> Vec<usize> {
    let mut shape = tensor.shape.clone();
    if stack {
        shape.insert(axis.min(shape.len()), 1);
    }
    shape
}
