//! LRN: `x / (bias + alpha / size * sum of x^2 over size neighbouring channels)^beta`.
//!
//! <https://onnx.ai/onnx/operators/onnx__LRN.html>
//!
//! | opset | change |
//! |---|---|
//! | 1 | first |
//! | 13 | bfloat16 |
//!
//! Dtypes: all floats, computed in f32 or wider. Of an even `size` the further neighbour lies behind.

use graph::builder::BuildError;
use graph::dim::Dim;
use graph::expr::BinOp;
use graph::node::Combiner;
use graph::region::contract::accumulator;

use crate::operator::{AttrKind, Ctx, Operator, attr, exactly, required};
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "LRN",
    domain: "",
    versions: &[1, 13],
    inputs: exactly(1),
    outputs: exactly(1),
    attrs: &[
        attr("alpha", AttrKind::Float),
        attr("beta", AttrKind::Float),
        attr("bias", AttrKind::Float),
        required("size", AttrKind::Int),
    ],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let x = ctx.input(0)?;
    let (shape, dtype) = (ctx.b.shape(x)?, ctx.b.dtype(x)?);
    if shape.len() < 2 {
        let what = "LRN input X".to_string();
        return Err(BuildError::Rank { what, expected: "2 or more".to_string(), found: shape.len() });
    }
    let size = ctx.int_or("size", 1);
    if size < 1 {
        let expected = "a positive number".to_string();
        return Err(BuildError::Attr { name: "size".to_string(), expected, found: size.to_string() });
    }
    let (alpha, beta) = (f64::from(ctx.float_or("alpha", 1e-4)), f64::from(ctx.float_or("beta", 0.75)));
    let bias = f64::from(ctx.float_or("bias", 1.0));
    let wide = accumulator(dtype);
    let y = ctx.b.compute(&[x], shape, |p| {
        let mut index = p.indices();
        let own = p.load(0, &index);
        let own = p.cast(own, wide);
        let (step, before, zero) = (p.reduce(&Dim::constant(size)), p.int((size - 1) / 2), p.zero(dtype));
        let first = p.sub(index[1], before);
        index[1] = p.add(first, step);
        let near = p.load_or(0, &index, zero);
        let near = p.cast(near, wide);
        let square = p.mul(near, near);
        let sum = p.acc(Combiner::Sum, square);
        let (factor, bias) = (p.number(wide, alpha / size as f64), p.number(wide, bias));
        let scaled = p.mul(sum, factor);
        let (base, beta) = (p.add(bias, scaled), p.number(wide, beta));
        let power = p.binary(BinOp::Pow, base, beta);
        let y = p.div(own, power);
        let y = p.cast(y, dtype);
        p.out(y);
    })?;
    Ok(vec![y.into()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::{check, f32s, float, int, refusal, value};

    #[test]
    fn an_even_size_looks_further_behind() {
        let x = f32s(&[1, 3, 1], &[1.0, 2.0, 3.0]);
        let attrs = [("size", int(2)), ("alpha", float(2.0)), ("beta", float(1.0)), ("bias", float(0.0))];
        check(&OPERATOR, &attrs, &[value(x)], &[f32s(&[1, 3, 1], &[1.0 / 5.0, 2.0 / 13.0, 3.0 / 9.0])]);
    }

    #[test]
    fn an_empty_neighbourhood_is_refused() {
        let error = refusal(&OPERATOR, &[("size", int(0))], &[value(f32s(&[1, 1], &[0.0]))]);
        assert!(error.to_string().contains("attribute size"), "{error}");
    }
}
