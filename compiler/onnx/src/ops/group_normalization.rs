//! GroupNormalization: `(x - mean) / sqrt(variance + epsilon) * scale + bias`, statistics of groups of channels.
//!
//! <https://onnx.ai/onnx/operators/onnx__GroupNormalization.html>
//!
//! | opset | change |
//! |---|---|
//! | 18 | first; scale and bias a group |
//! | 21 | scale and bias a channel; `stash_type` |
//!
//! Dtypes: all floats; statistics in the dtype that `stash_type` names. Refused: groups that do not divide the channels.

use graph::builder::{BuildError, Builder};
use graph::dim::{Dim, Pred};
use graph::dtype::DType;
use graph::expr::BinOp;
use graph::graph::ValueId;
use graph::region::norm::Norm;
use graph::scalar::Scalar;

use super::instance_normalization::scaled;
use crate::operator::{AttrKind, Ctx, Operator, attr, exactly, required};
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "GroupNormalization",
    domain: "",
    versions: &[18, 21],
    inputs: exactly(3),
    outputs: exactly(1),
    attrs: &[
        attr("epsilon", AttrKind::Float),
        required("num_groups", AttrKind::Int),
        attr("stash_type", AttrKind::Int),
    ],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let (x, mut scale, mut bias) = (ctx.input(0)?, ctx.input(1)?, ctx.input(2)?);
    let (shape, dtype) = (ctx.b.shape(x)?, ctx.b.dtype(x)?);
    let [batch, channels, rest @ ..] = shape.as_slice() else {
        let what = "GroupNormalization input X".to_string();
        return Err(BuildError::Rank { what, expected: "2 or more".to_string(), found: shape.len() });
    };
    let groups = Dim::constant(ctx.int_or("num_groups", 1));
    ctx.b.assume(Pred::Divides(groups.clone(), channels.clone()), "num_groups divides the channels")?;
    let size = ctx.b.model().symbols.floor_div(channels, &groups);
    let stash = ctx.dtype_attr("stash_type")?.unwrap_or(DType::F32);
    let stats = if dtype == DType::F64 { dtype } else { stash };
    let eps = Scalar::f32(ctx.float_or("epsilon", 1e-5));
    let grouped = vec![batch.clone(), groups, &size * &Dim::product(rest)];
    let rows = ctx.b.reshape(x, grouped)?;
    let normed = ctx.b.norm(&Norm { axes: vec![2], center: true, eps, stats }, rows)?;
    let back = ctx.b.reshape(normed.value, shape.clone())?;
    if ctx.opset < 21 {
        (scale, bias) = (repeated(ctx.b, scale, channels, &size)?, repeated(ctx.b, bias, channels, &size)?);
    }
    Ok(vec![scaled(ctx.b, back, scale, bias)?.into()])
}

/// A vector over groups as one over channels.
fn repeated(b: &mut Builder, vector: ValueId, channels: &Dim, size: &Dim) -> Result<ValueId, BuildError> {
    b.compute(&[vector], vec![channels.clone()], |p| {
        let (channel, size) = (p.index(0), p.dim(size));
        let group = p.binary(BinOp::FloorDiv, channel, size);
        let v = p.load(0, &[group]);
        p.out(v);
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::{Case, f32s, float, int, refusal, value};

    #[test]
    fn scale_a_group_or_a_channel() {
        let x = f32s(&[1, 4, 1], &[1.0, 3.0, 10.0, 20.0]);
        let case = |scale: &[f32]| {
            let (scale, bias) = (f32s(&[scale.len()], scale), f32s(&[scale.len()], &vec![1.0; scale.len()]));
            let attrs = [("num_groups", int(2)), ("epsilon", float(0.0))];
            Case::of(&OPERATOR, &attrs, &[value(x.clone()), value(scale), value(bias)])
        };
        case(&[1.0, 2.0]).opset(18).expect(&[f32s(&[1, 4, 1], &[0.0, 2.0, -1.0, 3.0])]);
        case(&[1.0, 2.0, 3.0, 4.0]).opset(21).expect(&[f32s(&[1, 4, 1], &[0.0, 3.0, -2.0, 5.0])]);
    }

    #[test]
    fn uneven_groups_are_refused() {
        let one = f32s(&[1], &[1.0]);
        let inputs = [value(f32s(&[1, 3, 1], &[0.0; 3])), value(one.clone()), value(one)];
        let error = refusal(&OPERATOR, &[("num_groups", int(2))], &inputs);
        assert!(error.to_string().contains("num_groups divides the channels"), "{error}");
    }
}
