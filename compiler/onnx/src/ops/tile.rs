//! Tile: the input repeated `repeats[d]` times along every dim (opset 1: `tiles` times along one axis).
//!
//! <https://onnx.ai/onnx/operators/onnx__Tile.html>
//!
//! | opset | change |
//! |---|---|
//! | 1 | first |
//! | 6 | `repeats`, one an axis |
//! | 13 | bfloat16 |
//!
//! Dtypes: all but strings.
//!
//! Refused: `repeats` of unknown length.

use graph::builder::BuildError;
use graph::dim::Dim;
use graph::expr::BinOp;

use crate::operator::{Ctx, Operator, between, exactly};
use crate::sizes;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "Tile",
    domain: "",
    versions: &[1, 6, 13],
    inputs: between(2, 3),
    outputs: exactly(1),
    attrs: &[],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let x = ctx.input(0)?;
    let from = ctx.shape(0)?;
    let repeats = if ctx.opset < 6 {
        let tiles = sizes::single(ctx, 1, 0, None)?;
        let axis = sizes::single(ctx, 2, 0, Some(from.len() as i64 - 1))?;
        let one = Dim::constant(1);
        let (axes, tiles) = ([axis], [tiles]);
        (0..from.len()).map(|d| sizes::at_axis(ctx.b, &axes, &tiles, d, from.len(), &one)).collect()
    } else {
        ctx.dims(1, 0, None)?
    };
    sizes::require_count("repeats", repeats.len(), from.len())?;
    let shape: Vec<Dim> = from.iter().zip(&repeats).map(|(extent, times)| extent * times).collect();
    if shape == from {
        return Ok(vec![x.into()]);
    }
    let y = ctx.b.compute(&[x], shape, |p| {
        let mut index = Vec::with_capacity(from.len());
        for (d, (extent, times)) in from.iter().zip(&repeats).enumerate() {
            let i = p.index(d);
            index.push(if times.is(1) {
                i
            } else if extent.is(1) {
                p.int(0)
            } else {
                let extent = p.dim(extent);
                p.binary(BinOp::Mod, i, extent)
            });
        }
        let value = p.load(0, &index);
        p.out(value);
    })?;
    Ok(vec![y.into()])
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{check, constant, f32s, i64s, refusal, value};

    #[test]
    fn repeats_at_run_time() {
        let x = f32s(&[1, 2], &[1.0, 2.0]);
        let y = f32s(&[2, 4], &[1.0, 2.0, 1.0, 2.0, 1.0, 2.0, 1.0, 2.0]);
        check(&OPERATOR, &[], &[value(x), value(i64s(&[2], &[2, 2]))], &[y]);
    }

    #[test]
    fn a_list_of_the_wrong_length_is_refused() {
        let error = refusal(&OPERATOR, &[], &[value(f32s(&[1], &[1.0])), constant(i64s(&[2], &[1, 1]))]);
        assert_eq!(error.to_string(), "elements of repeats: expected 1, found 2");
    }
}
