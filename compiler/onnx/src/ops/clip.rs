//! Clip: `min(max(x, lo), hi)`; NaN stays, a limit that is left out does not hold.
//!
//! <https://onnx.ai/onnx/operators/onnx__Clip.html>
//!
//! | opset | change |
//! |---|---|
//! | 1 | first |
//! | 6 | `consumed_inputs` gone |
//! | 11 | `max`, `min` are inputs |
//! | 12 | signed integers, unsigned integers |
//! | 13 | bfloat16 |
//!
//! Dtypes: all floats, signed integers, unsigned integers.

use graph::builder::BuildError;
use graph::expr::BinOp;

use crate::operator::{AttrKind, Ctx, Operator, attr, between, exactly};
use crate::pointwise;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "Clip",
    domain: "",
    versions: &[1, 6, 11, 12, 13],
    inputs: between(1, 3),
    outputs: exactly(1),
    attrs: &[attr("consumed_inputs", AttrKind::Ints), attr("max", AttrKind::Float), attr("min", AttrKind::Float)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let x = ctx.input(0)?;
    pointwise::require_class(ctx, 0, pointwise::NUMBERS)?;
    let y = if ctx.opset < 11 {
        let (lo, hi) = (f64::from(ctx.float_or("min", f32::MIN)), f64::from(ctx.float_or("max", f32::MAX)));
        ctx.b.map(&[x], |p, v| {
            let dtype = p.dtype(v[0]);
            let (lo, hi) = (p.number(dtype, lo), p.number(dtype, hi));
            let raised = p.max(v[0], lo);
            p.min(raised, hi)
        })?
    } else {
        let mut y = x;
        if let Some(lo) = pointwise::scalar(ctx, 1)? {
            y = ctx.b.binary(BinOp::Max, y, lo)?;
        }
        if let Some(hi) = pointwise::scalar(ctx, 2)? {
            y = ctx.b.binary(BinOp::Min, y, hi)?;
        }
        y
    };
    Ok(vec![y.into()])
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{Case, bools, check, constant, f32s, float, refusal, value};

    #[test]
    fn crossed_limits_give_the_upper_one() {
        let x = f32s(&[3], &[-2.0, 0.0, f32::NAN]);
        let (lo, hi) = (f32s(&[], &[2.0]), f32s(&[1], &[1.0]));
        check(&OPERATOR, &[], &[value(x), value(lo), constant(hi)], &[f32s(&[3], &[1.0, 1.0, f32::NAN])]);
    }

    #[test]
    fn limits_of_old_opsets_are_attributes() {
        let case = Case::new(&OPERATOR).opset(6).attr("max", float(6.0)).value(f32s(&[2], &[-1.0, 7.0]));
        case.expect(&[f32s(&[2], &[-1.0, 6.0])]);
    }

    #[test]
    fn bool_is_refused() {
        let error = refusal(&OPERATOR, &[], &[value(bools(&[1], &[true]))]);
        assert_eq!(
            error.to_string(),
            "dtype bool is not supported for input 0 of Clip; supported: floats, signed integers, unsigned integers"
        );
    }
}
