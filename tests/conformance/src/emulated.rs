//! Kernels of the generic way as PTX on the emulator, each compared with its meaning.

#[allow(dead_code, reason = "tests of the back end use the rest")]
#[path = "../../../compiler/backend-ptx/tests/emulated/launcher.rs"]
mod launcher;

use backend_ptx::facts::Limits;
use graph::tensor::Tensor;
use nest::interpret;
use nest::kernel::Kernel;

use launcher::{Tolerance, difference, run};

/// How far a float may be from the evaluator's: a few elementary functions of 2 units in the last place each.
const TOLERANCE: Tolerance = Tolerance::Ulp(16);

/// The same relative to the largest element, where such values cancel.
const CANCELLED: f64 = 1e-6;

/// The results of a kernel by its meaning; an error where the emulator has others.
pub fn run_checked(kernel: &Kernel, sizes: &[i64], operands: &[Tensor]) -> Result<Vec<Tensor>, String> {
    let expected = interpret::run(kernel, sizes, operands).map_err(|e| e.to_string())?;
    if kernel.operands.iter().chain(&kernel.results).any(|p| p.dtype == graph::dtype::DType::Str) {
        return Ok(expected);
    }
    let found =
        run(kernel, sizes, operands, &Limits::default()).map_err(|e| format!("{e}\n{}", nest::text::print(kernel)))?;
    for (k, (found, wanted)) in found.iter().zip(&expected).enumerate() {
        if let Some(wrong) = difference(found, wanted, TOLERANCE)
            && !is_close(found, wanted)
        {
            return Err(format!("result {k}: {wrong}\n{}", nest::text::print(kernel)));
        }
    }
    Ok(expected)
}

/// Whether all elements are finite and close to the expected ones, seen from the largest.
fn is_close(found: &Tensor, expected: &Tensor) -> bool {
    if !expected.dtype().is_float() || found.shape() != expected.shape() {
        return false;
    }
    let (found, expected) = (found.to_f64s(), expected.to_f64s());
    let largest = expected.iter().fold(0f64, |m, v| m.max(v.abs()));
    largest.is_finite() && found.iter().zip(&expected).all(|(a, b)| (a - b).abs() <= CANCELLED * largest)
}
