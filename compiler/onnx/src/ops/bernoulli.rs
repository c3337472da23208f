//! Bernoulli: 1 with the probability that each element gives, else 0.
//!
//! <https://onnx.ai/onnx/operators/onnx__Bernoulli.html>
//!
//! | opset | change |
//! |---|---|
//! | 15 | first |
//! | 22 | bfloat16 |
//!
//! Dtypes: floats in, any number or bool out. Draws come from the generator of this compiler: the same at every call, another
//! implementation's cannot be met.

use graph::builder::BuildError;
use graph::dtype::DType;

use crate::operator::{AttrKind, Ctx, Operator, attr, exactly};
use crate::value::ImportValue;
use crate::{pointwise, random};

pub const OPERATOR: Operator = Operator {
    name: "Bernoulli",
    domain: "",
    versions: &[15, 22],
    inputs: exactly(1),
    outputs: exactly(1),
    attrs: &[attr("dtype", AttrKind::Int), attr("seed", AttrKind::Float)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let x = ctx.input(0)?;
    pointwise::require_class(ctx, 0, pointwise::FLOATS)?;
    let dtype = ctx.dtype_attr("dtype")?.unwrap_or(ctx.dtype(0)?);
    let shape = ctx.shape(0)?;
    let y = random::fill(ctx, &[x], shape, |p, seed, number| {
        let draw = random::uniform(p, seed, number, 0);
        let at = p.indices();
        let probability = p.load(0, &at);
        let wide = p.cast(probability, DType::F32);
        let hit = p.lt(draw, wide);
        p.cast(hit, dtype)
    })?;
    Ok(vec![y.into()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::*;

    #[test]
    fn certain_and_impossible() {
        let inputs = [value(f32s(&[4], &[0.0, 1.0, 0.0, 1.0]))];
        check(&OPERATOR, &[("dtype", int(7))], &inputs, &[i64s(&[4], &[0, 1, 0, 1])]);
    }

    #[test]
    fn integers_are_refused() {
        assert!(refusal(&OPERATOR, &[], &[value(i64s(&[1], &[1]))]).to_string().contains("floats"));
    }
}
