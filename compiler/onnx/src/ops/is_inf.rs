//! IsInf: whether an element is infinite, of the signs asked for.
//!
//! <https://onnx.ai/onnx/operators/onnx__IsInf.html>
//!
//! | opset | change |
//! |---|---|
//! | 10 | first |
//! | 20 | 8-bit floats, bfloat16, float16 |
//!
//! Dtypes: all floats, 8-bit floats.

use graph::builder::BuildError;
use graph::expr::UnOp;
use graph::scalar::Scalar;

use crate::operator::{AttrKind, Ctx, Operator, attr, exactly};
use crate::pointwise;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "IsInf",
    domain: "",
    versions: &[10, 20],
    inputs: exactly(1),
    outputs: exactly(1),
    attrs: &[attr("detect_negative", AttrKind::Int), attr("detect_positive", AttrKind::Int)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let (negative, positive) = (ctx.int_or("detect_negative", 1) != 0, ctx.int_or("detect_positive", 1) != 0);
    let x = ctx.input(0)?;
    pointwise::require_class(ctx, 0, pointwise::FLOATS)?;
    let y = ctx.b.map(&[x], |p, v| {
        let infinite = p.unary(UnOp::IsInf, v[0]);
        let dtype = p.dtype(v[0]);
        let zero = p.zero(dtype);
        match (negative, positive) {
            (true, true) => infinite,
            (true, false) => {
                let below = p.lt(v[0], zero);
                p.and(infinite, below)
            }
            (false, true) => {
                let above = p.lt(zero, v[0]);
                p.and(infinite, above)
            }
            (false, false) => p.constant(Scalar::bool(false)),
        }
    })?;
    Ok(vec![y.into()])
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{bools, check, f32s, i64s, int, refusal, value};

    #[test]
    fn one_sign_only() {
        let x = f32s(&[4], &[f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 1.0]);
        check(&OPERATOR, &[("detect_positive", int(0))], &[value(x)], &[bools(&[4], &[false, true, false, false])]);
    }

    #[test]
    fn integers_are_refused() {
        let error = refusal(&OPERATOR, &[], &[value(i64s(&[1], &[1]))]);
        assert_eq!(error.to_string(), "dtype i64 is not supported for input 0 of IsInf; supported: floats");
    }
}
