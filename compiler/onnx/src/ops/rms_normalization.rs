//! RMSNormalization: `x / sqrt(mean of x^2 + epsilon) * scale`, the mean over the dims from `axis` on.
//!
//! <https://onnx.ai/onnx/operators/onnx__RMSNormalization.html>
//!
//! | opset | change |
//! |---|---|
//! | 23 | first |
//!
//! Dtypes: all floats; computed in the dtype that `stash_type` names, Y in that of the scale.

use graph::builder::BuildError;

use super::layer_normalization::from_axis;
use crate::operator::{AttrKind, Ctx, Operator, attr, exactly};
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "RMSNormalization",
    domain: "",
    versions: &[23],
    inputs: exactly(2),
    outputs: exactly(1),
    attrs: &[attr("axis", AttrKind::Int), attr("epsilon", AttrKind::Float), attr("stash_type", AttrKind::Int)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let (x, scale) = (ctx.input(0)?, ctx.input(1)?);
    let norm = from_axis(ctx, false)?;
    let normed = ctx.b.norm(&norm, x)?;
    let y = ctx.b.map(&[normed.value, scale], |p, v| {
        let dtype = p.dtype(v[1]);
        let value = p.cast(v[0], dtype);
        p.mul(value, v[1])
    })?;
    Ok(vec![y.into()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::{check, f32s, float, int, refusal, value};

    #[test]
    fn over_two_dims() {
        let x = f32s(&[1, 2, 2], &[1.0, 1.0, 1.0, 5.0]);
        let scale = f32s(&[2], &[1.0, 7f32.sqrt()]);
        let root = 7f32.sqrt();
        let y = f32s(&[1, 2, 2], &[1.0 / root, 1.0, 1.0 / root, 5.0]);
        check(&OPERATOR, &[("axis", int(1)), ("epsilon", float(0.0))], &[value(x), value(scale)], &[y]);
    }

    #[test]
    fn an_axis_that_is_not_there_is_refused() {
        let x = f32s(&[1], &[1.0]);
        let error = refusal(&OPERATOR, &[("axis", int(1))], &[value(x.clone()), value(x)]);
        assert_eq!(error.to_string(), "axis 1 is outside -1..1");
    }
}
