//! CastLike: every element converted to the dtype of the second input.
//!
//! <https://onnx.ai/onnx/operators/onnx__CastLike.html>
//!
//! | opset | change |
//! |---|---|
//! | 15 | first |
//! | 19 | 8-bit floats; attribute `saturate` |
//! | 21 | 4-bit integers |
//! | 23 | float4e2m1 |
//! | 24 | float8e8m0; attribute `round_mode` |
//! | 25 | 2-bit integers |
//!
//! Dtypes: all but complex.
//!
//! Refused: strings.

use graph::builder::BuildError;

use crate::casting;
use crate::operator::{AttrKind, Ctx, Operator, attr, exactly};
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "CastLike",
    domain: "",
    versions: &[15, 19, 21, 23, 24, 25],
    inputs: exactly(2),
    outputs: exactly(1),
    attrs: &[attr("round_mode", AttrKind::String), attr("saturate", AttrKind::Int)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let to = ctx.dtype(1)?;
    casting::convert(ctx, to)
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{bools, check, f32s, refusal, string, value};

    #[test]
    fn only_the_dtype_of_the_second_input_counts() {
        let inputs = [value(f32s(&[2], &[0.5, 0.0])), value(bools(&[3], &[true; 3]))];
        check(&OPERATOR, &[], &inputs, &[bools(&[2], &[true, false])]);
    }

    #[test]
    fn an_unknown_rounding_is_refused() {
        let x = || value(f32s(&[1], &[1.0]));
        let error = refusal(&OPERATOR, &[("round_mode", string("odd"))], &[x(), x()]);
        assert_eq!(error.to_string(), "attribute round_mode: expected up, down or nearest, found odd");
    }
}
