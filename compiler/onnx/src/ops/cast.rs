//! Cast: every element converted to `to`.
//!
//! <https://onnx.ai/onnx/operators/onnx__Cast.html>
//!
//! | opset | change |
//! |---|---|
//! | 6 | wording of the specification |
//! | 9 | strings |
//! | 13 | bfloat16 |
//! | 19 | 8-bit floats; attribute `saturate` |
//! | 21 | 4-bit integers |
//! | 23 | float4e2m1 |
//! | 24 | float8e8m0; attribute `round_mode` |
//! | 25 | 2-bit integers |
//!
//! Dtypes: all but complex; strings are another operator of the host.
//!
//! Refused: strings.

use graph::builder::BuildError;

use crate::casting;
use crate::operator::{AttrKind, Ctx, Operator, attr, exactly, required};
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "Cast",
    domain: "",
    versions: &[6, 9, 13, 19, 21, 23, 24, 25],
    inputs: exactly(1),
    outputs: exactly(1),
    attrs: &[required("to", AttrKind::Int), attr("saturate", AttrKind::Int), attr("round_mode", AttrKind::String)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    match ctx.dtype_attr("to")? {
        Some(to) => casting::convert(ctx, to),
        None => Err(BuildError::Attr {
            name: "to".to_string(),
            expected: "a dtype".to_string(),
            found: "nothing".to_string(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{check, f32s, i64s, int, refusal, tensor, value};
    use graph::dtype::DType;

    #[test]
    fn integers_wrap_and_floats_truncate() {
        let x = i64s(&[2], &[200, -1]);
        check(&OPERATOR, &[("to", int(3))], &[value(x)], &[tensor(DType::I8, &[2], &[-56.0, -1.0])]);
        let x = f32s(&[3], &[-1.9, 1.9, f32::INFINITY]);
        check(&OPERATOR, &[("to", int(6))], &[value(x)], &[tensor(DType::I32, &[3], &[-1.0, 1.0, 2147483647.0])]);
    }

    #[test]
    fn saturation_of_narrow_floats() {
        let x = f32s(&[2], &[1e6, -1e6]);
        let y = tensor(DType::F8E4M3FN, &[2], &[448.0, -448.0]);
        check(&OPERATOR, &[("to", int(17))], &[value(x.clone())], &[y]);
        let y = tensor(DType::F8E5M2, &[2], &[f64::INFINITY, f64::NEG_INFINITY]);
        check(&OPERATOR, &[("to", int(19)), ("saturate", int(0))], &[value(x)], &[y]);
    }

    #[test]
    fn complex_is_refused() {
        let error = refusal(&OPERATOR, &[("to", int(14))], &[value(f32s(&[1], &[1.0]))]);
        assert_eq!(error.to_string(), "attribute to: expected the code of a supported tensor dtype, found 14");
    }
}
