//! HardSigmoid: `max(0, min(1, alpha x + beta))`.
//!
//! <https://onnx.ai/onnx/operators/onnx__HardSigmoid.html>
//!
//! | opset | change |
//! |---|---|
//! | 1 | first |
//! | 6 | `consumed_inputs` gone |
//! | 22 | bfloat16 |
//!
//! Dtypes: all floats.

use graph::builder::BuildError;

use crate::operator::{AttrKind, Ctx, Operator, attr, exactly};
use crate::pointwise;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "HardSigmoid",
    domain: "",
    versions: &[1, 6, 22],
    inputs: exactly(1),
    outputs: exactly(1),
    attrs: &[attr("alpha", AttrKind::Float), attr("beta", AttrKind::Float), attr("consumed_inputs", AttrKind::Ints)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let (alpha, beta) = (f64::from(ctx.float_or("alpha", 0.2)), f64::from(ctx.float_or("beta", 0.5)));
    pointwise::formula(ctx, |p, x| {
        let dtype = p.dtype(x);
        let (alpha, beta) = (p.number(dtype, alpha), p.number(dtype, beta));
        let (zero, one) = (p.zero(dtype), p.number(dtype, 1.0));
        let scaled = p.mul(alpha, x);
        let line = p.add(scaled, beta);
        let lowered = p.min(line, one);
        p.max(lowered, zero)
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
            &[("alpha", float(0.5)), ("beta", float(0.25))],
            &[value(x)],
            &[f32s(&[5], &[0.0, 0.125, 0.25, 0.5, 1.0])],
        );
    }

    #[test]
    fn integers_are_refused() {
        let error = refusal(&OPERATOR, &[], &[value(i64s(&[1], &[1]))]);
        assert_eq!(error.to_string(), "dtype i64 is not supported for input 0 of HardSigmoid; supported: floats");
    }
}
