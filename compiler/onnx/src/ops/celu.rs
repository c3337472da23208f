//! Celu: `max(0, x) + min(0, alpha (e^(x / alpha) - 1))`.
//!
//! <https://onnx.ai/onnx/operators/onnx__Celu.html>
//!
//! | opset | change |
//! |---|---|
//! | 12 | first |
//!
//! Dtypes: float32.

use graph::builder::BuildError;
use graph::expr::UnOp;

use crate::operator::{AttrKind, Ctx, Operator, attr, exactly};
use crate::pointwise;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "Celu",
    domain: "",
    versions: &[12],
    inputs: exactly(1),
    outputs: exactly(1),
    attrs: &[attr("alpha", AttrKind::Float)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let alpha = f64::from(ctx.float_or("alpha", 1.0));
    pointwise::formula(ctx, |p, x| {
        let dtype = p.dtype(x);
        let (alpha, zero) = (p.number(dtype, alpha), p.zero(dtype));
        let ratio = p.div(x, alpha);
        let below = p.unary(UnOp::Expm1, ratio);
        let scaled = p.mul(alpha, below);
        let (upper, lower) = (p.max(x, zero), p.min(scaled, zero));
        p.add(upper, lower)
    })
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{check, f32s, float, i64s, refusal, value};

    #[test]
    fn both_sides_of_zero() {
        let x = f32s(&[5], &[-3.0, -0.25, 0.0, 0.5, 8.0]);
        check(&OPERATOR, &[("alpha", float(2.0))], &[value(x)], &[f32s(&[5], &[-1.55374, -0.2350062, 0.0, 0.5, 8.0])]);
    }

    #[test]
    fn integers_are_refused() {
        let error = refusal(&OPERATOR, &[], &[value(i64s(&[1], &[1]))]);
        assert_eq!(error.to_string(), "dtype i64 is not supported for input 0 of Celu; supported: floats");
    }
}
