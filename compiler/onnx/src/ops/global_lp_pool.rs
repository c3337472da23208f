//! GlobalLpPool: the p-norm of each channel over all spatial dims, which stay with extent 1.
//!
//! <https://onnx.ai/onnx/operators/onnx__GlobalLpPool.html>
//!
//! | opset | change |
//! |---|---|
//! | 1 | first; `p` is a float |
//! | 2 | `p` is an integer |
//! | 22 | bfloat16 |
//!
//! Dtypes: all floats, summed in f32 or wider. Refused: opset 1; no spatial dim; `p` below 1.

use graph::builder::BuildError;
use graph::expr::{BinOp, UnOp};
use graph::node::Combiner;
use graph::region::contract::accumulator;

use crate::operator::{AttrKind, Ctx, Operator, attr, exactly};
use crate::sliding;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "GlobalLpPool",
    domain: "",
    versions: &[2, 22],
    inputs: exactly(1),
    outputs: exactly(1),
    attrs: &[attr("p", AttrKind::Int)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let x = ctx.input(0)?;
    let (shape, dtype) = (ctx.b.shape(x)?, ctx.b.dtype(x)?);
    sliding::spatial(&shape, "GlobalLpPool input X")?;
    let power = ctx.int_or("p", 2);
    if power < 1 {
        let expected = "a positive number".to_string();
        return Err(BuildError::Attr { name: "p".to_string(), expected, found: power.to_string() });
    }
    let axes: Vec<usize> = (2..shape.len()).collect();
    let wide = accumulator(dtype);
    let y = ctx.b.reduce_with(
        x,
        &axes,
        true,
        Combiner::Sum,
        |p, e| {
            let e = p.cast(e, wide);
            let (size, exponent) = (p.unary(UnOp::Abs, e), p.number(wide, power as f64));
            if power == 1 { size } else { p.binary(BinOp::Pow, size, exponent) }
        },
        |p, sum| {
            let root = p.number(wide, 1.0 / power as f64);
            let y = if power == 1 { sum } else { p.binary(BinOp::Pow, sum, root) };
            p.cast(y, dtype)
        },
    )?;
    Ok(vec![y.into()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::{check, f32s, int, refusal, value};

    #[test]
    fn three_and_four_make_five() {
        let x = f32s(&[1, 1, 1, 2], &[-3.0, 4.0]);
        check(&OPERATOR, &[], &[value(x)], &[f32s(&[1, 1, 1, 1], &[5.0])]);
    }

    #[test]
    fn a_power_of_zero_is_refused() {
        let error = refusal(&OPERATOR, &[("p", int(0))], &[value(f32s(&[1, 1, 1], &[0.0]))]);
        assert!(error.to_string().contains("attribute p: expected a positive number"), "{error}");
    }
}
