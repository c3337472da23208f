//! LeakyRelu: `x` where not negative, else `alpha x`.
//!
//! <https://onnx.ai/onnx/operators/onnx__LeakyRelu.html>
//!
//! | opset | change |
//! |---|---|
//! | 1 | first |
//! | 6 | `consumed_inputs` gone |
//! | 16 | bfloat16 |
//!
//! Dtypes: all floats.

use graph::builder::BuildError;

use crate::operator::{AttrKind, Ctx, Operator, attr, exactly};
use crate::pointwise;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "LeakyRelu",
    domain: "",
    versions: &[1, 6, 16],
    inputs: exactly(1),
    outputs: exactly(1),
    attrs: &[attr("alpha", AttrKind::Float), attr("consumed_inputs", AttrKind::Ints)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let alpha = f64::from(ctx.float_or("alpha", 0.01));
    pointwise::formula(ctx, |p, x| {
        let dtype = p.dtype(x);
        let (alpha, zero) = (p.number(dtype, alpha), p.zero(dtype));
        let (scaled, negative) = (p.mul(alpha, x), p.lt(x, zero));
        p.select(negative, scaled, x)
    })
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{check, f32s, float, i64s, refusal, value};

    #[test]
    fn both_sides_of_zero() {
        let x = f32s(&[5], &[-3.0, -0.25, 0.0, 0.5, 8.0]);
        check(&OPERATOR, &[("alpha", float(0.5))], &[value(x)], &[f32s(&[5], &[-1.5, -0.125, 0.0, 0.5, 8.0])]);
    }

    #[test]
    fn integers_are_refused() {
        let error = refusal(&OPERATOR, &[], &[value(i64s(&[1], &[1]))]);
        assert_eq!(error.to_string(), "dtype i64 is not supported for input 0 of LeakyRelu; supported: floats");
    }
}
