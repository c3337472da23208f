//! ConstantOfShape: one value everywhere, in a shape that the input says.
//!
//! <https://onnx.ai/onnx/operators/onnx__ConstantOfShape.html>
//!
//! | opset | change |
//! |---|---|
//! | 9 | first |
//! | 20 | 8-bit floats, bfloat16 |
//! | 21 | 4-bit integers |
//! | 23 | float4e2m1 |
//! | 24 | float8e8m0 |
//! | 25 | 2-bit integers |
//!
//! Dtypes: all.
//!
//! Refused: a shape tensor of unknown length.

use graph::builder::BuildError;
use graph::scalar::Scalar;

use crate::operator::{AttrKind, Ctx, Operator, attr, exactly};
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "ConstantOfShape",
    domain: "",
    versions: &[9, 20, 21, 23, 24, 25],
    inputs: exactly(1),
    outputs: exactly(1),
    attrs: &[attr("value", AttrKind::Tensor)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let value = match ctx.tensor("value") {
        None => Scalar::f32(0.0),
        Some(tensor) => tensor.get(0).filter(|_| tensor.len() == 1).ok_or_else(|| BuildError::Attr {
            name: "value".to_string(),
            expected: "a tensor of one element".to_string(),
            found: format!("{}{:?}", tensor.dtype(), tensor.shape()),
        })?,
    };
    let shape = ctx.dims(0, 0, None)?;
    Ok(vec![ctx.b.splat(value, shape)?.into()])
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{check, constant, i64s, refusal, value};

    #[test]
    fn shape_at_run_time() {
        let seven = crate::operator::AttrValue::Tensor(i64s(&[1], &[7]));
        check(&OPERATOR, &[("value", seven.clone())], &[value(i64s(&[2], &[2, 1]))], &[i64s(&[2, 1], &[7, 7])]);
        check(&OPERATOR, &[("value", seven)], &[value(i64s(&[0], &[]))], &[i64s(&[], &[7])]);
    }

    #[test]
    fn two_values_are_refused() {
        let two = crate::operator::AttrValue::Tensor(i64s(&[2], &[1, 2]));
        let error = refusal(&OPERATOR, &[("value", two)], &[constant(i64s(&[1], &[1]))]);
        assert_eq!(error.to_string(), "attribute value: expected a tensor of one element, found i64[2]");
    }
}
