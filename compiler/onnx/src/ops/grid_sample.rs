//! GridSample: reads an image or volume at given positions between its elements.
//!
//! <https://onnx.ai/onnx/operators/onnx__GridSample.html>
//!
//! | opset | change |
//! |---|---|
//! | 16 | first; modes `bilinear`, `nearest`, `bicubic` over two spatial dims |
//! | 20 | any number of spatial dims; modes `linear`, `nearest`, `cubic` |
//! | 22 | bfloat16 |
//!
//! Dtypes: all floats, computed in f32 or wider; with nearest every dtype. Positions run from -1 to 1 over an extent, the last
//! spatial dim first.

use graph::builder::BuildError;
use graph::dim::Dim;
use graph::node::Combiner;
use graph::region::contract::accumulator;

use crate::operator::{AttrKind, Ctx, Operator, attr, exactly};
use crate::sampling::{Beyond, Kernel, Tap, product, taps};
use crate::sliding;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "GridSample",
    domain: "",
    versions: &[16, 20, 22],
    inputs: exactly(2),
    outputs: exactly(1),
    attrs: &[
        attr("align_corners", AttrKind::Int),
        attr("mode", AttrKind::String),
        attr("padding_mode", AttrKind::String),
    ],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let (x, grid) = (ctx.input(0)?, ctx.input(1)?);
    let (shape, at, dtype) = (ctx.b.shape(x)?, ctx.b.shape(grid)?, ctx.b.dtype(x)?);
    let spatial = sliding::spatial(&shape, "GridSample input X")?;
    let rank = spatial.len();
    if at.len() != rank + 2 {
        let what = "grid".to_string();
        return Err(BuildError::Rank { what, expected: (rank + 2).to_string(), found: at.len() });
    }
    ctx.b.assume_equal(&at[0], &shape[0], "batch of X and grid")?;
    ctx.b.assume_equal(&at[rank + 1], &Dim::from(rank), "the grid holds one coordinate a spatial dim")?;
    let align = ctx.int_or("align_corners", 0) != 0;
    let refused = |name: &str, expected: &str, found: &str| BuildError::Attr {
        name: name.to_string(),
        expected: expected.to_string(),
        found: found.to_string(),
    };
    let kernel = match ctx.string("mode").unwrap_or("linear") {
        "linear" | "bilinear" => Kernel::Linear,
        "nearest" => Kernel::Nearest,
        "cubic" | "bicubic" => Kernel::Cubic,
        other => return Err(refused("mode", "linear, nearest or cubic", other)),
    };
    let beyond = match ctx.string("padding_mode").unwrap_or("zeros") {
        "zeros" => Beyond::Zero,
        "border" => Beyond::Border,
        "reflection" => Beyond::Reflect { centres: align },
        other => return Err(refused("padding_mode", "zeros, border or reflection", other)),
    };
    let wide = if kernel == Kernel::Nearest { dtype } else { accumulator(dtype) };
    let place = accumulator(ctx.b.dtype(grid)?);
    let mut result = shape[..2].to_vec();
    result.extend_from_slice(&at[1..=rank]);
    let y = ctx.b.compute(&[x, grid], result, |p| {
        let index = p.indices();
        let mut found: Vec<Tap> = Vec::with_capacity(rank);
        for (d, extent) in spatial.iter().enumerate() {
            let mut where_ = vec![index[0]];
            where_.extend_from_slice(&index[2..]);
            where_.push(p.int((rank - 1 - d) as i64));
            let coordinate = p.load(1, &where_);
            let coordinate = p.cast(coordinate, place);
            let (one, two) = (p.number(place, 1.0), p.number(place, 2.0));
            let from_start = p.add(coordinate, one);
            let size = p.dim(extent);
            let size = p.cast(size, place);
            let position = if align {
                let (half, steps) = (p.div(from_start, two), p.sub(size, one));
                p.mul(half, steps)
            } else {
                let scaled = p.mul(from_start, size);
                let corner = p.sub(scaled, one);
                p.div(corner, two)
            };
            found.push(taps(p, position, extent, kernel, beyond));
        }
        let mut source = index[..2].to_vec();
        source.extend(found.iter().map(|t| t.position));
        let zero = p.zero(dtype);
        let value = p.load_or(0, &source, zero);
        let mut value = p.cast(value, wide);
        if let Some(weight) = product(p, &found) {
            let weight = p.cast(weight, wide);
            let term = p.mul(value, weight);
            value = p.acc(Combiner::Sum, term);
        }
        let value = p.cast(value, dtype);
        p.out(value);
    })?;
    Ok(vec![y.into()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::{check, f32s, int, refusal, string, value};

    fn run(mode: &str, padding: &str, align: i64, at: &[f32], expected: &[f32]) {
        let inputs = [value(f32s(&[1, 1, 3], &[1.0, 2.0, 4.0])), value(f32s(&[1, at.len(), 1], at))];
        let attrs = [("mode", string(mode)), ("padding_mode", string(padding)), ("align_corners", int(align))];
        check(&OPERATOR, &attrs, &inputs, &[f32s(&[1, 1, expected.len()], expected)]);
    }

    #[test]
    fn one_spatial_dim_in_every_mode() {
        run("linear", "zeros", 1, &[-1.0, 0.5, 1.5], &[1.0, 3.0, 2.0]);
        run("linear", "border", 1, &[-3.0, 3.0], &[1.0, 4.0]);
        run("nearest", "reflection", 1, &[2.0, -2.0, 5.0], &[2.0, 2.0, 4.0]);
        run("linear", "reflection", 0, &[1.0 + 1.0 / 3.0], &[4.0]);
        run("cubic", "zeros", 1, &[0.0], &[2.0]);
    }

    #[test]
    fn an_unknown_padding_is_refused() {
        let inputs = [value(f32s(&[1, 1, 1], &[0.0])), value(f32s(&[1, 1, 1], &[0.0]))];
        let error = refusal(&OPERATOR, &[("padding_mode", string("wrap"))], &inputs);
        assert!(error.to_string().contains("zeros, border or reflection"), "{error}");
    }
}
