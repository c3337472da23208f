//! Softsign: `x / (1 + |x|)`.
//!
//! <https://onnx.ai/onnx/operators/onnx__Softsign.html>
//!
//! | opset | change |
//! |---|---|
//! | 1 | first |
//! | 22 | bfloat16 |
//!
//! Dtypes: all floats.

use graph::builder::BuildError;
use graph::expr::UnOp;

use crate::operator::{Ctx, Operator, exactly};
use crate::pointwise;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "Softsign",
    domain: "",
    versions: &[1, 22],
    inputs: exactly(1),
    outputs: exactly(1),
    attrs: &[],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    pointwise::formula(ctx, |p, x| {
        let dtype = p.dtype(x);
        let (one, magnitude) = (p.number(dtype, 1.0), p.unary(UnOp::Abs, x));
        let divisor = p.add(one, magnitude);
        p.div(x, divisor)
    })
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{check, f32s, i64s, refusal, value};

    #[test]
    fn both_sides_of_zero() {
        let x = f32s(&[5], &[-3.0, -0.25, 0.0, 0.5, 8.0]);
        check(&OPERATOR, &[], &[value(x)], &[f32s(&[5], &[-0.75, -0.2, 0.0, 0.3333333, 0.8888889])]);
    }

    #[test]
    fn integers_are_refused() {
        let error = refusal(&OPERATOR, &[], &[value(i64s(&[1], &[1]))]);
        assert_eq!(error.to_string(), "dtype i64 is not supported for input 0 of Softsign; supported: floats");
    }
}
