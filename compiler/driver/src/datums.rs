//! Values of the evaluator and of generated crates' programs, there and back.

use graph::datum::Datum;
use onnx::hosted::{from_datum, to_datum};
use runtime_min::exchange;

use crate::error::Error;

/// A list of values as bytes.
pub fn to_bytes(values: &[Datum]) -> Vec<u8> {
    let values: Vec<_> = values.iter().map(to_datum).collect();
    let mut out = Vec::new();
    exchange::write_all(&values, &mut out);
    out
}

/// A list of values from bytes.
pub fn from_bytes(bytes: &[u8]) -> Result<Vec<Datum>, Error> {
    let answer = |what: &str| Error::Answer { what: what.to_string() };
    let values = exchange::read_all(&mut &*bytes).ok_or_else(|| answer("it ends early or has unknown parts"))?;
    values.into_iter().map(|v| from_datum(v).map_err(|e| answer(&e.to_string()))).collect()
}
