//! AffineGrid: sampling positions of an image or volume under affine maps, for GridSample.
//!
//! <https://onnx.ai/onnx/operators/onnx__AffineGrid.html>
//!
//! | opset | change |
//! |---|---|
//! | 20 | first |
//!
//! Dtypes: all floats, computed in f32 or wider. The size `[N, C, spatial…]` may be computed at run time; `theta` is
//! `[N, rank, rank + 1]`.

use graph::builder::BuildError;
use graph::dim::Dim;
use graph::graph::ValueId;
use graph::region::contract::accumulator;

use crate::operator::{AttrKind, Ctx, Operator, attr, exactly};
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "AffineGrid",
    domain: "",
    versions: &[20],
    inputs: exactly(2),
    outputs: exactly(1),
    attrs: &[attr("align_corners", AttrKind::Int)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let theta: ValueId = ctx.input(0)?;
    let (shape, dtype) = (ctx.b.shape(theta)?, ctx.b.dtype(theta)?);
    let size = ctx.dims(1, 0, None)?;
    let spatial = match size.as_slice() {
        [_, _, spatial @ ..] if !spatial.is_empty() && shape.len() == 3 => spatial.to_vec(),
        _ => {
            let what = "theta and size of AffineGrid".to_string();
            return Err(BuildError::Operand {
                what,
                expected: "[N, r, r + 1] and N, C and r extents".to_string(),
                found: format!("rank {} and {} extents", shape.len(), size.len()),
            });
        }
    };
    let rank = spatial.len();
    ctx.b.assume_equal(&shape[1], &Dim::from(rank), "theta has one row a spatial dim")?;
    ctx.b.assume_equal(&shape[2], &Dim::from(rank + 1), "theta has one column more than rows")?;
    let align = ctx.int_or("align_corners", 0) != 0;
    let wide = accumulator(dtype);
    let mut result = vec![shape[0].clone()];
    result.extend(spatial.iter().cloned());
    result.push(Dim::from(rank));
    let grid = ctx.b.compute(&[theta], result, |p| {
        let (n, row) = (p.index(0), p.index(1 + rank));
        let at = p.int(rank as i64);
        let mut sum = p.load(0, &[n, row, at]);
        sum = p.cast(sum, wide);
        for (d, extent) in spatial.iter().enumerate() {
            // Coordinates count dims from the last.
            let (i, column) = (p.index(1 + d), p.int((rank - 1 - d) as i64));
            let i = p.cast(i, wide);
            let (one, two) = (p.number(wide, 1.0), p.number(wide, 2.0));
            let doubled = p.mul(i, two);
            let place = if align {
                let steps = p.dim(&(extent - &Dim::constant(1)));
                let steps = p.cast(steps, wide);
                let ratio = p.div(doubled, steps);
                p.sub(ratio, one)
            } else {
                let (middle, steps) = (p.add(doubled, one), p.dim(extent));
                let steps = p.cast(steps, wide);
                let ratio = p.div(middle, steps);
                p.sub(ratio, one)
            };
            let weight = p.load(0, &[n, row, column]);
            let weight = p.cast(weight, wide);
            let term = p.mul(weight, place);
            sum = p.add(sum, term);
        }
        let sum = p.cast(sum, dtype);
        p.out(sum);
    })?;
    Ok(vec![grid.into()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::{check, f32s, i64s, int, refusal, value};

    #[test]
    fn a_swap_of_axes_to_the_corners() {
        let theta = f32s(&[1, 2, 3], &[0.0, 1.0, 0.0, 1.0, 0.0, 5.0]);
        let inputs = [value(theta), value(i64s(&[4], &[1, 1, 2, 3]))];
        let y = [-1.0, 4.0, -1.0, 5.0, -1.0, 6.0, 1.0, 4.0, 1.0, 5.0, 1.0, 6.0];
        check(&OPERATOR, &[("align_corners", int(1))], &inputs, &[f32s(&[1, 2, 3, 2], &y)]);
    }

    #[test]
    fn a_size_of_another_rank_is_refused() {
        let inputs = [value(f32s(&[1, 2, 3], &[0.0; 6])), value(i64s(&[5], &[1; 5]))];
        let error = refusal(&OPERATOR, &[], &inputs);
        assert!(error.to_string().contains("one row a spatial dim"), "{error}");
    }
}
