//! RoiAlign: pools regions of interest to one size, reading between elements on a grid inside each bin.
//!
//! <https://onnx.ai/onnx/operators/onnx__RoiAlign.html>
//!
//! | opset | change |
//! |---|---|
//! | 10 | first; coordinates as they are (`output_half_pixel`) |
//! | 16 | `coordinate_transformation_mode`, by default half_pixel |
//! | 22 | bfloat16 |
//!
//! Dtypes: all floats, computed in f32 or wider. `sampling_ratio` 0 takes as many samples a bin as it covers elements, at most
//! as many as the image has along that dim.

use graph::builder::{BuildError, Point};
use graph::dim::Dim;
use graph::dtype::DType;
use graph::expr::{ExprId, UnOp};
use graph::node::Combiner;
use graph::region::contract::accumulator;

use crate::operator::{AttrKind, Ctx, Operator, attr, exactly};
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "RoiAlign",
    domain: "",
    versions: &[10, 16, 22],
    inputs: exactly(3),
    outputs: exactly(1),
    attrs: &[
        attr("coordinate_transformation_mode", AttrKind::String),
        attr("mode", AttrKind::String),
        attr("output_height", AttrKind::Int),
        attr("output_width", AttrKind::Int),
        attr("sampling_ratio", AttrKind::Int),
        attr("spatial_scale", AttrKind::Float),
    ],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let (x, rois, batch) = (ctx.input(0)?, ctx.input(1)?, ctx.input(2)?);
    let (shape, regions, dtype) = (ctx.b.shape(x)?, ctx.b.shape(rois)?, ctx.b.dtype(x)?);
    let ([_, channels, height, width], [count, _]) = (shape.as_slice(), regions.as_slice()) else {
        let what = "X or rois of RoiAlign".to_string();
        return Err(BuildError::Rank { what, expected: "4 and 2".to_string(), found: shape.len().min(regions.len()) });
    };
    let refused = |name: &str, expected: &str, found: &str| BuildError::Attr {
        name: name.to_string(),
        expected: expected.to_string(),
        found: found.to_string(),
    };
    let default = if ctx.opset < 16 { "output_half_pixel" } else { "half_pixel" };
    let half_pixel = match ctx.string("coordinate_transformation_mode").unwrap_or(default) {
        "half_pixel" => true,
        "output_half_pixel" => false,
        other => return Err(refused("coordinate_transformation_mode", "half_pixel or output_half_pixel", other)),
    };
    let maximum = match ctx.string("mode").unwrap_or("avg") {
        "avg" => false,
        "max" => true,
        other => return Err(refused("mode", "avg or max", other)),
    };
    let ratio = ctx.int_or("sampling_ratio", 0);
    let bins = [ctx.int_or("output_height", 1), ctx.int_or("output_width", 1)];
    let wide = accumulator(dtype);
    let scale = f64::from(ctx.float_or("spatial_scale", 1.0));
    let frame = Frame { wide, scale, half_pixel, ratio };
    let result = vec![count.clone(), channels.clone(), Dim::constant(bins[0]), Dim::constant(bins[1])];
    let y = ctx.b.compute(&[x, rois, batch], result, |p| {
        let (n, c) = (p.index(0), p.index(1));
        let rows = frame.samples(p, 0, bins[0], height);
        let columns = frame.samples(p, 1, bins[1], width);
        let image = p.load(2, &[n]);
        let image = p.cast(image, DType::I64);
        let inside = p.and(rows.inside, columns.inside);
        let zero = p.zero(wide);
        let mut corners = Vec::new();
        for (y, wy) in [(rows.low, rows.low_weight), (rows.high, rows.high_weight)] {
            for (x, wx) in [(columns.low, columns.low_weight), (columns.high, columns.high_weight)] {
                let outside = p.zero(dtype);
                let value = p.load_or(0, &[image, c, y, x], outside);
                let value = p.cast(value, wide);
                let weight = p.mul(wy, wx);
                let term = p.mul(value, weight);
                corners.push(p.select(inside, term, zero));
            }
        }
        let combine = |p: &mut Point<'_>, a, b| if maximum { p.max(a, b) } else { p.add(a, b) };
        let mut sample = corners[0];
        for corner in &corners[1..] {
            sample = combine(p, sample, *corner);
        }
        let count = p.mul(rows.count, columns.count);
        let none = p.int(0);
        let empty = p.le(count, none);
        let pooled = if maximum {
            p.acc(Combiner::Max, sample)
        } else {
            let sum = p.acc(Combiner::Sum, sample);
            let count = p.cast(count, wide);
            p.div(sum, count)
        };
        let pooled = p.select(empty, zero, pooled);
        let pooled = p.cast(pooled, dtype);
        p.out(pooled);
    })?;
    Ok(vec![y.into()])
}

struct Frame {
    wide: DType,
    scale: f64,
    half_pixel: bool,
    ratio: i64,
}

/// One dim of a sample: its two neighbours, their weights, whether it lies in reach of the image, samples a bin.
struct Sample {
    low: ExprId,
    high: ExprId,
    low_weight: ExprId,
    high_weight: ExprId,
    inside: ExprId,
    count: ExprId,
}

impl Frame {
    /// The samples along dim `d` (0 rows, 1 columns) as a reduction dim.
    fn samples(&self, p: &mut Point<'_>, d: usize, bins: i64, extent: &Dim) -> Sample {
        let wide = self.wide;
        let (n, bin) = (p.index(0), p.index(2 + d));
        let scale = p.number(wide, self.scale);
        let offset = p.number(wide, if self.half_pixel { 0.5 } else { 0.0 });
        let corner = |p: &mut Point<'_>, position: i64| {
            let position = p.int(position);
            let value = p.load(1, &[n, position]);
            let value = p.cast(value, wide);
            let value = p.mul(value, scale);
            p.sub(value, offset)
        };
        let (start, end) = (corner(p, 1 - d as i64), corner(p, 3 - d as i64));
        let (one, zero) = (p.number(wide, 1.0), p.zero(wide));
        let mut span = p.sub(end, start);
        if !self.half_pixel {
            span = p.max(span, one);
        }
        let total = p.number(wide, bins as f64);
        let size = p.div(span, total);
        let (count, step) = if self.ratio > 0 {
            (p.int(self.ratio), p.reduce(&Dim::constant(self.ratio)))
        } else {
            let whole = p.unary(UnOp::Ceil, size);
            let whole = p.cast(whole, DType::I64);
            let (none, most) = (p.int(0), p.dim(extent));
            let whole = p.max(whole, none);
            let count = p.min(whole, most);
            (count, p.reduce_sized(count, extent))
        };
        let (steps, step, bin) = (p.cast(count, wide), p.cast(step, wide), p.cast(bin, wide));
        let half = p.number(wide, 0.5);
        let offset = p.mul(bin, size);
        let base = p.add(start, offset);
        let middle = p.add(step, half);
        let scaled = p.mul(middle, size);
        let within = p.div(scaled, steps);
        let place = p.add(base, within);
        let (minus_one, last) = (p.number(wide, -1.0), p.dim(&(extent - &Dim::constant(1))));
        let limit = p.dim(extent);
        let limit = p.cast(limit, wide);
        let (not_below, not_above) = (p.le(minus_one, place), p.le(place, limit));
        let inside = p.and(not_below, not_above);
        let place = p.max(place, zero);
        let below = p.cast(place, DType::I64);
        let at_end = p.le(last, below);
        let low = p.min(below, last);
        let step = p.int(1);
        let next = p.add(low, step);
        let high = p.min(next, last);
        let low_place = p.cast(low, wide);
        let place = p.select(at_end, low_place, place);
        let high_weight = p.sub(place, low_place);
        let low_weight = p.sub(one, high_weight);
        Sample { low, high, low_weight, high_weight, inside, count }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::{check, f32s, i64s, int, refusal, string, value};

    fn inputs() -> [crate::ops_testing::Arg; 3] {
        let x = f32s(&[1, 1, 2, 2], &[1.0, 3.0, 5.0, 7.0]);
        [value(x), value(f32s(&[1, 4], &[0.0, 0.0, 2.0, 2.0])), value(i64s(&[1], &[0]))]
    }

    #[test]
    fn as_many_samples_as_elements() {
        check(&OPERATOR, &[], &inputs(), &[f32s(&[1, 1, 1, 1], &[4.0])]);
        let attrs = [("sampling_ratio", int(1)), ("output_width", int(2))];
        check(&OPERATOR, &attrs, &inputs(), &[f32s(&[1, 1, 1, 2], &[3.0, 5.0])]);
    }

    #[test]
    fn an_unknown_mode_is_refused() {
        let error = refusal(&OPERATOR, &[("mode", string("sum"))], &inputs());
        assert_eq!(error.to_string(), "attribute mode: expected avg or max, found sum");
    }
}
