//! Elu: `x` where positive, else `alpha (e^x - 1)`.
//!
//! <https://onnx.ai/onnx/operators/onnx__Elu.html>
//!
//! | opset | change |
//! |---|---|
//! | 1 | first |
//! | 6 | `consumed_inputs` gone |
//! | 22 | bfloat16 |
//!
//! Dtypes: all floats.

use graph::builder::BuildError;
use graph::expr::UnOp;

use crate::operator::{AttrKind, Ctx, Operator, attr, exactly};
use crate::pointwise;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "Elu",
    domain: "",
    versions: &[1, 6, 22],
    inputs: exactly(1),
    outputs: exactly(1),
    attrs: &[attr("alpha", AttrKind::Float), attr("consumed_inputs", AttrKind::Ints)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let alpha = f64::from(ctx.float_or("alpha", 1.0));
    pointwise::formula(ctx, |p, x| {
        let dtype = p.dtype(x);
        let (alpha, zero) = (p.number(dtype, alpha), p.zero(dtype));
        let (below, positive) = (p.unary(UnOp::Expm1, x), p.lt(zero, x));
        let scaled = p.mul(alpha, below);
        p.select(positive, x, scaled)
    })
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{check, f32s, float, i64s, refusal, value};

    #[test]
    fn both_sides_of_zero() {
        let x = f32s(&[5], &[-3.0, -0.25, 0.0, 0.5, 8.0]);
        check(&OPERATOR, &[("alpha", float(2.0))], &[value(x)], &[f32s(&[5], &[-1.900426, -0.4423984, 0.0, 0.5, 8.0])]);
    }

    #[test]
    fn integers_are_refused() {
        let error = refusal(&OPERATOR, &[], &[value(i64s(&[1], &[1]))]);
        assert_eq!(error.to_string(), "dtype i64 is not supported for input 0 of Elu; supported: floats");
    }
}
