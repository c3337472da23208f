//! RandomUniform: floats uniform in `[low, high)`.
//!
//! <https://onnx.ai/onnx/operators/onnx__RandomUniform.html>
//!
//! | opset | change |
//! |---|---|
//! | 1 | first |
//! | 22 | bfloat16 |
//!
//! Dtypes: floats. Numbers come from the generator of this compiler: the same at every call, another implementation's cannot be
//! met.

use graph::builder::BuildError;
use graph::dtype::DType;

use crate::operator::{AttrKind, Ctx, Operator, attr, exactly, required};
use crate::random;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "RandomUniform",
    domain: "",
    versions: &[1, 22],
    inputs: exactly(0),
    outputs: exactly(1),
    attrs: &[
        attr("dtype", AttrKind::Int),
        attr("high", AttrKind::Float),
        attr("low", AttrKind::Float),
        attr("seed", AttrKind::Float),
        required("shape", AttrKind::Ints),
    ],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let dtype = random::dtype(ctx, DType::F32)?;
    let shape = random::shape(ctx)?;
    Ok(vec![random::uniform_tensor(ctx, shape, dtype)?.into()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::*;

    #[test]
    fn numbers_look_random() {
        let case = Case::new(&OPERATOR)
            .attr("low", float(1.0))
            .attr("high", float(3.0))
            .attr("shape", ints(&[100, 100]))
            .attr("seed", float(7.0));
        let found = case.run().unwrap();
        let values = found[0].as_tensor().unwrap().to_f64s();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let variance = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / values.len() as f64;
        assert!((mean - 2.0).abs() < 0.02 && (variance - 1.0 / 3.0).abs() < 0.02, "{mean} {variance}");
    }

    #[test]
    fn integers_are_refused() {
        let error = refusal(&OPERATOR, &[("shape", ints(&[1])), ("dtype", int(7))], &[]);
        assert!(error.to_string().contains("floats"));
    }
}
