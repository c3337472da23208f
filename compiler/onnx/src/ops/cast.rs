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
//! Dtypes: all but complex. The host writes and reads strings: floats in the shortest form that reads back the same, `NaN`,
//! `INF`, `-INF`; text that is no number is an error when it runs.

use graph::builder::BuildError;
use graph::dtype::DType;
use graph::host::{HostError, HostOp};
use graph::ty::Type;
use runtime_min::datum;

use crate::casting;
use crate::hosted;
use crate::operator::{AttrKind, Ctx, Operator, attr, exactly, required};
use crate::value::ImportValue;

#[path = "runtime/number_from_string.rs"]
mod from_text;
#[path = "runtime/string_from_number.rs"]
mod to_text;

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

/// Numbers (`f32`, `f64`, integers, bool) become strings.
pub const TO_TEXT_HOST: HostOp = HostOp {
    name: "string_from_number",
    infer: |_, types, _| match types {
        [Type::Tensor(t)] => Ok((vec![Type::tensor(DType::Str, t.shape.clone())], Vec::new())),
        _ => Err(HostError::Operand { position: 0, expected: "numbers", found: format!("{types:?}") }),
    },
    eval: |attrs, inputs| hosted::eval(to_text::run, attrs, inputs),
    runtime: include_str!("runtime/string_from_number.rs"),
};

/// Strings become numbers of dtype `to` (`f32`, `f64`, `i64`, `u64`).
pub const FROM_TEXT_HOST: HostOp = HostOp {
    name: "number_from_string",
    infer: |attrs, types, _| match (types, attrs.dtype("to")) {
        ([Type::Tensor(t)], Some(to)) if t.dtype == DType::Str => {
            Ok((vec![Type::tensor(to, t.shape.clone())], Vec::new()))
        }
        _ => Err(HostError::Operand { position: 0, expected: "strings, and a dtype", found: format!("{types:?}") }),
    },
    eval: |attrs, inputs| hosted::eval(from_text::run, attrs, inputs),
    runtime: include_str!("runtime/number_from_string.rs"),
};

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
    fn numbers_to_text_and_back() {
        let strings = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|w| w.to_string()).collect();
            graph::tensor::Tensor::from_strings(vec![words.len()], words).unwrap()
        };
        let x = f32s(&[4], &[0.1, 1.0, 1e20, f32::NEG_INFINITY]);
        check(&OPERATOR, &[("to", int(8))], &[value(x)], &[strings(&["0.1", "1.0", "1e20", "-INF"])]);
        let x = strings(&["3.5", "1e-3", "-inf", "NaN"]);
        let y = f32s(&[4], &[3.5, 0.001, f32::NEG_INFINITY, f32::NAN]);
        check(&OPERATOR, &[("to", int(1))], &[value(x)], &[y]);
        check(&OPERATOR, &[("to", int(3))], &[value(strings(&["-7"]))], &[tensor(DType::I8, &[1], &[-7.0])]);
    }

    #[test]
    fn complex_is_refused() {
        let error = refusal(&OPERATOR, &[("to", int(14))], &[value(f32s(&[1], &[1.0]))]);
        assert_eq!(error.to_string(), "attribute to: expected the code of a supported tensor dtype, found 14");
    }
}
