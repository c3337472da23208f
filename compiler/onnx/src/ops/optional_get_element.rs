//! OptionalGetElement: what a present optional holds; tensors and sequences pass unchanged.
//!
//! <https://onnx.ai/onnx/operators/onnx__OptionalGetElement.html>
//!
//! | opset | change |
//! |---|---|
//! | 15 | first |
//! | 18 | tensors and sequences |
//!
//! Dtypes: all. Refused: an optional known to be absent. One that turns out to be absent at run time is an error then.

use graph::attrs::Attrs;
use graph::builder::BuildError;
use graph::host::{HostError, HostOp};
use graph::ty::Type;
use runtime_min::datum;

use crate::operator::{Ctx, Operator, exactly};
use crate::value::ImportValue;
use crate::{hosted, late};

#[path = "runtime/optional_get_element.rs"]
mod runtime;

pub const OPERATOR: Operator = Operator {
    name: "OptionalGetElement",
    domain: "",
    versions: &[15, 18],
    inputs: exactly(1),
    outputs: exactly(1),
    attrs: &[],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    match ctx.value(0)?.clone() {
        ImportValue::Opt(Some(inner)) => Ok(vec![*inner]),
        ImportValue::Opt(None) => Err(BuildError::Operand {
            what: "input 0 of OptionalGetElement".into(),
            expected: "a present optional".into(),
            found: "an absent one".into(),
        }),
        ImportValue::Value(id) if matches!(ctx.b.ty(id)?, Type::Opt(_)) => {
            Ok(vec![late::one(ctx.b.host(&HOST, Attrs::new(), &[id])?)?.into()])
        }
        other => Ok(vec![other]),
    }
}

/// An optional becomes what it holds.
pub const HOST: HostOp = HostOp {
    name: "optional_get_element",
    infer: |_, types, symbols| match types {
        [Type::Opt(inner)] => {
            let (ty, binds) = late::taken(inner, symbols)?;
            Ok((vec![ty], binds))
        }
        _ => Err(HostError::Operand { position: 0, expected: "an optional", found: format!("{types:?}") }),
    },
    eval: |attrs, inputs| hosted::eval(runtime::run, attrs, inputs),
    runtime: include_str!("runtime/optional_get_element.rs"),
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::*;
    use graph::datum::Datum;

    #[test]
    fn a_tensor_passes() {
        check(&OPERATOR, &[], &[value(i64s(&[1], &[5]))], &[i64s(&[1], &[5])]);
    }

    #[test]
    fn an_absent_optional_is_refused() {
        let error = (HOST.eval)(&Attrs::new(), &[Datum::Opt(None)]).unwrap_err();
        assert!(error.to_string().contains("absent"));
    }
}
