//! Col2Im: sums overlapping blocks, given as columns `[N, C * block, L]`, into an image `[N, C, spatial…]`.
//!
//! <https://onnx.ai/onnx/operators/onnx__Col2Im.html>
//!
//! | opset | change |
//! |---|---|
//! | 18 | first |
//!
//! Dtypes: all numbers; floats summed in f32 or wider. Sizes may be computed at run time.

use graph::builder::BuildError;
use graph::dim::{Dim, Pred};
use graph::expr::BinOp;
use graph::node::Combiner;
use graph::region::contract::accumulator;
use graph::region::window::{Window, scale};

use crate::operator::{AttrKind, Ctx, Operator, attr, exactly};
use crate::sliding;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "Col2Im",
    domain: "",
    versions: &[18],
    inputs: exactly(3),
    outputs: exactly(1),
    attrs: &[attr("dilations", AttrKind::Ints), attr("pads", AttrKind::Ints), attr("strides", AttrKind::Ints)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let columns = ctx.input(0)?;
    let (shape, dtype) = (ctx.b.shape(columns)?, ctx.b.dtype(columns)?);
    let [batch, rows, count] = shape.as_slice() else {
        let what = "Col2Im input".to_string();
        return Err(BuildError::Rank { what, expected: "3".to_string(), found: shape.len() });
    };
    let (image, block) = (ctx.dims(1, 0, None)?, ctx.dims(2, 1, None)?);
    let rank = image.len();
    if block.len() != rank {
        let what = "Col2Im block_shape, by the number of elements of image_shape".to_string();
        return Err(BuildError::Rank { what, expected: rank.to_string(), found: block.len() });
    }
    let (strides, dilations) = (sliding::per_dim(ctx, "strides", rank)?, sliding::per_dim(ctx, "dilations", rank)?);
    let pads = sliding::pads(ctx, rank)?;
    let window = Window::fitting(&ctx.b.model().symbols, (&image, &block), (strides, dilations), pads);
    ctx.b.assume_equal(&Dim::product(&window.output), count, "one column a block")?;
    let size = Dim::product(&block);
    ctx.b.assume(Pred::Divides(size.clone(), rows.clone()), "the block's size divides the rows")?;
    let channels = ctx.b.model().symbols.floor_div(rows, &size);
    let mut result = vec![batch.clone(), channels];
    result.extend(image);
    let wide = accumulator(dtype);
    let y = ctx.b.compute(&[columns], result, |p| {
        let (n, channel) = (p.index(0), p.index(1));
        let (mut row, mut column, mut inside) = (channel, p.int(0), None);
        for (d, size) in block.iter().enumerate() {
            let (k, j) = (p.reduce(size), p.index(2 + d));
            let (extent, blocks) = (p.dim(size), p.dim(&window.output[d]));
            let scaled = p.mul(row, extent);
            row = p.add(scaled, k);
            let (pad, reach) = (p.dim(&window.pads_begin[d]), scale(p, k, window.dilations[d]));
            let padded = p.add(j, pad);
            let distance = p.sub(padded, reach);
            let (stride, zero) = (p.int(window.strides[d]), p.int(0));
            let (step, rest) = (p.binary(BinOp::FloorDiv, distance, stride), p.binary(BinOp::Mod, distance, stride));
            let (whole, low, high) = (p.eq(rest, zero), p.le(zero, step), p.lt(step, blocks));
            let here = p.and(whole, low);
            let here = p.and(here, high);
            inside = Some(match inside {
                Some(so_far) => p.and(so_far, here),
                None => here,
            });
            let scaled = p.mul(column, blocks);
            column = p.add(scaled, step);
        }
        let (outside, zero) = (p.int(-1), p.zero(dtype));
        if let Some(inside) = inside {
            column = p.select(inside, column, outside);
        }
        let value = p.load_or(0, &[n, row, column], zero);
        let value = p.cast(value, wide);
        let sum = p.acc(Combiner::Sum, value);
        let sum = p.cast(sum, dtype);
        p.out(sum);
    })?;
    Ok(vec![y.into()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::{check, f32s, i64s, ints, refusal, value};

    #[test]
    fn overlapping_blocks_with_padding() {
        let columns = f32s(&[1, 2, 3], &[1.0, 2.0, 3.0, 10.0, 20.0, 30.0]);
        let inputs = [value(columns), value(i64s(&[1], &[4])), value(i64s(&[1], &[2]))];
        let attrs = [("pads", ints(&[1, 1])), ("dilations", ints(&[3]))];
        // Block b covers positions b - 1 and b + 2.
        check(&OPERATOR, &attrs, &inputs, &[f32s(&[1, 1, 4], &[2.0, 3.0, 10.0, 20.0])]);
    }

    #[test]
    fn a_wrong_number_of_columns_is_refused() {
        let inputs = [value(f32s(&[1, 1, 1], &[0.0])), value(i64s(&[1], &[4])), value(i64s(&[1], &[1]))];
        let error = crate::ops_testing::Case::new(&OPERATOR)
            .value(f32s(&[1, 1, 1], &[0.0]))
            .constant(i64s(&[1], &[4]))
            .constant(i64s(&[1], &[1]))
            .build()
            .err()
            .unwrap();
        assert!(error.to_string().contains("one column a block"), "{error}");
        let error = refusal(&OPERATOR, &[("strides", ints(&[0]))], &inputs);
        assert!(error.to_string().contains("attribute strides"), "{error}");
    }
}
