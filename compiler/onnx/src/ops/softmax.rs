//! Softmax: `exp(x) / sum exp(x)` along an axis.
//!
//! <https://onnx.ai/onnx/operators/onnx__Softmax.html>
//!
//! | opset | change |
//! |---|---|
//! | 1 | first; X counts as a matrix, the dims from `axis` on being its columns; `axis` is 1 by default |
//! | 11 | negative axes |
//! | 13 | one axis, by default the last; bfloat16 |
//!
//! Dtypes: all floats, computed in f32 or wider.

use graph::builder::{BuildError, Builder};
use graph::dim::Dim;
use graph::graph::ValueId;
use graph::region::softmax::Softmax;

use crate::operator::{AttrKind, Ctx, Operator, attr, exactly};
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "Softmax",
    domain: "",
    versions: &[1, 11, 13],
    inputs: exactly(1),
    outputs: exactly(1),
    attrs: &[attr("axis", AttrKind::Int)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    along_axis(ctx, |b, x, axis| b.softmax(Softmax { axis, log: false }, x))
}

/// Applies a function of a tensor and an axis; below opset 13 to the matrix whose columns are the dims from `axis` on.
pub fn along_axis(
    ctx: &mut Ctx<'_>,
    apply: impl FnOnce(&mut Builder, ValueId, usize) -> Result<ValueId, BuildError>,
) -> Result<Vec<ImportValue>, BuildError> {
    let x = ctx.input(0)?;
    let shape = ctx.b.shape(x)?;
    if shape.is_empty() && ctx.opset >= 13 {
        let row = ctx.b.reshape(x, vec![Dim::constant(1)])?;
        let y = apply(ctx.b, row, 0)?;
        return Ok(vec![ctx.b.reshape(y, shape)?.into()]);
    }
    let default = if ctx.opset >= 13 { -1 } else { 1 };
    let axis = ctx.int_or("axis", default);
    if ctx.opset < 13 && axis == shape.len() as i64 {
        // Every element is a row of its own.
        let column = ctx.b.unsqueeze(x, &[shape.len()])?;
        let y = apply(ctx.b, column, shape.len())?;
        return Ok(vec![ctx.b.reshape(y, shape)?.into()]);
    }
    let axis = ctx.b.axis(axis, shape.len())?;
    if ctx.opset >= 13 || axis + 1 == shape.len() {
        return Ok(vec![apply(ctx.b, x, axis)?.into()]);
    }
    let mut matrix = shape[..axis].to_vec();
    matrix.push(Dim::product(&shape[axis..]));
    let rows = ctx.b.reshape(x, matrix)?;
    let y = apply(ctx.b, rows, axis)?;
    Ok(vec![ctx.b.reshape(y, shape)?.into()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::{Case, check, f32s, int, refusal, value};

    #[test]
    fn large_values_do_not_overflow() {
        let x = f32s(&[2, 1], &[1000.0, 1000.0]);
        check(&OPERATOR, &[("axis", int(0))], &[value(x)], &[f32s(&[2, 1], &[0.5, 0.5])]);
    }

    #[test]
    fn old_versions_take_trailing_dims_together() {
        let x = f32s(&[1, 2, 2], &[0.0; 4]);
        Case::new(&OPERATOR).opset(11).value(x).expect(&[f32s(&[1, 2, 2], &[0.25; 4])]);
    }

    #[test]
    fn an_axis_that_is_not_there_is_refused() {
        let error = refusal(&OPERATOR, &[("axis", int(2))], &[value(f32s(&[1, 1], &[0.0]))]);
        assert_eq!(error.to_string(), "axis 2 is outside -2..2");
    }
}
