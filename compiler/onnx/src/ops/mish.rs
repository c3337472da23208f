//! Mish: `x tanh(ln(1 + e^x))`, the logarithm in the form that does not overflow.
//!
//! <https://onnx.ai/onnx/operators/onnx__Mish.html>
//!
//! | opset | change |
//! |---|---|
//! | 18 | first |
//! | 22 | bfloat16 |
//!
//! Dtypes: all floats.

use graph::builder::BuildError;
use graph::expr::UnOp;

use crate::operator::{Ctx, Operator, exactly};
use crate::pointwise;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "Mish",
    domain: "",
    versions: &[18, 22],
    inputs: exactly(1),
    outputs: exactly(1),
    attrs: &[],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    pointwise::formula(ctx, |p, x| {
        let soft = pointwise::softplus(p, x);
        let gate = p.unary(UnOp::Tanh, soft);
        p.mul(x, gate)
    })
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{check, f32s, i64s, refusal, value};

    #[test]
    fn both_sides_of_zero() {
        let x = f32s(&[5], &[-3.0, -0.25, 0.0, 0.5, 8.0]);
        check(&OPERATOR, &[], &[value(x)], &[f32s(&[5], &[-0.1456475, -0.129927, 0.0, 0.3752452, 7.999998])]);
    }

    #[test]
    fn integers_are_refused() {
        let error = refusal(&OPERATOR, &[], &[value(i64s(&[1], &[1]))]);
        assert_eq!(error.to_string(), "dtype i64 is not supported for input 0 of Mish; supported: floats");
    }
}
