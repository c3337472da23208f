//! LayerNormalization: `(x - mean) / sqrt(variance + epsilon) * Scale + B`, statistics over the dims from `axis` on.
//!
//! <https://onnx.ai/onnx/operators/onnx__LayerNormalization.html>
//!
//! | opset | change |
//! |---|---|
//! | 17 | first |
//!
//! Dtypes: all floats; statistics in the dtype that `stash_type` names, in which they are also put out.

use graph::builder::{BuildError, Builder};
use graph::dtype::DType;
use graph::graph::ValueId;
use graph::region::norm::Norm;
use graph::scalar::Scalar;

use crate::operator::{AttrKind, Ctx, Operator, attr, between};
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "LayerNormalization",
    domain: "",
    versions: &[17],
    inputs: between(2, 3),
    outputs: between(1, 3),
    attrs: &[attr("axis", AttrKind::Int), attr("epsilon", AttrKind::Float), attr("stash_type", AttrKind::Int)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let (x, scale, bias) = (ctx.input(0)?, ctx.input(1)?, ctx.optional(2)?);
    let norm = from_axis(ctx, true)?;
    let normed = ctx.b.norm(&norm, x)?;
    let y = scaled(ctx.b, normed.value, scale, bias)?;
    let (found, shape) = (ctx.b.shape(y)?, ctx.b.shape(x)?);
    if found.len() != shape.len() {
        let what = "Scale or B".to_string();
        return Err(BuildError::Rank { what, expected: format!("at most {}", shape.len()), found: found.len() });
    }
    let mean = normed.mean.unwrap_or(normed.inverse);
    Ok(vec![y.into(), mean.into(), normed.inverse.into()])
}

/// `value * scale + bias` in the dtype of the value.
pub fn scaled(b: &mut Builder, value: ValueId, scale: ValueId, bias: Option<ValueId>) -> Result<ValueId, BuildError> {
    let operands: Vec<_> = [value, scale].into_iter().chain(bias).collect();
    b.map(&operands, |p, v| {
        let dtype = p.dtype(v[0]);
        let scale = p.cast(v[1], dtype);
        let y = p.mul(v[0], scale);
        match v.get(2) {
            Some(bias) => {
                let bias = p.cast(*bias, dtype);
                p.add(y, bias)
            }
            None => y,
        }
    })
}

/// Attributes of a normalisation over the dims from `axis` on.
pub fn from_axis(ctx: &Ctx<'_>, center: bool) -> Result<Norm, BuildError> {
    let rank = ctx.shape(0)?.len();
    let axis = ctx.b.axis(ctx.int_or("axis", -1), rank)?;
    let stash = ctx.dtype_attr("stash_type")?.unwrap_or(DType::F32);
    let stats = if ctx.dtype(0)? == DType::F64 { DType::F64 } else { stash };
    if !stats.is_float() {
        let expected = "a float".to_string();
        return Err(BuildError::DType { what: "stash_type".to_string(), expected, found: stats });
    }
    let eps = Scalar::f32(ctx.float_or("epsilon", 1e-5));
    Ok(Norm { axes: (axis..rank).collect(), center, eps, stats })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::{check, f32s, float, int, refusal, value};

    #[test]
    fn statistics_over_two_dims() {
        let x = f32s(&[2, 1, 2], &[1.0, 3.0, 5.0, 9.0]);
        let (scale, bias) = (f32s(&[2], &[1.0, 2.0]), f32s(&[1, 2], &[0.0, 10.0]));
        let y = f32s(&[2, 1, 2], &[-1.0, 12.0, -1.0, 12.0]);
        let (mean, inverse) = (f32s(&[2, 1, 1], &[2.0, 7.0]), f32s(&[2, 1, 1], &[1.0, 0.5]));
        let attrs = [("axis", int(1)), ("epsilon", float(0.0))];
        check(&OPERATOR, &attrs, &[value(x), value(scale), value(bias)], &[y, mean, inverse]);
    }

    #[test]
    fn integer_statistics_are_refused() {
        let x = f32s(&[1, 1], &[0.0]);
        let error = refusal(&OPERATOR, &[("stash_type", int(7))], &[value(x.clone()), value(x)]);
        assert!(error.to_string().contains("dtype i64 is not supported for stash_type"), "{error}");
    }
}
