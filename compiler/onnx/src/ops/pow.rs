//! Pow: `x^y` under NumPy broadcasting, of the base's dtype.
//!
//! <https://onnx.ai/onnx/operators/onnx__Pow.html>
//!
//! | opset | change |
//! |---|---|
//! | 1 | first |
//! | 7 | NumPy broadcasting; `axis`, `broadcast` gone |
//! | 12 | integers; the exponent has a dtype of its own |
//! | 13 | bfloat16 |
//! | 15 | more dtypes of `T1`: bfloat16 |
//!
//! Dtypes: all floats, int32, int64.

use graph::builder::BuildError;
use graph::dtype::DType;
use graph::expr::BinOp;

use crate::operator::{AttrKind, Ctx, Operator, attr, exactly};
use crate::pointwise;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "Pow",
    domain: "",
    versions: &[1, 7, 12, 13, 15],
    inputs: exactly(2),
    outputs: exactly(1),
    attrs: &[attr("axis", AttrKind::Int), attr("broadcast", AttrKind::Int)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let [x, y] = pointwise::pair(ctx)?;
    pointwise::require_class(ctx, 0, pointwise::NUMBERS)?;
    pointwise::require_class(ctx, 1, pointwise::NUMBERS)?;
    let z = ctx.b.map(&[x, y], |p, v| {
        let (base, exponent) = (p.dtype(v[0]), p.dtype(v[1]));
        let joint = match (base.is_float(), exponent.is_float()) {
            (true, _) => base,
            (false, true) => DType::F64,
            (false, false) if base == exponent => base,
            (false, false) => DType::I64,
        };
        let (a, b) = (p.cast(v[0], joint), p.cast(v[1], joint));
        let power = p.binary(BinOp::Pow, a, b);
        p.cast(power, base)
    })?;
    Ok(vec![z.into()])
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{bools, check, f32s, i64s, refusal, value};

    #[test]
    fn integer_base_and_float_exponent() {
        let (x, y) = (i64s(&[3], &[2, 9, -3]), f32s(&[3], &[3.0, 0.5, 2.0]));
        check(&OPERATOR, &[], &[value(x), value(y)], &[i64s(&[3], &[8, 3, 9])]);
    }

    #[test]
    fn bool_is_refused() {
        let error = refusal(&OPERATOR, &[], &[value(bools(&[1], &[true])), value(f32s(&[1], &[1.0]))]);
        assert_eq!(
            error.to_string(),
            "dtype bool is not supported for input 0 of Pow; supported: floats, signed integers, unsigned integers"
        );
    }
}
