//! BiasGelu, FastGelu, Gelu and QuickGelu of ONNX Runtime: gates of the input, to which a bias is added where there is one.
//!
//! <https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md>
//!
//! | operator | formula |
//! |---|---|
//! | Gelu | `x Φ(x)` |
//! | BiasGelu | `y Φ(y)`, `y = A + B` |
//! | FastGelu | the tanh approximation of Gelu for `X + bias` |
//! | QuickGelu | `x sigmoid(alpha x)`, alpha 1.702 if not given |
//!
//! Dtypes: all floats, computed in f32 or wider.

use graph::builder::BuildError;
use graph::expr::UnOp;

use super::gelu::gelu;
use crate::operator::{Arity, AttrKind, AttrSpec, Ctx, Operator, attr, between, exactly};
use crate::pointwise::{self, Outputs, wide};

pub const GELU_OPERATOR: Operator = operator("Gelu", exactly(1), &[], |ctx| biased(ctx, false));
pub const BIAS_GELU_OPERATOR: Operator = operator("BiasGelu", exactly(2), &[], |ctx| biased(ctx, false));
pub const FAST_GELU_OPERATOR: Operator = operator("FastGelu", between(1, 2), &[], |ctx| biased(ctx, true));
pub const QUICK_GELU_OPERATOR: Operator = operator("QuickGelu", exactly(1), &[attr("alpha", AttrKind::Float)], quick);

const fn operator(
    name: &'static str,
    inputs: Arity,
    attrs: &'static [AttrSpec],
    build: fn(&mut Ctx<'_>) -> Outputs,
) -> Operator {
    Operator { name, domain: "com.microsoft", versions: &[1], inputs, outputs: exactly(1), attrs, build }
}

fn biased(ctx: &mut Ctx<'_>, tanh: bool) -> Outputs {
    pointwise::require_class(ctx, 0, pointwise::FLOATS)?;
    let x = ctx.input(0)?;
    let operands: Vec<_> = [x].into_iter().chain(ctx.optional(1)?).collect();
    let y = ctx.b.map(&operands, |p, v| {
        let dtype = p.dtype(v[0]);
        let mut x = p.cast(v[0], wide(dtype));
        if let Some(bias) = v.get(1) {
            let bias = p.cast(*bias, wide(dtype));
            x = p.add(x, bias);
        }
        let y = gelu(p, x, tanh);
        p.cast(y, dtype)
    })?;
    same_shape(ctx, y)?;
    Ok(vec![y.into()])
}

/// A bias may not make the result larger than the input.
fn same_shape(ctx: &Ctx<'_>, y: graph::graph::ValueId) -> Result<(), BuildError> {
    let (found, expected) = (ctx.b.shape(y)?, ctx.shape(0)?);
    if found.len() == expected.len() {
        return Ok(());
    }
    let what = "the bias".to_string();
    Err(BuildError::Rank { what, expected: format!("at most {}", expected.len()), found: found.len() })
}

fn quick(ctx: &mut Ctx<'_>) -> Outputs {
    let alpha = f64::from(ctx.float_or("alpha", 1.702));
    pointwise::formula(ctx, |p, x| {
        let dtype = p.dtype(x);
        let (alpha, one) = (p.number(dtype, -alpha), p.number(dtype, 1.0));
        let power = p.mul(alpha, x);
        let power = p.unary(UnOp::Exp, power);
        let below = p.add(one, power);
        p.div(x, below)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::{check, f32s, float, i64s, refusal, value};

    #[test]
    fn a_bias_is_added_before() {
        let (x, bias) = (f32s(&[2, 1], &[-2.0, 1.0]), f32s(&[1], &[1.0]));
        let exact = f32s(&[2, 1], &[-0.1586553, 1.9545]);
        let tanh = f32s(&[2, 1], &[-0.158808, 1.954598]);
        check(&BIAS_GELU_OPERATOR, &[], &[value(x.clone()), value(bias.clone())], std::slice::from_ref(&exact));
        check(&FAST_GELU_OPERATOR, &[], &[value(x), value(bias)], &[tanh]);
        check(&GELU_OPERATOR, &[], &[value(f32s(&[2, 1], &[-1.0, 2.0]))], &[exact]);
    }

    #[test]
    fn quick_with_another_factor() {
        let y = f32s(&[2], &[-0.2689414, 1.7615942]);
        check(&QUICK_GELU_OPERATOR, &[("alpha", float(1.0))], &[value(f32s(&[2], &[-1.0, 2.0]))], &[y]);
    }

    #[test]
    fn integers_are_refused() {
        let error = refusal(&GELU_OPERATOR, &[], &[value(i64s(&[1], &[1]))]);
        assert_eq!(error.to_string(), "dtype i64 is not supported for input 0 of Gelu; supported: floats");
    }
}
