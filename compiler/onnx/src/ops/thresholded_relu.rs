//! ThresholdedRelu: `x` where above `alpha`, else 0.
//!
//! <https://onnx.ai/onnx/operators/onnx__ThresholdedRelu.html>
//!
//! | opset | change |
//! |---|---|
//! | 10 | first |
//! | 22 | bfloat16 |
//!
//! Dtypes: all floats.

use graph::builder::BuildError;

use crate::operator::{AttrKind, Ctx, Operator, attr, exactly};
use crate::pointwise;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "ThresholdedRelu",
    domain: "",
    versions: &[10, 22],
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
        let above = p.lt(alpha, x);
        p.select(above, x, zero)
    })
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{check, f32s, float, i64s, refusal, value};

    #[test]
    fn both_sides_of_zero() {
        let x = f32s(&[5], &[-3.0, -0.25, 0.0, 0.5, 8.0]);
        check(&OPERATOR, &[("alpha", float(0.5))], &[value(x)], &[f32s(&[5], &[0.0, 0.0, 0.0, 0.0, 8.0])]);
    }

    #[test]
    fn integers_are_refused() {
        let error = refusal(&OPERATOR, &[], &[value(i64s(&[1], &[1]))]);
        assert_eq!(error.to_string(), "dtype i64 is not supported for input 0 of ThresholdedRelu; supported: floats");
    }
}
