//! Gelu: `x Φ(x)` with the normal distribution function, or its tanh approximation.
//!
//! <https://onnx.ai/onnx/operators/onnx__Gelu.html>
//!
//! | opset | change |
//! |---|---|
//! | 20 | first |
//!
//! Dtypes: all floats.

use graph::builder::{BuildError, Point};
use graph::expr::{ExprId, UnOp};

use crate::operator::{AttrKind, Ctx, Operator, attr, exactly};
use crate::pointwise;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "Gelu",
    domain: "",
    versions: &[20],
    inputs: exactly(1),
    outputs: exactly(1),
    attrs: &[attr("approximate", AttrKind::String)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let approximate = ctx.string("approximate").unwrap_or("none");
    let tanh = match approximate {
        "none" => false,
        "tanh" => true,
        other => {
            return Err(BuildError::Attr {
                name: "approximate".to_string(),
                expected: "none or tanh".to_string(),
                found: other.to_string(),
            });
        }
    };
    pointwise::formula(ctx, |p, x| gelu(p, x, tanh))
}

/// The formula on one element.
pub fn gelu(p: &mut Point<'_>, x: ExprId, tanh: bool) -> ExprId {
    let dtype = p.dtype(x);
    let (half, one) = (p.number(dtype, 0.5), p.number(dtype, 1.0));
    let inner = if tanh { tanh_approximation(p, x) } else { error_function(p, x) };
    let gate = p.add(one, inner);
    let halved = p.mul(half, x);
    p.mul(halved, gate)
}

/// `erf(x / sqrt(2))`.
fn error_function(p: &mut Point<'_>, x: ExprId) -> ExprId {
    let dtype = p.dtype(x);
    let scale = p.number(dtype, std::f64::consts::FRAC_1_SQRT_2);
    let scaled = p.mul(x, scale);
    p.unary(UnOp::Erf, scaled)
}

/// `tanh(sqrt(2 / pi) (x + 0.044715 x^3))`.
fn tanh_approximation(p: &mut Point<'_>, x: ExprId) -> ExprId {
    let dtype = p.dtype(x);
    let (cubic, scale) = (p.number(dtype, 0.044715), p.number(dtype, (2.0 / std::f64::consts::PI).sqrt()));
    let square = p.mul(x, x);
    let cube = p.mul(square, x);
    let bend = p.mul(cubic, cube);
    let sum = p.add(x, bend);
    let scaled = p.mul(scale, sum);
    p.unary(UnOp::Tanh, scaled)
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{check, f32s, refusal, string, value};

    #[test]
    fn exact_and_approximate() {
        let x = f32s(&[3], &[-1.0, 0.0, 2.0]);
        let exact = f32s(&[3], &[-0.1586553, 0.0, 1.9545]);
        let tanh = f32s(&[3], &[-0.158808, 0.0, 1.954598]);
        check(&OPERATOR, &[], &[value(x.clone())], &[exact]);
        check(&OPERATOR, &[("approximate", string("tanh"))], &[value(x)], &[tanh]);
    }

    #[test]
    fn unknown_approximation_is_refused() {
        let error = refusal(&OPERATOR, &[("approximate", string("fast"))], &[value(f32s(&[1], &[1.0]))]);
        assert_eq!(error.to_string(), "attribute approximate: expected none or tanh, found fast");
    }
}
