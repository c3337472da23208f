//! SkipLayerNormalization and SkipSimplifiedLayerNormalization of ONNX Runtime: a sum, and its layer or RMS normalisation.
//!
//! <https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#commicrosoftskiplayernormalization>
//!
//! ```text
//! sum = input + skip + bias     y = norm(sum) over the last dim * gamma + beta
//! ```
//!
//! Dtypes: all floats, added and normalised in f32 or wider. Refused: the mean of the simplified form, which has none.

use graph::builder::BuildError;
use graph::region::norm::Norm;
use graph::scalar::Scalar;

use super::layer_normalization::scaled;
use crate::operator::{AttrKind, Ctx, Operator, attr, between};
use crate::pointwise::{self, Outputs, wide};

pub const OPERATOR: Operator = Operator {
    name: "SkipLayerNormalization",
    domain: "com.microsoft",
    versions: &[1],
    inputs: between(3, 5),
    outputs: between(1, 4),
    attrs: &[attr("epsilon", AttrKind::Float)],
    build: |ctx| build(ctx, true),
};

pub const SIMPLIFIED_OPERATOR: Operator = Operator {
    name: "SkipSimplifiedLayerNormalization",
    inputs: between(3, 4),
    build: |ctx| build(ctx, false),
    ..OPERATOR
};

fn build(ctx: &mut Ctx<'_>, center: bool) -> Outputs {
    pointwise::require_class(ctx, 0, pointwise::FLOATS)?;
    let (x, skip, gamma) = (ctx.input(0)?, ctx.input(1)?, ctx.input(2)?);
    let (beta, bias) = if center { (ctx.optional(3)?, ctx.optional(4)?) } else { (None, ctx.optional(3)?) };
    let dtype = ctx.dtype(0)?;
    if !center && ctx.wants(1) {
        return Err(BuildError::Unsupported {
            what: format!("output 1 of {}", ctx.op_type),
            closest: "outputs 0, 2 and 3".to_string(),
        });
    }
    let operands: Vec<_> = [x, skip].into_iter().chain(bias).collect();
    let sum = ctx.b.map(&operands, |p, v| {
        let mut sum = p.cast(v[0], wide(dtype));
        for part in &v[1..] {
            let part = p.cast(*part, wide(dtype));
            sum = p.add(sum, part);
        }
        p.cast(sum, dtype)
    })?;
    let rank = ctx.b.rank(sum)?;
    let axis = ctx.b.axis(-1, rank)?;
    let eps = Scalar::f32(ctx.float_or("epsilon", 1e-12));
    let normed = ctx.b.norm(&Norm { axes: vec![axis], center, eps, stats: wide(dtype) }, sum)?;
    let y = scaled(ctx.b, normed.value, gamma, beta)?;
    let mean = normed.mean.unwrap_or(normed.inverse);
    Ok(vec![y.into(), mean.into(), normed.inverse.into(), sum.into()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::{Case, check, f32s, float, refusal, value};

    #[test]
    fn a_sum_of_three_and_its_norm() {
        let inputs = [
            value(f32s(&[1, 1, 2], &[1.0, 2.0])),
            value(f32s(&[1, 1, 2], &[1.0, 4.0])),
            value(f32s(&[2], &[1.0, 3.0])),
            value(f32s(&[2], &[0.0, 10.0])),
            value(f32s(&[2], &[1.0, 1.0])),
        ];
        let one = |v: f32| f32s(&[1, 1, 1], &[v]);
        let y = f32s(&[1, 1, 2], &[-1.0, 13.0]);
        let outputs = [y, one(5.0), one(0.5), f32s(&[1, 1, 2], &[3.0, 7.0])];
        check(&OPERATOR, &[("epsilon", float(0.0))], &inputs, &outputs);
    }

    #[test]
    fn simplified_takes_no_mean_off() {
        let inputs =
            [value(f32s(&[1, 2], &[0.0, 5.0])), value(f32s(&[2], &[1.0, 2.0])), value(f32s(&[2], &[1.0, 2.0]))];
        let y = f32s(&[1, 2], &[0.2, 2.8]);
        check(&SIMPLIFIED_OPERATOR, &[("epsilon", float(0.0))], &inputs, &[y]);
    }

    #[test]
    fn a_mean_that_there_is_none_of_is_refused() {
        let x = || value(f32s(&[1, 1], &[1.0]));
        let case = Case::of(&SIMPLIFIED_OPERATOR, &[], &[x(), x(), x()]).outputs(2);
        let error = case.build().err().unwrap();
        assert!(error.to_string().contains("output 1 of"), "{error}");
        let error = refusal(&OPERATOR, &[], &[x()]);
        assert!(error.to_string().contains("input 1: expected a value"), "{error}");
    }
}
