//! StringConcat: joins the strings of two tensors under NumPy broadcasting.
//!
//! <https://onnx.ai/onnx/operators/onnx__StringConcat.html>
//!
//! | opset | change |
//! |---|---|
//! | 20 | first |
//!
//! Dtypes: strings.

use graph::attrs::Attrs;
use graph::builder::BuildError;
use graph::host::{HostError, HostOp};
use runtime_min::datum;

use crate::operator::{Ctx, Operator, exactly};
use crate::value::ImportValue;
use crate::{hosted, late};

#[path = "runtime/string_concat.rs"]
mod runtime;

pub const OPERATOR: Operator = Operator {
    name: "StringConcat",
    domain: "",
    versions: &[20],
    inputs: exactly(2),
    outputs: exactly(1),
    attrs: &[],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let operands = late::string_pair(ctx)?;
    Ok(vec![late::one(ctx.b.host(&HOST, Attrs::new(), &operands)?)?.into()])
}

/// Two string tensors of one shape become one.
pub const HOST: HostOp = HostOp {
    name: "string_concat",
    infer: |_, types, _| match types {
        [a, b] if late::is_strings(a) && late::is_strings(b) => Ok((vec![a.clone()], Vec::new())),
        _ => Err(HostError::Operand { position: 0, expected: "two string tensors", found: format!("{types:?}") }),
    },
    eval: |attrs, inputs| hosted::eval(runtime::run, attrs, inputs),
    runtime: include_str!("runtime/string_concat.rs"),
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::*;
    use graph::tensor::Tensor;

    fn strings(shape: &[usize], words: &[&str]) -> Tensor {
        Tensor::from_strings(shape.to_vec(), words.iter().map(|w| w.to_string()).collect()).unwrap()
    }

    #[test]
    fn a_scalar_joins_every_row() {
        let inputs = [value(strings(&[2, 1], &["a", "é"])), value(strings(&[], &["x"]))];
        check(&OPERATOR, &[], &inputs, &[strings(&[2, 1], &["ax", "éx"])]);
    }

    #[test]
    fn numbers_are_refused() {
        let error = refusal(&OPERATOR, &[], &[value(strings(&[1], &["a"])), value(f32s(&[1], &[1.0]))]);
        assert!(error.to_string().contains("strings"));
    }
}
