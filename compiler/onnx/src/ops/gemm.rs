//! Gemm: `alpha * A' * B' + beta * C`, `A'` and `B'` transposed on demand, `C` broadcast to the product.
//!
//! <https://onnx.ai/onnx/operators/onnx__Gemm.html>
//!
//! | opset | change |
//! |---|---|
//! | 1, 6 | `broadcast` says whether C may be broadcast |
//! | 7 | C is always broadcast |
//! | 9 | integers |
//! | 11 | C may be left out |
//! | 13 | bfloat16 |
//!
//! Dtypes: all floats, computed in f32 or wider and rounded once; integers, which wrap. Refused: an `alpha` or `beta` with a
//! fraction for integers.

use graph::builder::BuildError;
use graph::dtype::DType;
use graph::region::contract::accumulator;

use crate::operator::{AttrKind, Ctx, Operator, attr, between, exactly};
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "Gemm",
    domain: "",
    versions: &[1, 6, 7, 9, 11, 13],
    inputs: between(2, 3),
    outputs: exactly(1),
    attrs: &[
        attr("alpha", AttrKind::Float),
        attr("beta", AttrKind::Float),
        attr("broadcast", AttrKind::Int),
        attr("transA", AttrKind::Int),
        attr("transB", AttrKind::Int),
    ],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let (a, b, c) = (ctx.input(0)?, ctx.input(1)?, ctx.optional(2)?);
    let dtype = ctx.b.dtype(a)?;
    let (alpha, beta) = (factor(ctx, "alpha", dtype)?, factor(ctx, "beta", dtype)?);
    let left = if ctx.int_or("transA", 0) != 0 { "km" } else { "mk" };
    let right = if ctx.int_or("transB", 0) != 0 { "nk" } else { "kn" };
    let product = ctx.b.contract(&format!("{left},{right}->mn"), a, b)?;
    let wide = accumulator(dtype);
    let operands: Vec<_> = [product].into_iter().chain(c.filter(|_| beta != 0.0)).collect();
    let shape = ctx.b.shape(product)?;
    let y = ctx.b.map(&operands, |p, v| {
        let mut y = v[0];
        if alpha != 1.0 {
            let alpha = p.number(wide, alpha);
            y = p.mul(y, alpha);
        }
        if let Some(c) = v.get(1) {
            let mut c = p.cast(*c, wide);
            if beta != 1.0 {
                let beta = p.number(wide, beta);
                c = p.mul(c, beta);
            }
            y = p.add(y, c);
        }
        p.cast(y, dtype)
    })?;
    let found = ctx.b.shape(y)?;
    if found != shape {
        return Err(BuildError::Shapes {
            what: "C is broadcast to the product".to_string(),
            left: format!("{found:?}"),
            right: format!("{shape:?}"),
        });
    }
    Ok(vec![y.into()])
}

fn factor(ctx: &Ctx<'_>, name: &str, dtype: DType) -> Result<f64, BuildError> {
    let value = f64::from(ctx.float_or(name, 1.0));
    if !dtype.is_float() && value.fract() != 0.0 {
        return Err(BuildError::Attr {
            name: name.to_string(),
            expected: "a whole number for integers".to_string(),
            found: value.to_string(),
        });
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::{check, f32s, float, int, refusal, tensor, value};

    #[test]
    fn transposed_scaled_and_broadcast() {
        let a = f32s(&[2, 1], &[1.0, 2.0]);
        let b = f32s(&[3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let c = f32s(&[], &[10.0]);
        let attrs = [("transA", int(1)), ("transB", int(1)), ("alpha", float(2.0)), ("beta", float(0.5))];
        check(&OPERATOR, &attrs, &[value(a), value(b), value(c)], &[f32s(&[1, 3], &[15.0, 27.0, 39.0])]);
    }

    #[test]
    fn half_of_an_integer_is_refused() {
        let m = tensor(DType::I32, &[1, 1], &[3.0]);
        let error = refusal(&OPERATOR, &[("alpha", float(0.5))], &[value(m.clone()), value(m)]);
        assert!(error.to_string().contains("a whole number for integers"), "{error}");
    }
}
