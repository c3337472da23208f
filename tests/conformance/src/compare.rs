//! Results against expectations: the suite's tolerances (relative 1e-3, absolute 1e-7) for floats, equality for the rest.

use graph::datum::Datum;
use graph::dtype::DType;
use graph::tensor::Tensor;

/// Bounds on the error of a float.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    pub relative: f64,
    pub absolute: f64,
}

/// The suite's own default.
pub const SUITE: Tolerance = Tolerance { relative: 1e-3, absolute: 1e-7 };

/// Compares all outputs; yields the largest distance in units of the last place, or the first difference.
pub fn outputs(found: &[Datum], expected: &[Datum], tolerance: Tolerance) -> Result<f64, String> {
    if found.len() < expected.len() {
        return Err(format!("{} outputs, expected {}", found.len(), expected.len()));
    }
    let mut ulp = 0f64;
    for (k, (f, e)) in found.iter().zip(expected).enumerate() {
        ulp = ulp.max(datum(f, e, tolerance).map_err(|what| format!("output {k}: {what}"))?);
    }
    Ok(ulp)
}

fn datum(found: &Datum, expected: &Datum, tolerance: Tolerance) -> Result<f64, String> {
    match (found, expected) {
        (Datum::Tensor(f), Datum::Tensor(e)) => tensor(f, e, tolerance),
        (Datum::Seq(f), Datum::Seq(e)) => {
            if f.len() != e.len() {
                return Err(format!("{} elements, expected {}", f.len(), e.len()));
            }
            let mut ulp = 0f64;
            for (f, e) in f.iter().zip(e) {
                ulp = ulp.max(datum(f, e, tolerance)?);
            }
            Ok(ulp)
        }
        (Datum::Opt(None), Datum::Opt(None)) => Ok(0.0),
        (Datum::Opt(Some(f)), Datum::Opt(Some(e))) => datum(f, e, tolerance),
        (f, e) => Err(format!("found {}, expected {}", f.describe(), e.describe())),
    }
}

fn tensor(found: &Tensor, expected: &Tensor, tolerance: Tolerance) -> Result<f64, String> {
    if found.dtype() != expected.dtype() || found.shape() != expected.shape() {
        let (f, e) = (Datum::Tensor(found.clone()), Datum::Tensor(expected.clone()));
        return Err(format!("found {}, expected {}", f.describe(), e.describe()));
    }
    if found.dtype() == DType::Str {
        return if found.strings() == expected.strings() { Ok(0.0) } else { Err("strings differ".to_string()) };
    }
    let mut worst = 0f64;
    for (i, (f, e)) in found.scalars().zip(expected.scalars()).enumerate() {
        if !found.dtype().is_float() {
            if f != e {
                return Err(format!("element {i}: {}, expected {}", f.as_i64(), e.as_i64()));
            }
            continue;
        }
        let (x, y) = (f.as_f64(), e.as_f64());
        if x == y || (x.is_nan() && y.is_nan()) {
            continue;
        }
        let bound = tolerance.absolute + tolerance.relative * y.abs();
        let error = (x - y).abs();
        if error.is_nan() || error > bound {
            return Err(format!("element {i}: {x}, expected {y}"));
        }
        worst = worst.max(error / unit(found.dtype(), y));
    }
    Ok(worst)
}

/// The unit in the last place at a value.
fn unit(dtype: DType, value: f64) -> f64 {
    let (digits, lowest) = match dtype {
        DType::F64 => (52, -1022),
        DType::F32 => (23, -126),
        DType::F16 => (10, -14),
        DType::BF16 => (7, -126),
        _ => (2, -14),
    };
    let exponent = value.abs().log2().floor().max(f64::from(lowest));
    (exponent - f64::from(digits)).exp2()
}
