//! DFT: the discrete Fourier transform along an axis, forward or inverse, whole or one-sided.
//!
//! <https://onnx.ai/onnx/operators/onnx__DFT.html>
//!
//! | opset | change |
//! |---|---|
//! | 17 | first; attribute `axis`, by default 1 |
//! | 20 | `axis` is an input, by default -2 |
//!
//! Dtypes: all floats, computed in f32 or wider. The last dim holds real parts, or real and imaginary ones. One-sided inverse:
//! the input is the first half of the spectrum of a real signal, which comes out. The axis may be
//! computed at run time, where the transform is a plain sum.

use graph::builder::BuildError;
use graph::dim::Dim;

use crate::operator::{AttrKind, Ctx, Operator, attr, between, exactly};
use crate::sizes;
use crate::spectrum::{Transform, extent_along, transform, transform_late};
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "DFT",
    domain: "",
    versions: &[17, 20],
    inputs: between(1, 3),
    outputs: exactly(1),
    attrs: &[attr("axis", AttrKind::Int), attr("inverse", AttrKind::Int), attr("onesided", AttrKind::Int)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let x = ctx.input(0)?;
    let shape = ctx.b.shape(x)?;
    let rank = shape.len();
    let axis = match ctx.optional(2)? {
        Some(_) => sizes::single(ctx, 2, -(rank as i64), Some(rank as i64 - 2))?,
        None if ctx.opset >= 20 => Dim::constant(-2),
        None => Dim::constant(ctx.int_or("axis", 1)),
    };
    let (inverse, onesided) = (ctx.int_or("inverse", 0) != 0, ctx.int_or("onesided", 0) != 0);
    let extent = extent_along(ctx.b, &shape, &axis);
    let length = match ctx.optional(1)? {
        Some(_) => sizes::single(ctx, 1, 0, None)?,
        None if inverse && onesided => &(&extent - &Dim::constant(1)) * &Dim::constant(2),
        None => extent,
    };
    let how = Transform { length, inverse, onesided };
    let y = match axis.as_const() {
        Some(axis) => {
            let axis = ctx.b.axis(axis, rank)?;
            transform(ctx.b, x, axis, &how)?
        }
        None => transform_late(ctx.b, x, &axis, &how)?,
    };
    Ok(vec![y.into()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::{check, constant, f32s, i64s, int, missing, refusal, value};

    #[test]
    fn four_points_there_and_back() {
        let x = f32s(&[4, 1], &[1.0, 2.0, 3.0, 5.0]);
        let half = f32s(&[3, 2], &[11.0, 0.0, -2.0, 3.0, -3.0, 0.0]);
        check(&OPERATOR, &[("onesided", int(1))], &[value(x.clone())], &[half.clone()]);
        check(&OPERATOR, &[("onesided", int(1)), ("inverse", int(1))], &[value(half)], &[x]);
    }

    #[test]
    fn complex_input_is_padded_along_any_axis() {
        let x = f32s(&[1, 2, 2], &[0.0, 1.0, 2.0, 0.0]);
        let inputs = [value(x), value(i64s(&[], &[2])), constant(i64s(&[], &[0]))];
        check(&OPERATOR, &[], &inputs, &[f32s(&[2, 2, 2], &[0.0, 1.0, 2.0, 0.0, 0.0, 1.0, 2.0, 0.0])]);
    }

    #[test]
    fn an_axis_known_at_run_time() {
        let x = f32s(&[2, 2, 1], &[1.0, 2.0, 3.0, 5.0]);
        let inputs = |axis| [value(x.clone()), missing(), value(i64s(&[], &[axis]))];
        let rows = f32s(&[2, 2, 2], &[3.0, 0.0, -1.0, 0.0, 8.0, 0.0, -2.0, 0.0]);
        check(&OPERATOR, &[], &inputs(-2), &[rows]);
        let columns = f32s(&[2, 2, 2], &[4.0, 0.0, 7.0, 0.0, -2.0, 0.0, -3.0, 0.0]);
        check(&OPERATOR, &[], &inputs(0), &[columns]);
    }

    #[test]
    fn the_last_axis_is_refused() {
        let inputs = [value(f32s(&[1, 1], &[0.0])), missing(), constant(i64s(&[], &[-1]))];
        assert_eq!(refusal(&OPERATOR, &[], &inputs).to_string(), "axis 1 is outside -1..1");
    }
}
