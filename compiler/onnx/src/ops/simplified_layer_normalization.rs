//! SimplifiedLayerNormalization of ONNX Runtime, which its optimizer puts into the domain of ONNX: an RMS normalisation.
//!
//! <https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md>
//!
//! ```text
//! Y = X / sqrt(mean of X^2 + epsilon) * scale, the mean over the dims from `axis` on
//! ```
//!
//! Dtypes: all floats; computed in the dtype that `stash_type` names, Y in that of the scale.

use super::layer_normalization::from_axis;
use crate::operator::{AttrKind, Ctx, Operator, attr, between, exactly};
use crate::pointwise::Outputs;

pub const OPERATOR: Operator = Operator {
    name: "SimplifiedLayerNormalization",
    domain: "",
    versions: &[1],
    inputs: exactly(2),
    outputs: between(1, 2),
    attrs: &[attr("axis", AttrKind::Int), attr("epsilon", AttrKind::Float), attr("stash_type", AttrKind::Int)],
    build,
};

pub const MICROSOFT_OPERATOR: Operator = Operator { domain: "com.microsoft", ..OPERATOR };

fn build(ctx: &mut Ctx<'_>) -> Outputs {
    let (x, scale) = (ctx.input(0)?, ctx.input(1)?);
    let norm = from_axis(ctx, false)?;
    let normed = ctx.b.norm(&norm, x)?;
    let y = ctx.b.map(&[normed.value, scale], |p, v| {
        let dtype = p.dtype(v[1]);
        let value = p.cast(v[0], dtype);
        p.mul(value, v[1])
    })?;
    Ok(vec![y.into(), normed.inverse.into()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::{check, f32s, float, int, refusal, value};

    #[test]
    fn the_inverse_is_an_output() {
        let inputs = [value(f32s(&[1, 2], &[1.0, 7.0])), value(f32s(&[2], &[1.0, 2.0]))];
        let outputs = [f32s(&[1, 2], &[0.2, 2.8]), f32s(&[1, 1], &[0.2])];
        check(&MICROSOFT_OPERATOR, &[("epsilon", float(0.0))], &inputs, &outputs);
    }

    #[test]
    fn an_axis_that_is_not_there_is_refused() {
        let x = f32s(&[1], &[1.0]);
        let error = refusal(&OPERATOR, &[("axis", int(1))], &[value(x.clone()), value(x)]);
        assert_eq!(error.to_string(), "axis 1 is outside -1..1");
    }
}
