//! BatchNormalization: `(x - mean) / sqrt(var + epsilon) * scale + B` a channel; in training the batch's own statistics.
//!
//! <https://onnx.ai/onnx/operators/onnx__BatchNormalization.html>
//!
//! | opset | change |
//! |---|---|
//! | 1, 6 | `is_test`, `spatial`; 6 drops `consumed_inputs` |
//! | 7 | training is asked for by naming the further outputs |
//! | 9 | `spatial` gone |
//! | 14 | `training_mode`; outputs Y, running_mean, running_var |
//! | 15 | statistics and scale may have other dtypes than X |
//!
//! Dtypes: all floats, computed in f32 or wider. Inference is `x * factor + shift`, with both vectors computed a channel, so
//! that constants fold. Refused: `training_mode` with `spatial` 0.

use graph::builder::{BuildError, Builder};
use graph::dim::Dim;
use graph::dtype::DType;
use graph::expr::UnOp;
use graph::graph::ValueId;
use graph::node::Combiner;
use graph::region::contract::accumulator;

use super::conv::per_channel;
use crate::operator::{AttrKind, Ctx, Operator, attr, between, exactly};
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "BatchNormalization",
    domain: "",
    versions: &[1, 6, 7, 9, 14, 15],
    inputs: exactly(5),
    outputs: between(1, 5),
    attrs: &[
        attr("consumed_inputs", AttrKind::Ints),
        attr("epsilon", AttrKind::Float),
        attr("is_test", AttrKind::Int),
        attr("momentum", AttrKind::Float),
        attr("spatial", AttrKind::Int),
        attr("training_mode", AttrKind::Int),
    ],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let (x, scale, bias) = (ctx.input(0)?, ctx.input(1)?, ctx.input(2)?);
    let (mean, var) = (ctx.input(3)?, ctx.input(4)?);
    let eps = f64::from(ctx.float_or("epsilon", 1e-5));
    let momentum = f64::from(ctx.float_or("momentum", 0.9));
    let rank = ctx.b.rank(x)?;
    if rank == 0 {
        let what = "BatchNormalization input X".to_string();
        return Err(BuildError::Rank { what, expected: "1 or more".to_string(), found: 0 });
    }
    let spatial = ctx.opset >= 9 || ctx.int_or("spatial", 1) != 0;
    let training = if ctx.opset >= 14 { ctx.int_or("training_mode", 0) != 0 } else { ctx.wants(1) };
    if !training {
        return Ok(vec![normalise(ctx.b, (x, scale, bias), (mean, var), eps, spatial)?.into()]);
    }
    if !spatial {
        let closest = "spatial = 1, or inference".to_string();
        return Err(BuildError::Unsupported { what: "training with spatial = 0".to_string(), closest });
    }
    let (batch_mean, batch_var) = statistics(ctx.b, x)?;
    let y = normalise(ctx.b, (x, scale, bias), (batch_mean, batch_var), eps, true)?;
    let running_mean = blend(ctx.b, mean, batch_mean, momentum)?;
    let running_var = blend(ctx.b, var, batch_var, momentum)?;
    Ok([y, running_mean, running_var, batch_mean, batch_var].into_iter().map(Into::into).collect())
}

fn normalise(
    b: &mut Builder,
    (x, scale, bias): (ValueId, ValueId, ValueId),
    (mean, var): (ValueId, ValueId),
    eps: f64,
    spatial: bool,
) -> Result<ValueId, BuildError> {
    let (dtype, rank) = (b.dtype(x)?, b.rank(x)?);
    let wide = accumulator(dtype);
    let factor = b.map(&[scale, var], |p, v| {
        let (scale, var) = (p.cast(v[0], wide), p.cast(v[1], wide));
        let eps = p.number(wide, eps);
        let sum = p.add(var, eps);
        let root = p.unary(UnOp::Sqrt, sum);
        p.div(scale, root)
    })?;
    let shift = b.map(&[bias, mean, factor], |p, v| {
        let (bias, mean) = (p.cast(v[0], wide), p.cast(v[1], wide));
        let part = p.mul(mean, v[2]);
        p.sub(bias, part)
    })?;
    let (factor, shift) = if spatial && rank > 1 {
        (per_channel(b, factor, rank)?, per_channel(b, shift, rank)?)
    } else {
        (factor, shift)
    };
    b.map(&[x, factor, shift], |p, v| {
        let x = p.cast(v[0], wide);
        let scaled = p.mul(x, v[1]);
        let y = p.add(scaled, v[2]);
        p.cast(y, dtype)
    })
}

/// Mean and variance a channel.
fn statistics(b: &mut Builder, x: ValueId) -> Result<(ValueId, ValueId), BuildError> {
    let shape = b.shape(x)?;
    let wide = accumulator(b.dtype(x)?);
    let axes: Vec<usize> = (0..shape.len()).filter(|d| *d != 1).collect();
    let count = Dim::product(axes.iter().map(|a| &shape[*a]));
    let mean = mean_over(b, x, &axes, &count, wide)?;
    let rank = shape.len();
    let centre = per_channel(b, mean, rank)?;
    let squares = b.map(&[x, centre], |p, v| {
        let x = p.cast(v[0], wide);
        let d = p.sub(x, v[1]);
        p.mul(d, d)
    })?;
    Ok((mean, mean_over(b, squares, &axes, &count, wide)?))
}

fn mean_over(b: &mut Builder, x: ValueId, axes: &[usize], count: &Dim, wide: DType) -> Result<ValueId, BuildError> {
    let divide = |p: &mut graph::builder::Point<'_>, sum| {
        let count = p.dim(count);
        let count = p.cast(count, wide);
        p.div(sum, count)
    };
    b.reduce_with(x, axes, false, Combiner::Sum, |p, e| p.cast(e, wide), divide)
}

/// `old * momentum + new * (1 - momentum)` in the dtype of the old value.
fn blend(b: &mut Builder, old: ValueId, new: ValueId, momentum: f64) -> Result<ValueId, BuildError> {
    let dtype = b.dtype(old)?;
    b.map(&[old, new], |p, v| {
        let wide = p.dtype(v[1]);
        let old = p.cast(v[0], wide);
        let (keep, take) = (p.number(wide, momentum), p.number(wide, 1.0 - momentum));
        let (old, new) = (p.mul(old, keep), p.mul(v[1], take));
        let sum = p.add(old, new);
        p.cast(sum, dtype)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::{Case, check, f32s, float, int, refusal, value};

    #[test]
    fn training_puts_out_running_statistics() {
        let x = f32s(&[2, 1, 1], &[1.0, 3.0]);
        let one = f32s(&[1], &[1.0]);
        let inputs = [value(x), value(one.clone()), value(one.clone()), value(one.clone()), value(one)];
        let attrs = [("training_mode", int(1)), ("epsilon", float(0.0)), ("momentum", float(0.5))];
        let y = f32s(&[2, 1, 1], &[0.0, 2.0]);
        check(&OPERATOR, &attrs, &inputs, &[y, f32s(&[1], &[1.5]), f32s(&[1], &[1.0])]);
    }

    #[test]
    fn old_training_without_spatial_is_refused() {
        let one = f32s(&[1], &[1.0]);
        let inputs =
            [value(f32s(&[2, 1], &[1.0, 3.0])), value(one.clone()), value(one.clone()), value(one.clone()), value(one)];
        let case = Case::of(&OPERATOR, &[("spatial", int(0))], &inputs).opset(7).outputs(3);
        assert!(case.build().err().unwrap().to_string().contains("training with spatial = 0"));
        let error = refusal(&OPERATOR, &[], &[]);
        assert!(error.to_string().contains("input 0"), "{error}");
    }
}
