//! Tests of the evaluator, one file an area.

mod border;
mod compute;
mod contract;
mod control;
mod order;
mod scalar;

use crate::builder::Builder;
use crate::datum::Datum;
use crate::dtype::DType;
use crate::eval;
use crate::graph::ValueId;
use crate::scalar::Scalar;
use crate::tensor::Tensor;

/// Builds a model with `build` (which declares inputs and yields outputs), runs it, compares bit for bit.
fn check(build: impl FnOnce(&mut Builder) -> Vec<ValueId>, inputs: &[Tensor], expected: &[Tensor]) {
    let found = run(build, inputs).unwrap();
    let found: Vec<&Tensor> = found.iter().map(|d| d.as_tensor().unwrap()).collect();
    assert_eq!(found.len(), expected.len(), "number of outputs");
    for (k, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert_eq!((found.dtype(), found.shape()), (expected.dtype(), expected.shape()), "output {k}");
        let list = |t: &Tensor| match t.dtype() {
            DType::Str => format!("{:?}", t.strings()),
            _ => format!(
                "{:?}",
                t.scalars()
                    .map(|s| if t.dtype().is_float() { s.as_f64() } else { s.as_i64() as f64 })
                    .collect::<Vec<_>>()
            ),
        };
        assert_eq!(list(found), list(expected), "output {k}");
        assert_eq!(found.bytes(), expected.bytes(), "output {k} by bits");
    }
}

/// Builds and runs, expecting an error with this text.
fn check_error(build: impl FnOnce(&mut Builder) -> Vec<ValueId>, inputs: &[Tensor], expected: &str) {
    let error = run(build, inputs).unwrap_err();
    assert_eq!(error.to_string(), expected);
}

fn run(build: impl FnOnce(&mut Builder) -> Vec<ValueId>, inputs: &[Tensor]) -> Result<Vec<Datum>, eval::EvalError> {
    let mut b = Builder::new("test");
    let outputs = build(&mut b);
    outputs.into_iter().for_each(|o| b.output(o));
    let model = b.finish();
    let inputs: Vec<Datum> = inputs.iter().cloned().map(Datum::Tensor).collect();
    eval::model(&model, &inputs)
}

/// A tensor of any numeric dtype from floats.
fn floats(dtype: DType, shape: &[usize], values: &[f64]) -> Tensor {
    let elements: Vec<Scalar> = values.iter().map(|v| Scalar::from_f64(dtype, *v)).collect();
    Tensor::from_scalars(dtype, shape.to_vec(), &elements).unwrap()
}

/// A tensor of any integer dtype.
fn ints(dtype: DType, shape: &[usize], values: &[i64]) -> Tensor {
    let elements: Vec<Scalar> = values.iter().map(|v| Scalar::from_i64(dtype, *v)).collect();
    Tensor::from_scalars(dtype, shape.to_vec(), &elements).unwrap()
}
