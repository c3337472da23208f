//! HardSwish: `x max(0, min(1, x / 6 + 1 / 2))`.
//!
//! <https://onnx.ai/onnx/operators/onnx__HardSwish.html>
//!
//! | opset | change |
//! |---|---|
//! | 14 | first |
//! | 22 | bfloat16 |
//!
//! Dtypes: all floats.

use graph::builder::BuildError;

use crate::operator::{Ctx, Operator, exactly};
use crate::pointwise;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "HardSwish",
    domain: "",
    versions: &[14, 22],
    inputs: exactly(1),
    outputs: exactly(1),
    attrs: &[],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    pointwise::formula(ctx, |p, x| {
        let dtype = p.dtype(x);
        let (slope, half) = (p.number(dtype, 1.0 / 6.0), p.number(dtype, 0.5));
        let (zero, one) = (p.zero(dtype), p.number(dtype, 1.0));
        let scaled = p.mul(slope, x);
        let line = p.add(scaled, half);
        let lowered = p.min(line, one);
        let gate = p.max(lowered, zero);
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
        check(&OPERATOR, &[], &[value(x)], &[f32s(&[5], &[-0.0, -0.1145833, 0.0, 0.2916667, 8.0])]);
    }

    #[test]
    fn integers_are_refused() {
        let error = refusal(&OPERATOR, &[], &[value(i64s(&[1], &[1]))]);
        assert_eq!(error.to_string(), "dtype i64 is not supported for input 0 of HardSwish; supported: floats");
    }
}
