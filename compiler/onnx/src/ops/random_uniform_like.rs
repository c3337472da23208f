//! RandomUniformLike: floats uniform in `[low, high)`, of the shape of the input.
//!
//! <https://onnx.ai/onnx/operators/onnx__RandomUniformLike.html>
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

use crate::operator::{AttrKind, Ctx, Operator, attr, exactly};
use crate::random;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "RandomUniformLike",
    domain: "",
    versions: &[1, 22],
    inputs: exactly(1),
    outputs: exactly(1),
    attrs: &[
        attr("dtype", AttrKind::Int),
        attr("high", AttrKind::Float),
        attr("low", AttrKind::Float),
        attr("seed", AttrKind::Float),
    ],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let dtype = random::dtype(ctx, ctx.dtype(0).unwrap_or(DType::F32))?;
    let shape = ctx.shape(0)?;
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
            .value(f32s(&[10000], &[0.0; 10000]))
            .attr("seed", float(7.0));
        let found = case.run().unwrap();
        let values = found[0].as_tensor().unwrap().to_f64s();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let variance = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / values.len() as f64;
        assert!((mean - 2.0).abs() < 0.02 && (variance - 1.0 / 3.0).abs() < 0.02, "{mean} {variance}");
    }

    #[test]
    fn integers_are_refused() {
        let error = refusal(&OPERATOR, &[("dtype", int(7))], &[value(f32s(&[1], &[0.0]))]);
        assert!(error.to_string().contains("floats"));
    }
}
