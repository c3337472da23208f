//! CausalConvWithState: a depthwise convolution over time that looks back only, with the last inputs carried between calls.
//!
//! <https://onnx.ai/onnx/operators/onnx__CausalConvWithState.html>
//!
//! | opset | change |
//! |---|---|
//! | 27 | first |
//!
//! Dtypes: all floats, summed in f32 or wider and rounded once, after the bias. Refused: a number of channels that is not known.

use graph::builder::BuildError;
use graph::dim::Dim;
use graph::expr::UnOp;
use graph::region::contract::{Maths, accumulator};
use graph::region::conv::Conv;
use graph::region::window::Window;
use graph::scalar::Scalar;

use super::conv::biased;
use crate::operator::{AttrKind, Ctx, Operator, attr, between};
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "CausalConvWithState",
    domain: "",
    versions: &[27],
    inputs: between(2, 4),
    outputs: between(1, 2),
    attrs: &[attr("activation", AttrKind::String)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let (x, weight, bias, past) = (ctx.input(0)?, ctx.input(1)?, ctx.optional(2)?, ctx.optional(3)?);
    let activated = match ctx.string("activation").unwrap_or("none") {
        "none" => false,
        "silu" | "swish" => true,
        other => {
            return Err(BuildError::Attr {
                name: "activation".to_string(),
                expected: "none, silu or swish".to_string(),
                found: other.to_string(),
            });
        }
    };
    let (shape, kernel, dtype) = (ctx.b.shape(x)?, ctx.b.shape(weight)?, ctx.b.dtype(x)?);
    let ([batch, channels, _], [_, _, taps]) = (shape.as_slice(), kernel.as_slice()) else {
        let what = "input or weight".to_string();
        return Err(BuildError::Rank { what, expected: "3".to_string(), found: shape.len().min(kernel.len()) });
    };
    let groups = channels.as_const().ok_or_else(|| BuildError::Unsupported {
        what: "a number of channels that only the running model knows".to_string(),
        closest: "a constant one".to_string(),
    })?;
    let carried = taps - &Dim::constant(1);
    let past = match past {
        Some(past) => past,
        None => ctx.b.splat(Scalar::zero(dtype), vec![batch.clone(), channels.clone(), carried.clone()])?,
    };
    let padded = ctx.b.concat(&[past, x], 2)?;
    let whole = ctx.b.shape(padded)?[2].clone();
    let none = vec![Dim::constant(0)];
    let sizes = (std::slice::from_ref(&whole), std::slice::from_ref(taps));
    let window = Window::fitting(&ctx.b.model().symbols, sizes, (vec![1], vec![1]), (none.clone(), none));
    let wide = accumulator(dtype);
    let conv = Conv { window, groups, acc: wide, maths: Maths::Exact };
    let sum = ctx.b.conv(&conv, padded, weight)?;
    let mut y = biased(ctx.b, sum, bias, dtype)?;
    if activated {
        y = ctx.b.map(&[y], |p, v| {
            let x = p.cast(v[0], wide);
            let gate = p.unary(UnOp::Sigmoid, x);
            let y = p.mul(x, gate);
            p.cast(y, dtype)
        })?;
    }
    let present = ctx.b.slice(padded, 2, &(&whole - &carried), 1, carried)?;
    Ok(vec![y.into(), present.into()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::{check, f32s, missing, refusal, string, value};

    #[test]
    fn one_step_with_a_past() {
        let (x, w) = (f32s(&[1, 2, 1], &[1.0, 2.0]), f32s(&[2, 1, 3], &[1.0, 10.0, 100.0, 1.0, 1.0, 1.0]));
        let past = f32s(&[1, 2, 2], &[3.0, 4.0, 5.0, 6.0]);
        let inputs = [value(x), value(w), missing(), value(past)];
        let outputs = [f32s(&[1, 2, 1], &[143.0, 13.0]), f32s(&[1, 2, 2], &[4.0, 1.0, 6.0, 2.0])];
        check(&OPERATOR, &[], &inputs, &outputs);
    }

    #[test]
    fn an_unknown_activation_is_refused() {
        let x = f32s(&[1, 1, 1], &[1.0]);
        let error = refusal(&OPERATOR, &[("activation", string("gelu"))], &[value(x.clone()), value(x)]);
        assert!(error.to_string().contains("none, silu or swish"), "{error}");
    }
}
