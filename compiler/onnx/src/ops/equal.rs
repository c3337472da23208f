//! Equal: `a == b` under NumPy broadcasting; false with NaN.
//!
//! <https://onnx.ai/onnx/operators/onnx__Equal.html>
//!
//! | opset | change |
//! |---|---|
//! | 1 | first |
//! | 7 | NumPy broadcasting; `axis`, `broadcast` gone |
//! | 11 | half, single and double floats, unsigned integers, int16, int8 |
//! | 13 | bfloat16 |
//! | 19 | strings |
//!
//! Dtypes: all floats, signed integers, unsigned integers, bool, strings.

use graph::attrs::Attrs;
use graph::builder::BuildError;
use graph::dtype::DType;
use graph::expr::CmpOp;
use graph::host::{HostError, HostOp};
use graph::ty::Type;
use runtime_min::datum;

use crate::operator::{AttrKind, Ctx, Operator, attr, exactly};
use crate::value::ImportValue;
use crate::{hosted, late, pointwise};

#[path = "runtime/string_equal.rs"]
mod runtime;

pub const OPERATOR: Operator = Operator {
    name: "Equal",
    domain: "",
    versions: &[1, 7, 11, 13, 19],
    inputs: exactly(2),
    outputs: exactly(1),
    attrs: &[attr("axis", AttrKind::Int), attr("broadcast", AttrKind::Int)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    if ctx.dtype(0)? == DType::Str {
        let operands = late::string_pair(ctx)?;
        return Ok(vec![late::one(ctx.b.host(&HOST, Attrs::new(), &operands)?)?.into()]);
    }
    pointwise::compare(ctx, CmpOp::Eq, pointwise::NOT_STRINGS)
}

/// Two string tensors of one shape become truth values.
pub const HOST: HostOp = HostOp {
    name: "string_equal",
    infer: |_, types, _| match types {
        [Type::Tensor(a), b] if a.dtype == DType::Str && late::is_strings(b) => {
            Ok((vec![Type::tensor(DType::Bool, a.shape.clone())], Vec::new()))
        }
        _ => Err(HostError::Operand { position: 0, expected: "two string tensors", found: format!("{types:?}") }),
    },
    eval: |attrs, inputs| hosted::eval(runtime::run, attrs, inputs),
    runtime: include_str!("runtime/string_equal.rs"),
};

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{bools, check, f32s, i64s, refusal, value};

    #[test]
    fn nan_and_broadcasting() {
        let (a, b) = (f32s(&[3], &[1.0, 2.0, f32::NAN]), f32s(&[], &[2.0]));
        check(&OPERATOR, &[], &[value(a), value(b)], &[bools(&[3], &[false, true, false])]);
    }

    #[test]
    fn strings_broadcast() {
        let strings = |shape: &[usize], words: &[&str]| {
            graph::tensor::Tensor::from_strings(shape.to_vec(), words.iter().map(|w| w.to_string()).collect()).unwrap()
        };
        let inputs = [value(strings(&[2, 1], &["a", "b"])), value(strings(&[2], &["b", "a"]))];
        check(&OPERATOR, &[], &inputs, &[bools(&[2, 2], &[false, true, true, false])]);
    }

    #[test]
    fn mixed_dtypes_are_refused() {
        let error = refusal(&OPERATOR, &[], &[value(f32s(&[1], &[1.0])), value(i64s(&[1], &[1]))]);
        assert_eq!(error.to_string(), "eq takes values of one dtype, found f32 and i64");
    }
}
