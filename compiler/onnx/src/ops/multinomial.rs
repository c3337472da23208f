//! Multinomial: classes drawn with probabilities proportional to `exp(input)`.
//!
//! <https://onnx.ai/onnx/operators/onnx__Multinomial.html>
//!
//! | opset | change |
//! |---|---|
//! | 7 | first |
//! | 22 | bfloat16 |
//!
//! Dtypes: floats in, i32 or i64 out. The class drawn is the largest of `input - log(-log(u))`. Draws come from the generator of
//! this compiler: the same at every call, another implementation's cannot be met.

use graph::builder::BuildError;
use graph::dim::Dim;
use graph::dtype::DType;
use graph::expr::UnOp;
use graph::node::Combiner;
use graph::scalar::Scalar;

use crate::operator::{AttrKind, Ctx, Operator, attr, exactly};
use crate::value::ImportValue;
use crate::{pointwise, random};

pub const OPERATOR: Operator = Operator {
    name: "Multinomial",
    domain: "",
    versions: &[7, 22],
    inputs: exactly(1),
    outputs: exactly(1),
    attrs: &[attr("dtype", AttrKind::Int), attr("sample_size", AttrKind::Int), attr("seed", AttrKind::Float)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let x = ctx.input(0)?;
    pointwise::require_class(ctx, 0, pointwise::FLOATS)?;
    let dtype = ctx.dtype_attr("dtype")?.unwrap_or(DType::I32);
    if !dtype.is_int() {
        return Err(BuildError::DType { what: "Multinomial".into(), expected: "i32 or i64".into(), found: dtype });
    }
    let shape = ctx.shape(0)?;
    let [batch, classes] = shape.as_slice() else {
        let found = shape.len();
        return Err(BuildError::Rank { what: "input of Multinomial".into(), expected: "2".into(), found });
    };
    let (samples, seed) = (Dim::constant(ctx.int_or("sample_size", 1)), random::seed(ctx));
    let y = ctx.b.compute(&[x], vec![batch.clone(), samples.clone()], |p| {
        let (row, sample) = (p.index(0), p.index(1));
        let class = p.reduce(classes);
        let number = random::linear(p, &[row, sample, class], &[batch.clone(), samples.clone(), classes.clone()]);
        let draw = random::uniform(p, seed, number, 0);
        // Half a step up keeps the draw off 0.
        let half = p.constant(Scalar::f32(1.0 / 33_554_432.0));
        let draw = p.add(draw, half);
        let log = p.unary(UnOp::Log, draw);
        let positive = p.unary(UnOp::Neg, log);
        let noise = p.unary(UnOp::Log, positive);
        let logit = p.load(0, &[row, class]);
        let logit = p.cast(logit, DType::F32);
        let score = p.sub(logit, noise);
        let best = p.acc(Combiner::ArgMax { last: false }, score);
        let value = p.cast(best, dtype);
        p.out(value);
    })?;
    Ok(vec![y.into()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::*;

    #[test]
    fn frequencies_follow_the_odds() {
        let case = Case::new(&OPERATOR).attr("sample_size", int(4000)).attr("seed", float(1.0));
        let found = case.value(f32s(&[1, 2], &[0.0, 3.0f32.ln()])).run().unwrap();
        let ones: i64 = found[0].as_tensor().unwrap().to_i64s().iter().sum();
        assert!((2800..3200).contains(&ones), "{ones}");
    }

    #[test]
    fn a_vector_is_refused() {
        assert!(refusal(&OPERATOR, &[], &[value(f32s(&[1], &[0.0]))]).to_string().contains("rank 1"));
    }
}
