//! Constant: a value from an attribute.
//!
//! <https://onnx.ai/onnx/operators/onnx__Constant.html>
//!
//! | opset | change |
//! |---|---|
//! | 1 | first |
//! | 9 | signed integers, unsigned integers, complex, bool, strings |
//! | 11 | attribute `sparse_value` |
//! | 12 | attributes `value_float`, `value_floats`, `value_int`, `value_ints`, `value_string`, `value_strings` |
//! | 13 | bfloat16 |
//! | 19 | 8-bit floats |
//! | 21 | 4-bit integers |
//! | 23 | float4e2m1 |
//! | 24 | float8e8m0 |
//! | 25 | 2-bit integers |
//!
//! Dtypes: all; sparse tensors become dense.

use graph::builder::BuildError;
use graph::scalar::Scalar;
use graph::tensor::Tensor;

use crate::operator::{AttrKind, AttrValue, Ctx, Operator, attr, exactly};
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "Constant",
    domain: "",
    versions: &[1, 9, 11, 12, 13, 19, 21, 23, 24, 25],
    inputs: exactly(0),
    outputs: exactly(1),
    attrs: &[
        attr("sparse_value", AttrKind::SparseTensor),
        attr("value", AttrKind::Tensor),
        attr("value_float", AttrKind::Float),
        attr("value_floats", AttrKind::Floats),
        attr("value_int", AttrKind::Int),
        attr("value_ints", AttrKind::Ints),
        attr("value_string", AttrKind::String),
        attr("value_strings", AttrKind::Strings),
    ],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let tensor = match ctx.attrs.iter().next() {
        Some((_, AttrValue::Tensor(tensor))) if ctx.attrs.len() == 1 => tensor.clone(),
        Some((_, AttrValue::Float(v))) if ctx.attrs.len() == 1 => Tensor::scalar(Scalar::f32(*v)),
        Some((_, AttrValue::Floats(v))) if ctx.attrs.len() == 1 => Tensor::from_f32s(v),
        Some((_, AttrValue::Int(v))) if ctx.attrs.len() == 1 => Tensor::scalar(Scalar::i64(*v)),
        Some((_, AttrValue::Ints(v))) if ctx.attrs.len() == 1 => Tensor::from_i64s(v),
        Some((_, AttrValue::String(v))) if ctx.attrs.len() == 1 => Tensor::from_strings(Vec::new(), vec![v.clone()])?,
        Some((_, AttrValue::Strings(v))) if ctx.attrs.len() == 1 => Tensor::from_strings(vec![v.len()], v.clone())?,
        _ => {
            return Err(BuildError::Attr {
                name: "value".to_string(),
                expected: "exactly one of value, value_float, value_ints …".to_string(),
                found: format!("{:?}", ctx.attrs.keys()),
            });
        }
    };
    Ok(vec![ctx.b.constant(tensor)?.into()])
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{check, f32s, float, i64s, int, ints, refusal};

    #[test]
    fn every_spelling() {
        check(&OPERATOR, &[("value_float", float(2.5))], &[], &[f32s(&[], &[2.5])]);
        check(&OPERATOR, &[("value_ints", ints(&[1, 2]))], &[], &[i64s(&[2], &[1, 2])]);
        check(&OPERATOR, &[("value_int", int(7))], &[], &[i64s(&[], &[7])]);
    }

    #[test]
    fn no_value_is_refused() {
        let error = refusal(&OPERATOR, &[], &[]);
        assert_eq!(
            error.to_string(),
            "attribute value: expected exactly one of value, value_float, value_ints …, found []"
        );
    }
}
