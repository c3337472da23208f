//! Abs: `|x|`; the lowest signed integer stays, as its negative wraps.
//!
//! <https://onnx.ai/onnx/operators/onnx__Abs.html>
//!
//! | opset | change |
//! |---|---|
//! | 1 | first |
//! | 6 | signed integers, unsigned integers; `consumed_inputs` gone |
//! | 13 | bfloat16 |
//!
//! Dtypes: all floats, signed integers, unsigned integers.

use graph::builder::BuildError;
use graph::expr::UnOp;

use crate::operator::{AttrKind, Ctx, Operator, attr, exactly};
use crate::pointwise;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "Abs",
    domain: "",
    versions: &[1, 6, 13],
    inputs: exactly(1),
    outputs: exactly(1),
    attrs: &[attr("consumed_inputs", AttrKind::Ints)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    pointwise::unary(ctx, UnOp::Abs, pointwise::NUMBERS)
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{bools, check, f32s, refusal, tensor, value};
    use graph::dtype::DType;

    #[test]
    fn special_values() {
        check(&OPERATOR, &[], &[value(f32s(&[3], &[-2.5, 0.0, 3.0]))], &[f32s(&[3], &[2.5, 0.0, 3.0])]);
    }

    #[test]
    fn lowest_integer_wraps() {
        let x = tensor(DType::I8, &[2], &[-128.0, -3.0]);
        check(&OPERATOR, &[], &[value(x)], &[tensor(DType::I8, &[2], &[-128.0, 3.0])]);
    }

    #[test]
    fn bool_is_refused() {
        let error = refusal(&OPERATOR, &[], &[value(bools(&[1], &[true]))]);
        assert_eq!(
            error.to_string(),
            "dtype bool is not supported for input 0 of Abs; supported: floats, signed integers, unsigned integers"
        );
    }
}
