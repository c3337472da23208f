//! Selu: `gamma x` where positive, else `gamma alpha (e^x - 1)`.
//!
//! <https://onnx.ai/onnx/operators/onnx__Selu.html>
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
    name: "Selu",
    domain: "",
    versions: &[1, 6, 22],
    inputs: exactly(1),
    outputs: exactly(1),
    attrs: &[attr("alpha", AttrKind::Float), attr("consumed_inputs", AttrKind::Ints), attr("gamma", AttrKind::Float)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let (alpha, gamma) = if ctx.opset < 6 { (1.6732, 1.0507) } else { (1.673_263_2, 1.050_701) };
    let (alpha, gamma) = (f64::from(ctx.float_or("alpha", alpha)), f64::from(ctx.float_or("gamma", gamma)));
    pointwise::formula(ctx, |p, x| {
        let dtype = p.dtype(x);
        let (alpha, gamma, zero) = (p.number(dtype, alpha), p.number(dtype, gamma), p.zero(dtype));
        let (below, positive) = (p.unary(UnOp::Expm1, x), p.lt(zero, x));
        let scaled = p.mul(alpha, below);
        let value = p.select(positive, x, scaled);
        p.mul(gamma, value)
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
            &[("alpha", float(2.0)), ("gamma", float(3.0))],
            &[value(x)],
            &[f32s(&[5], &[-5.701278, -1.327195, 0.0, 1.5, 24.0])],
        );
    }

    #[test]
    fn integers_are_refused() {
        let error = refusal(&OPERATOR, &[], &[value(i64s(&[1], &[1]))]);
        assert_eq!(error.to_string(), "dtype i64 is not supported for input 0 of Selu; supported: floats");
    }
}
