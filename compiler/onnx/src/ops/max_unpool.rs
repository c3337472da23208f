//! MaxUnpool: puts the values of a max pool back where its indices say, zero elsewhere.
//!
//! <https://onnx.ai/onnx/operators/onnx__MaxUnpool.html>
//!
//! | opset | change |
//! |---|---|
//! | 9 | first |
//! | 11 | defaults written down |
//! | 22 | bfloat16 |
//!
//! Dtypes: all numbers. Indices count over the shape that the pool's attributes give; a larger `output_shape`, maybe computed at
//! run time, adds zeros behind.

use graph::builder::BuildError;
use graph::dim::Dim;
use graph::dtype::DType;
use graph::expr::BinOp;
use graph::node::ScatterMode;
use graph::scalar::Scalar;

use crate::operator::{AttrKind, Ctx, Operator, attr, between, exactly, required};
use crate::sliding;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "MaxUnpool",
    domain: "",
    versions: &[9, 11, 22],
    inputs: between(2, 3),
    outputs: exactly(1),
    attrs: &[required("kernel_shape", AttrKind::Ints), attr("pads", AttrKind::Ints), attr("strides", AttrKind::Ints)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let (x, indices) = (ctx.input(0)?, ctx.input(1)?);
    let (shape, dtype) = (ctx.b.shape(x)?, ctx.b.dtype(x)?);
    let spatial = sliding::spatial(&shape, "MaxUnpool input X")?;
    let rank = spatial.len();
    let kernel = sliding::kernel_shape(ctx, rank)?;
    let strides = sliding::per_dim(ctx, "strides", rank)?;
    let (before, behind) = sliding::pads(ctx, rank)?;
    let mut pooled = shape[..2].to_vec();
    for d in 0..rank {
        let steps = &(&spatial[d] - &Dim::constant(1)) * &Dim::constant(strides[d]);
        let whole = &steps + &Dim::constant(kernel[d]);
        pooled.push(&(&whole - &before[d]) - &behind[d]);
    }
    let target = match ctx.optional(2)? {
        Some(_) => ctx.dims(2, 0, None)?,
        None => pooled.clone(),
    };
    if target.len() != pooled.len() {
        let what = "output_shape".to_string();
        return Err(BuildError::Rank { what, expected: pooled.len().to_string(), found: target.len() });
    }
    let base = ctx.b.splat(Scalar::zero(dtype), target)?;
    let y = ctx.b.scatter(&[base, x, indices], shape, ScatterMode::Last, |p| {
        let index = p.indices();
        let value = p.load(1, &index);
        let flat = p.load(2, &index);
        let mut flat = p.cast(flat, DType::I64);
        let mut at = Vec::with_capacity(pooled.len());
        for (d, extent) in pooled.iter().enumerate().rev() {
            let extent = p.dim(extent);
            at.push(if d == 0 { flat } else { p.binary(BinOp::Mod, flat, extent) });
            flat = p.binary(BinOp::FloorDiv, flat, extent);
        }
        at.reverse();
        (at, value)
    })?;
    Ok(vec![y.into()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::{check, f32s, i64s, ints, refusal, value};

    #[test]
    fn a_larger_shape_keeps_positions() {
        let inputs = [
            value(f32s(&[1, 1, 1, 2], &[5.0, 6.0])),
            value(i64s(&[1, 1, 1, 2], &[1, 6])),
            value(i64s(&[4], &[1, 1, 2, 5])),
        ];
        let attrs = [("kernel_shape", ints(&[2, 2])), ("strides", ints(&[2, 2]))];
        let y = [0.0, 5.0, 0.0, 0.0, 0.0, 0.0, 0.0, 6.0, 0.0, 0.0];
        check(&OPERATOR, &attrs, &inputs, &[f32s(&[1, 1, 2, 5], &y)]);
    }

    #[test]
    fn a_kernel_of_another_rank_is_refused() {
        let inputs = [value(f32s(&[1, 1, 1], &[0.0])), value(i64s(&[1, 1, 1], &[0]))];
        let error = refusal(&OPERATOR, &[("kernel_shape", ints(&[2, 2]))], &inputs);
        assert!(error.to_string().contains("attribute kernel_shape"), "{error}");
    }
}
