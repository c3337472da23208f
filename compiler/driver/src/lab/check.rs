//! What a case must give: by the evaluator where that is quick, else by plain kernels in f64 on the GPU.

use graph::datum::Datum;
use graph::tensor::Tensor;
use runtime_min::gpu::driver::DriverTable;
use runtime_min::gpu::options::EngineOptions;

use crate::error::Error;
use crate::gpu::Gpu;
use crate::in_process;
use crate::lab::jobs::{Case, Op};
use crate::lab::network::{self, Network};

/// Most elements and multiply-adds for which the evaluator is asked.
const QUICK: f64 = 2e7;

/// The outputs of a case; nothing for models, which `verify` is for.
pub fn expected(
    driver: &'static DriverTable,
    gpu: Gpu,
    case: &Case,
    network: &Network,
) -> Result<Option<Vec<Datum>>, Error> {
    if case.op == Op::Model {
        return Ok(None);
    }
    if network.flops / 2.0 + network.bytes / 2.0 <= QUICK {
        return Ok(Some(graph::eval::model(&network.model, &network.inputs)?));
    }
    let wide = network::build_wide(case)?;
    let plan = gpu.plan_generic(&wide.model)?;
    let mut session = in_process::load(driver, &plan, &gpu, EngineOptions::default())?.session()?;
    Ok(Some(in_process::run(&mut session, plan.outputs.len(), &wide.inputs)?))
}

/// Most elements that are compared; of more, every so many-th.
const MOST: usize = 4 << 20;

/// Root of the sum of squared differences over that of the expected values; the worst of all outputs.
pub fn relative_l2(found: &[Datum], expected: &[Datum]) -> Result<f64, String> {
    let mut worst = 0.0f64;
    for (found, expected) in found.iter().zip(expected) {
        match (found, expected) {
            (Datum::Tensor(f), Datum::Tensor(e)) if f.shape() == e.shape() => worst = worst.max(tensors(f, e)),
            (f, e) => return Err(format!("found {}, expected {}", f.describe(), e.describe())),
        }
    }
    match worst.is_finite() {
        true => Ok(worst),
        false => Err("a value is not finite where it should be, or the other way".to_string()),
    }
}

fn tensors(found: &Tensor, expected: &Tensor) -> f64 {
    // An odd step meets all residues of extents that are powers of two.
    let step = found.len().div_ceil(MOST) | 1;
    let (mut error, mut size) = (0.0, 0.0);
    for k in (0..found.len()).step_by(step) {
        let (Some(f), Some(e)) = (found.get(k), expected.get(k)) else { return f64::INFINITY };
        let (f, e) = (f.as_f64(), e.as_f64());
        if f == e || (f.is_nan() && e.is_nan()) {
            size += if e.is_finite() { e * e } else { 0.0 };
            continue;
        }
        if !f.is_finite() || !e.is_finite() {
            return f64::INFINITY;
        }
        error += (f - e) * (f - e);
        size += e * e;
    }
    if error == 0.0 { 0.0 } else { (error / size).sqrt() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datum(values: &[f32]) -> Vec<Datum> {
        vec![Datum::Tensor(Tensor::from_f32s(values))]
    }

    #[test]
    fn distances() {
        assert_eq!(relative_l2(&datum(&[3.0, 4.0]), &datum(&[3.0, 4.0])), Ok(0.0));
        assert_eq!(relative_l2(&datum(&[3.0, 9.0]), &datum(&[3.0, 4.0])), Ok(1.0));
        assert!(relative_l2(&datum(&[f32::NAN]), &datum(&[1.0])).is_err());
        assert!(relative_l2(&datum(&[1.0]), &datum(&[1.0, 2.0])).is_err());
    }
}
