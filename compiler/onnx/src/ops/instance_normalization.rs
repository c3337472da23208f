//! InstanceNormalization: `(x - mean) / sqrt(variance + epsilon) * scale + B`, statistics of each channel of each sample.
//!
//! <https://onnx.ai/onnx/operators/onnx__InstanceNormalization.html>
//!
//! | opset | change |
//! |---|---|
//! | 1 | first; attribute `consumed_inputs` without effect |
//! | 6 | that attribute gone |
//! | 22 | bfloat16 |
//!
//! Dtypes: all floats; statistics in f32 or wider. Refused: no spatial dim.

use graph::builder::{BuildError, Builder};
use graph::graph::ValueId;
use graph::region::contract::accumulator;
use graph::region::norm::Norm;
use graph::scalar::Scalar;

use super::conv::per_channel;
use crate::operator::{AttrKind, Ctx, Operator, attr, exactly};
use crate::sliding;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "InstanceNormalization",
    domain: "",
    versions: &[1, 6, 22],
    inputs: exactly(3),
    outputs: exactly(1),
    attrs: &[attr("consumed_inputs", AttrKind::Ints), attr("epsilon", AttrKind::Float)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let (x, scale, bias) = (ctx.input(0)?, ctx.input(1)?, ctx.input(2)?);
    let shape = ctx.b.shape(x)?;
    sliding::spatial(&shape, "InstanceNormalization input")?;
    let eps = Scalar::f32(ctx.float_or("epsilon", 1e-5));
    let stats = accumulator(ctx.b.dtype(x)?);
    let norm = Norm { axes: (2..shape.len()).collect(), center: true, eps, stats };
    let normed = ctx.b.norm(&norm, x)?;
    Ok(vec![scaled(ctx.b, normed.value, scale, bias)?.into()])
}

/// `x * scale + bias` with vectors over the channels.
pub fn scaled(b: &mut Builder, x: ValueId, scale: ValueId, bias: ValueId) -> Result<ValueId, BuildError> {
    let (shape, dtype) = (b.shape(x)?, b.dtype(x)?);
    for vector in [scale, bias] {
        let found = b.shape(vector)?;
        match found.as_slice() {
            [channels] => b.assume_equal(channels, &shape[1], "one scale and bias a channel")?,
            _ => {
                let what = "scale or bias".to_string();
                return Err(BuildError::Rank { what, expected: "1".to_string(), found: found.len() });
            }
        }
    }
    let (scale, bias) = (per_channel(b, scale, shape.len())?, per_channel(b, bias, shape.len())?);
    b.map(&[x, scale, bias], |p, v| {
        let (scale, bias) = (p.cast(v[1], dtype), p.cast(v[2], dtype));
        let y = p.mul(v[0], scale);
        p.add(y, bias)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::{check, f32s, float, refusal, value};

    #[test]
    fn each_channel_by_itself() {
        let x = f32s(&[1, 2, 2], &[1.0, 3.0, 10.0, 20.0]);
        let inputs = [value(x), value(f32s(&[2], &[1.0, 2.0])), value(f32s(&[2], &[0.0, 1.0]))];
        check(&OPERATOR, &[("epsilon", float(0.0))], &inputs, &[f32s(&[1, 2, 2], &[-1.0, 1.0, -1.0, 3.0])]);
    }

    #[test]
    fn a_scale_of_another_length_is_refused() {
        let one = f32s(&[1], &[1.0]);
        let error = refusal(&OPERATOR, &[], &[value(f32s(&[1, 2, 1], &[0.0; 2])), value(one.clone()), value(one)]);
        assert!(error.to_string().contains("one scale and bias a channel"), "{error}");
    }
}
