//! Shrink: `x + bias` below `-lambd`, `x - bias` above `lambd`, else 0. Integers go through f64.
//!
//! <https://onnx.ai/onnx/operators/onnx__Shrink.html>
//!
//! | opset | change |
//! |---|---|
//! | 9 | first |
//!
//! Dtypes: half, single and double floats, signed integers, unsigned integers.

use graph::builder::BuildError;

use crate::operator::{AttrKind, Ctx, Operator, attr, exactly};
use crate::pointwise;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "Shrink",
    domain: "",
    versions: &[9],
    inputs: exactly(1),
    outputs: exactly(1),
    attrs: &[attr("bias", AttrKind::Float), attr("lambd", AttrKind::Float)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let (bias, lambd) = (f64::from(ctx.float_or("bias", 0.0)), f64::from(ctx.float_or("lambd", 0.5)));
    let x = ctx.input(0)?;
    pointwise::require_class(ctx, 0, pointwise::NUMBERS)?;
    let y = ctx.b.map(&[x], |p, v| {
        let dtype = p.dtype(v[0]);
        let wide = pointwise::wide(dtype);
        let x = p.cast(v[0], wide);
        let (bias, upper, lower) = (p.number(wide, bias), p.number(wide, lambd), p.number(wide, -lambd));
        let (above, below) = (p.lt(upper, x), p.lt(x, lower));
        let (lowered, raised, zero) = (p.sub(x, bias), p.add(x, bias), p.zero(wide));
        let middle = p.select(above, lowered, zero);
        let y = p.select(below, raised, middle);
        p.cast(y, dtype)
    })?;
    Ok(vec![y.into()])
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{bools, check, float, i64s, refusal, value};

    #[test]
    fn integers_and_bias() {
        let x = i64s(&[4], &[-3, -1, 1, 3]);
        let attrs = [("lambd", float(1.5)), ("bias", float(1.5))];
        check(&OPERATOR, &attrs, &[value(x)], &[i64s(&[4], &[-1, 0, 0, 1])]);
    }

    #[test]
    fn bool_is_refused() {
        let error = refusal(&OPERATOR, &[], &[value(bools(&[1], &[true]))]);
        assert_eq!(
            error.to_string(),
            "dtype bool is not supported for input 0 of Shrink; supported: floats, signed integers, unsigned integers"
        );
    }
}
