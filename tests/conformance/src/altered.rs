//! Other inputs for models whose sizes come from inputs: values that the evaluator takes and that change an output's shape.

use graph::datum::Datum;
use graph::graph::Model;
use graph::scalar::Scalar;
use graph::tensor::Tensor;

/// Inputs with one small integer or float tensor changed, and the evaluator's outputs for them; at most two.
pub fn altered(model: &Model, inputs: &[Datum]) -> Vec<(Vec<Datum>, Vec<Datum>)> {
    let Ok(original) = graph::eval::model(model, inputs) else { return Vec::new() };
    let mut found: Vec<(Vec<Datum>, Vec<Datum>)> = Vec::new();
    for (k, input) in inputs.iter().enumerate() {
        let Some(tensor) = input.as_tensor().filter(|t| t.shape().len() <= 1 && t.len() <= 16) else { continue };
        for candidate in candidates(tensor) {
            let mut changed = inputs.to_vec();
            changed[k] = Datum::Tensor(candidate);
            let Ok(outputs) = graph::eval::model(model, &changed) else { continue };
            let total: usize = outputs.iter().filter_map(Datum::as_tensor).map(Tensor::len).sum();
            if shapes(&outputs) != shapes(&original) && total < 1 << 16 {
                found.push((changed, outputs));
            }
            if found.len() == 2 {
                return found;
            }
        }
    }
    found
}

fn shapes(values: &[Datum]) -> Vec<String> {
    values.iter().map(Datum::describe).collect()
}

/// The tensor with each element moved a little, all of them moved, and in reverse order.
fn candidates(tensor: &Tensor) -> Vec<Tensor> {
    let elements: Vec<Scalar> = tensor.scalars().collect();
    let dtype = tensor.dtype();
    let mut lists: Vec<Vec<Scalar>> = vec![elements.iter().rev().copied().collect()];
    let moved = |e: &Scalar, by: f64| match dtype.is_float() {
        true => Scalar::from_f64(dtype, e.as_f64() * (1.0 + by / 2.0)),
        false => Scalar::from_i64(dtype, e.as_i64() + by as i64),
    };
    for by in [1.0, -1.0, 2.0, -2.0] {
        for k in 0..elements.len() {
            let mut list = elements.clone();
            list[k] = moved(&elements[k], by);
            lists.push(list);
        }
        lists.push(elements.iter().map(|e| moved(e, by)).collect());
    }
    lists.into_iter().filter_map(|l| Tensor::from_scalars(dtype, tensor.shape().to_vec(), &l).ok()).collect()
}
