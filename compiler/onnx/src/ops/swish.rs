//! Swish: `x / (1 + e^(-alpha x))`.
//!
//! <https://onnx.ai/onnx/operators/onnx__Swish.html>
//!
//! | opset | change |
//! |---|---|
//! | 24 | first |
//!
//! Dtypes: all floats.

use graph::builder::BuildError;
use graph::expr::UnOp;

use crate::operator::{AttrKind, Ctx, Operator, attr, exactly};
use crate::pointwise;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "Swish",
    domain: "",
    versions: &[24],
    inputs: exactly(1),
    outputs: exactly(1),
    attrs: &[attr("alpha", AttrKind::Float)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let alpha = f64::from(ctx.float_or("alpha", 1.0));
    pointwise::formula(ctx, |p, x| {
        let dtype = p.dtype(x);
        let alpha = p.number(dtype, alpha);
        let scaled = p.mul(alpha, x);
        let gate = p.unary(UnOp::Sigmoid, scaled);
        p.mul(x, gate)
    })
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{check, f32s, float, i64s, refusal, value};

    #[test]
    fn both_sides_of_zero() {
        let x = f32s(&[5], &[-3.0, -0.25, 0.0, 0.5, 8.0]);
        check(
            &OPERATOR,
            &[("alpha", float(2.0))],
            &[value(x)],
            &[f32s(&[5], &[-0.007417869, -0.09438517, 0.0, 0.3655293, 7.999999])],
        );
    }

    #[test]
    fn integers_are_refused() {
        let error = refusal(&OPERATOR, &[], &[value(i64s(&[1], &[1]))]);
        assert_eq!(error.to_string(), "dtype i64 is not supported for input 0 of Swish; supported: floats");
    }
}
