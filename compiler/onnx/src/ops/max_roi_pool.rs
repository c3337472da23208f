//! MaxRoiPool: the maximum of each bin of regions of interest, whose corners are rounded to elements.
//!
//! <https://onnx.ai/onnx/operators/onnx__MaxRoiPool.html>
//!
//! | opset | change |
//! |---|---|
//! | 1 | first |
//! | 22 | bfloat16 |
//!
//! Dtypes: all floats. Regions are `[image, x1, y1, x2, y2]`; a bin without elements gives 0.

use graph::builder::{BuildError, Point};
use graph::dim::Dim;
use graph::dtype::DType;
use graph::expr::{ExprId, UnOp};
use graph::node::Combiner;
use graph::region::contract::accumulator;
use graph::scalar::Scalar;

use crate::operator::{AttrKind, Ctx, Operator, attr, exactly, required};
use crate::sliding::mismatch;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "MaxRoiPool",
    domain: "",
    versions: &[1, 22],
    inputs: exactly(2),
    outputs: exactly(1),
    attrs: &[required("pooled_shape", AttrKind::Ints), attr("spatial_scale", AttrKind::Float)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let (x, rois) = (ctx.input(0)?, ctx.input(1)?);
    let (shape, regions, dtype) = (ctx.b.shape(x)?, ctx.b.shape(rois)?, ctx.b.dtype(x)?);
    let ([_, channels, height, width], [count, _]) = (shape.as_slice(), regions.as_slice()) else {
        let what = "X or rois of MaxRoiPool".to_string();
        return Err(BuildError::Rank { what, expected: "4 and 2".to_string(), found: shape.len().min(regions.len()) });
    };
    let bins = match ctx.ints("pooled_shape") {
        Some([rows, columns]) if *rows > 0 && *columns > 0 => [*rows, *columns],
        found => return Err(mismatch("pooled_shape", "two positive numbers", found.unwrap_or_default())),
    };
    let scale = f64::from(ctx.float_or("spatial_scale", 1.0));
    let wide = accumulator(dtype);
    let result = vec![count.clone(), channels.clone(), Dim::constant(bins[0]), Dim::constant(bins[1])];
    let y = ctx.b.compute(&[x, rois], result, |p| {
        let (n, c, zero) = (p.index(0), p.index(1), p.int(0));
        let image = p.load(1, &[n, zero]);
        let image = p.cast(image, DType::I64);
        let mut at = vec![image, c];
        let mut empty = None;
        for (d, extent) in [height, width].into_iter().enumerate() {
            let (start, size) = span(p, d, (bins[d], scale, wide), extent);
            let step = p.reduce_sized(size, extent);
            at.push(p.add(start, step));
            let none = p.le(size, zero);
            empty = Some(match empty {
                Some(so_far) => p.or(so_far, none),
                None => none,
            });
        }
        let lowest = p.constant(Scalar::lowest(dtype));
        let value = p.load_or(0, &at, lowest);
        let mut best = p.acc(Combiner::Max, value);
        if let Some(empty) = empty {
            let zero = p.zero(dtype);
            best = p.select(empty, zero, best);
        }
        p.out(best);
    })?;
    Ok(vec![y.into()])
}

/// First element and number of elements of the bin at the output index along dim `d` (0 rows, 1 columns).
fn span(p: &mut Point<'_>, d: usize, (bins, scale, wide): (i64, f64, DType), extent: &Dim) -> (ExprId, ExprId) {
    let (n, bin) = (p.index(0), p.index(2 + d));
    let (half, factor) = (p.number(wide, 0.5), p.number(wide, scale));
    let corner = |p: &mut Point<'_>, position: i64| {
        let position = p.int(position);
        let value = p.load(1, &[n, position]);
        let value = p.cast(value, wide);
        let scaled = p.mul(value, factor);
        let moved = p.add(scaled, half);
        let whole = p.unary(UnOp::Floor, moved);
        p.cast(whole, DType::I64)
    };
    let (first, last) = (corner(p, 2 - d as i64), corner(p, 4 - d as i64));
    let (zero, one, most) = (p.int(0), p.int(1), p.dim(extent));
    let length = p.sub(last, first);
    let length = p.add(length, one);
    let length = p.max(length, one);
    let (length, total) = (p.cast(length, wide), p.number(wide, bins as f64));
    let size = p.div(length, total);
    let bin = p.cast(bin, wide);
    let low = p.mul(bin, size);
    let low = p.unary(UnOp::Floor, low);
    let unit = p.number(wide, 1.0);
    let next = p.add(bin, unit);
    let high = p.mul(next, size);
    let high = p.unary(UnOp::Ceil, high);
    let clip = |p: &mut Point<'_>, place: ExprId| {
        let place = p.cast(place, DType::I64);
        let place = p.add(place, first);
        let place = p.max(place, zero);
        p.min(place, most)
    };
    let (low, high) = (clip(p, low), clip(p, high));
    let size = p.sub(high, low);
    (low, p.max(size, zero))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::{check, f32s, float, ints, refusal, value};

    #[test]
    fn bins_overlap_and_may_be_empty() {
        let x = f32s(&[1, 1, 1, 3], &[1.0, 5.0, 3.0]);
        let rois = f32s(&[2, 5], &[0.0, 0.0, 0.0, 4.0, 0.0, 0.0, 8.0, 0.0, 8.0, 0.0]);
        let attrs = [("pooled_shape", ints(&[1, 2])), ("spatial_scale", float(0.5))];
        let y = f32s(&[2, 1, 1, 2], &[5.0, 5.0, 0.0, 0.0]);
        check(&OPERATOR, &attrs, &[value(x), value(rois)], &[y]);
    }

    #[test]
    fn one_pooled_extent_is_refused() {
        let inputs = [value(f32s(&[1, 1, 1, 1], &[0.0])), value(f32s(&[1, 5], &[0.0; 5]))];
        let error = refusal(&OPERATOR, &[("pooled_shape", ints(&[1]))], &inputs);
        assert!(error.to_string().contains("two positive numbers"), "{error}");
    }
}
