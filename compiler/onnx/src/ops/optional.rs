//! Optional: a present optional of the input, or an absent one of a type. It dissolves at import; where a run-time optional is
//! needed, the host operators of this file make one.
//!
//! <https://onnx.ai/onnx/operators/onnx__Optional.html>
//!
//! | opset | change |
//! |---|---|
//! | 15 | first |
//!
//! Dtypes: all. Refused: neither an input nor a type.

use graph::builder::BuildError;
use graph::host::{HostError, HostOp};
use graph::ty::Type;
use runtime_min::datum;

use crate::operator::{AttrKind, Ctx, Operator, attr, between, exactly};
use crate::value::ImportValue;
use crate::{hosted, late};

#[path = "runtime/optional_none.rs"]
mod none;
#[path = "runtime/optional_some.rs"]
mod some;

pub const OPERATOR: Operator = Operator {
    name: "Optional",
    domain: "",
    versions: &[15],
    inputs: between(0, 1),
    outputs: exactly(1),
    attrs: &[attr("type", AttrKind::Type)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    match ctx.inputs.first() {
        Some(Some(value)) => Ok(vec![ImportValue::Opt(Some(Box::new(value.clone())))]),
        _ if ctx.type_attr("type").is_some() => Ok(vec![ImportValue::Opt(None)]),
        _ => Err(BuildError::Attr {
            name: "type".into(),
            expected: "the type of the absent value".into(),
            found: "nothing".into(),
        }),
    }
}

/// The operand becomes a present optional.
pub const SOME_HOST: HostOp = HostOp {
    name: "optional_some",
    infer: |_, types, _| match types {
        [inner] => Ok((vec![Type::Opt(Box::new(inner.clone()))], Vec::new())),
        _ => Err(HostError::Operand { position: 0, expected: "one value", found: format!("{types:?}") }),
    },
    eval: |attrs, inputs| hosted::eval(some::run, attrs, inputs),
    runtime: include_str!("runtime/optional_some.rs"),
};

/// An absent optional; `dtype`, `rank` (-1: unknown) and `sequence` say of what.
pub const NONE_HOST: HostOp = HostOp {
    name: "optional_none",
    infer: |attrs, _, _| Ok((vec![Type::Opt(Box::new(late::described(attrs)))], Vec::new())),
    eval: |attrs, inputs| hosted::eval(none::run, attrs, inputs),
    runtime: include_str!("runtime/optional_none.rs"),
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::*;

    #[test]
    fn it_dissolves() {
        let built = Case::new(&OPERATOR).value(i64s(&[1], &[5])).build().unwrap();
        assert!(matches!(&built.outputs[..], [ImportValue::Opt(Some(_))]));
    }

    #[test]
    fn an_absent_value_needs_a_type() {
        assert!(refusal(&OPERATOR, &[], &[missing()]).to_string().contains("absent value"));
    }
}
