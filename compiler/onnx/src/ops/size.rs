//! Size: the number of elements.
//!
//! <https://onnx.ai/onnx/operators/onnx__Size.html>
//!
//! | opset | change |
//! |---|---|
//! | 1 | first |
//! | 13 | bfloat16 |
//! | 19 | 8-bit floats |
//! | 21 | 4-bit integers |
//! | 23 | float4e2m1 |
//! | 24 | float8e8m0 |
//! | 25 | 2-bit integers |
//!
//! Dtypes: all.

use graph::builder::BuildError;
use graph::dim::Dim;

use crate::operator::{Ctx, Operator, exactly};
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "Size",
    domain: "",
    versions: &[1, 13, 19, 21, 23, 24, 25],
    inputs: exactly(1),
    outputs: exactly(1),
    attrs: &[],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let count = Dim::product(&ctx.shape(0)?);
    Ok(vec![ctx.b.dim_scalar(&count)?.into()])
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{check, f32s, i64s, missing, refusal, value};

    #[test]
    fn product_of_the_shape() {
        check(&OPERATOR, &[], &[value(f32s(&[2, 0], &[]))], &[i64s(&[], &[0])]);
        check(&OPERATOR, &[], &[value(f32s(&[], &[1.0]))], &[i64s(&[], &[1])]);
    }

    #[test]
    fn a_missing_input_is_refused() {
        let error = refusal(&OPERATOR, &[], &[missing()]);
        assert_eq!(error.to_string(), "input 0: expected a value, found nothing");
    }
}
