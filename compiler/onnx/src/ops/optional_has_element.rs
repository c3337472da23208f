//! OptionalHasElement: whether an optional is present; true for a tensor or sequence, false without an input.
//!
//! <https://onnx.ai/onnx/operators/onnx__OptionalHasElement.html>
//!
//! | opset | change |
//! |---|---|
//! | 15 | first |
//! | 18 | tensors and sequences; the input may be missing |
//!
//! Dtypes: all.

use graph::attrs::Attrs;
use graph::builder::BuildError;
use graph::dtype::DType;
use graph::host::{HostError, HostOp};
use graph::scalar::Scalar;
use graph::tensor::Tensor;
use graph::ty::Type;
use runtime_min::datum;

use crate::operator::{Ctx, Operator, between, exactly};
use crate::value::ImportValue;
use crate::{hosted, late};

#[path = "runtime/optional_has_element.rs"]
mod runtime;

pub const OPERATOR: Operator = Operator {
    name: "OptionalHasElement",
    domain: "",
    versions: &[15, 18],
    inputs: between(0, 1),
    outputs: exactly(1),
    attrs: &[],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let present = match ctx.inputs.first() {
        Some(Some(ImportValue::Value(id))) => {
            if matches!(ctx.b.ty(*id)?, Type::Opt(_)) {
                return Ok(vec![late::one(ctx.b.host(&HOST, Attrs::new(), &[*id])?)?.into()]);
            }
            true
        }
        Some(Some(ImportValue::Opt(None))) | Some(None) | None => false,
        Some(Some(ImportValue::Opt(Some(_)) | ImportValue::Seq(_))) => true,
    };
    Ok(vec![ctx.b.constant(Tensor::scalar(Scalar::bool(present)))?.into()])
}

/// An optional becomes a truth value.
pub const HOST: HostOp = HostOp {
    name: "optional_has_element",
    infer: |_, types, _| match types {
        [Type::Opt(_)] => Ok((vec![Type::tensor(DType::Bool, [])], Vec::new())),
        _ => Err(HostError::Operand { position: 0, expected: "an optional", found: format!("{types:?}") }),
    },
    eval: |attrs, inputs| hosted::eval(runtime::run, attrs, inputs),
    runtime: include_str!("runtime/optional_has_element.rs"),
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::*;
    use graph::datum::Datum;

    #[test]
    fn nothing_is_absent_and_a_tensor_is_present() {
        check(&OPERATOR, &[], &[missing()], &[bools(&[], &[false])]);
        check(&OPERATOR, &[], &[value(i64s(&[1], &[5]))], &[bools(&[], &[true])]);
    }

    #[test]
    fn the_host_looks_at_run_time() {
        assert_eq!((HOST.eval)(&Attrs::new(), &[Datum::Opt(None)]).unwrap(), vec![bools(&[], &[false]).into()]);
    }

    #[test]
    fn the_host_refuses_a_tensor() {
        let types = [Type::tensor(DType::F32, [])];
        let error = (HOST.infer)(&Attrs::new(), &types, &mut graph::symbol::Symbols::default()).unwrap_err();
        assert!(error.to_string().contains("an optional"));
    }
}
