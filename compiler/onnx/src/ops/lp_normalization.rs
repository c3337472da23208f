//! LpNormalization: divides by the p-norm (p 1 or 2) along an axis; rows of norm 0 stay 0.
//!
//! <https://onnx.ai/onnx/operators/onnx__LpNormalization.html>
//!
//! | opset | change |
//! |---|---|
//! | 1 | first |
//! | 22 | bfloat16; a norm of 0 gives 0 |
//!
//! Dtypes: all floats, summed in f32 or wider. Refused: another `p`.

use graph::builder::BuildError;
use graph::expr::UnOp;
use graph::node::Combiner;
use graph::region::contract::accumulator;

use crate::operator::{AttrKind, Ctx, Operator, attr, exactly};
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "LpNormalization",
    domain: "",
    versions: &[1, 22],
    inputs: exactly(1),
    outputs: exactly(1),
    attrs: &[attr("axis", AttrKind::Int), attr("p", AttrKind::Int)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let x = ctx.input(0)?;
    let (dtype, rank) = (ctx.b.dtype(x)?, ctx.b.rank(x)?);
    let axis = ctx.b.axis(ctx.int_or("axis", -1), rank)?;
    let wide = accumulator(dtype);
    let power = ctx.int_or("p", 2);
    if !(1..=2).contains(&power) {
        let expected = "1 or 2".to_string();
        return Err(BuildError::Attr { name: "p".to_string(), expected, found: power.to_string() });
    }
    let norm = ctx.b.reduce_with(
        x,
        &[axis],
        true,
        Combiner::Sum,
        |p, e| {
            let e = p.cast(e, wide);
            if power == 1 { p.unary(UnOp::Abs, e) } else { p.mul(e, e) }
        },
        |p, sum| if power == 1 { sum } else { p.unary(UnOp::Sqrt, sum) },
    )?;
    let y = ctx.b.map(&[x, norm], |p, v| {
        let x = p.cast(v[0], wide);
        let zero = p.zero(wide);
        let empty = p.eq(v[1], zero);
        let quotient = p.div(x, v[1]);
        let y = p.select(empty, zero, quotient);
        p.cast(y, dtype)
    })?;
    Ok(vec![y.into()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::{check, f32s, int, refusal, value};

    #[test]
    fn zero_rows_stay_zero() {
        let x = f32s(&[2, 2], &[-1.0, 0.0, 3.0, 0.0]);
        let y = f32s(&[2, 2], &[-0.25, 0.0, 0.75, 0.0]);
        check(&OPERATOR, &[("p", int(1)), ("axis", int(0))], &[value(x)], &[y]);
    }

    #[test]
    fn cubes_are_refused() {
        let error = refusal(&OPERATOR, &[("p", int(3))], &[value(f32s(&[1], &[0.0]))]);
        assert_eq!(error.to_string(), "attribute p: expected 1 or 2, found 3");
    }
}
