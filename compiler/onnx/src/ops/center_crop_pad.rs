//! CenterCropPad: the middle of the input, or the input in the middle of zeros, in the sizes asked for; odd rests round down.
//!
//! <https://onnx.ai/onnx/operators/onnx__CenterCropPad.html>
//!
//! | opset | change |
//! |---|---|
//! | 18 | first |
//!
//! Dtypes: all but strings.
//!
//! Refused: a shape tensor of unknown length.

use graph::builder::BuildError;
use graph::dim::{Dim, Pred};
use graph::expr::ExprId;

use crate::operator::{AttrKind, Ctx, Operator, attr, exactly};
use crate::value::ImportValue;
use crate::{indexing, sizes};

pub const OPERATOR: Operator = Operator {
    name: "CenterCropPad",
    domain: "",
    versions: &[18],
    inputs: exactly(2),
    outputs: exactly(1),
    attrs: &[attr("axes", AttrKind::Ints)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let x = ctx.input(0)?;
    let from = ctx.shape(0)?;
    let rank = from.len();
    let wanted = ctx.dims(1, 0, None)?;
    let axes = match ctx.ints("axes") {
        Some(axes) => axes.iter().map(|a| ctx.b.axis(*a, rank).map(Dim::from)).collect::<Result<_, _>>()?,
        None => sizes::all_axes(rank),
    };
    sizes::require_count("shape", wanted.len(), axes.len())?;
    let mut shape = Vec::with_capacity(rank);
    let mut starts = Vec::with_capacity(rank);
    for (d, extent) in from.iter().enumerate() {
        let size = sizes::at_axis(ctx.b, &axes, &wanted, d, rank, extent);
        let symbols = &ctx.b.model().symbols;
        let two = Dim::constant(2);
        let (crop, pad) = (symbols.floor_div(&(extent - &size), &two), symbols.floor_div(&(&size - extent), &two));
        starts.push(symbols.select(&Pred::Le(size.clone(), extent.clone()), &crop, &-&pad));
        shape.push(size);
    }
    if shape == from {
        return Ok(vec![x.into()]);
    }
    let one = Dim::constant(1);
    let y = ctx.b.compute(&[x], shape, |p| {
        let index: Vec<ExprId> = starts
            .iter()
            .enumerate()
            .map(|(d, start)| {
                let i = p.index(d);
                indexing::stride(p, i, start, &one)
            })
            .collect();
        let value = indexing::load(p, &index, false);
        p.out(value);
    })?;
    Ok(vec![y.into()])
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{check, constant, i64s, refusal, value};

    #[test]
    fn crop_and_pad_by_odd_sizes() {
        let x = i64s(&[3, 2], &[1, 2, 3, 4, 5, 6]);
        let inputs = [value(x), value(i64s(&[2], &[2, 5]))];
        check(&OPERATOR, &[], &inputs, &[i64s(&[2, 5], &[0, 1, 2, 0, 0, 0, 3, 4, 0, 0])]);
    }

    #[test]
    fn a_size_for_every_axis() {
        let inputs = [value(i64s(&[1], &[1])), constant(i64s(&[2], &[1, 1]))];
        let error = refusal(&OPERATOR, &[], &inputs);
        assert_eq!(error.to_string(), "elements of shape: expected 1, found 2");
    }
}
