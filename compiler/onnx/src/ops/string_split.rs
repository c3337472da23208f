//! StringSplit: the parts of each string along a new last axis, filled up with empty strings, and how many each has.
//!
//! <https://onnx.ai/onnx/operators/onnx__StringSplit.html>
//!
//! | opset | change |
//! |---|---|
//! | 20 | first |
//!
//! Dtypes: strings. Without a delimiter runs of white space separate.

use graph::attrs::{Attr, Attrs};
use graph::builder::BuildError;
use graph::dim::Dim;
use graph::dtype::DType;
use graph::host::{HostError, HostOp};
use graph::symbol::SymSource;
use graph::ty::Type;
use runtime_min::datum;

use crate::hosted;
use crate::operator::{AttrKind, Ctx, Operator, attr, between, exactly};
use crate::value::ImportValue;

#[path = "runtime/string_split.rs"]
mod runtime;

pub const OPERATOR: Operator = Operator {
    name: "StringSplit",
    domain: "",
    versions: &[20],
    inputs: exactly(1),
    outputs: between(1, 2),
    attrs: &[attr("delimiter", AttrKind::String), attr("maxsplit", AttrKind::Int)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let x = ctx.input(0)?;
    let mut attrs = Attrs::new().with("delimiter", Attr::Str(ctx.string("delimiter").unwrap_or("").to_string()));
    if let Some(most) = ctx.int("maxsplit") {
        attrs = attrs.with("maxsplit", Attr::Int(most));
    }
    let results = ctx.b.host(&HOST, attrs, &[x])?;
    Ok(results.into_iter().map(ImportValue::from).collect())
}

/// Strings become parts and counts.
pub const HOST: HostOp = HostOp {
    name: "string_split",
    infer: |_, types, symbols| match types {
        [Type::Tensor(t)] if t.dtype == DType::Str => {
            let name = format!("n{}", symbols.len());
            let width = symbols.add(&name, 0, None, SymSource::Bind);
            let mut wide = t.shape.clone();
            wide.push(Dim::symbol(width));
            Ok((vec![Type::tensor(DType::Str, wide), Type::tensor(DType::I64, t.shape.clone())], vec![width]))
        }
        _ => Err(HostError::Operand { position: 0, expected: "strings", found: format!("{types:?}") }),
    },
    eval: |attrs, inputs| hosted::eval(runtime::run, attrs, inputs),
    runtime: include_str!("runtime/string_split.rs"),
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
    fn what_is_left_after_the_last_split_stays_whole() {
        let x = value(strings(&[2], &[" a b  c ", ""]));
        let expected = [strings(&[2, 2], &["a", "b  c ", "", ""]), i64s(&[2], &[2, 0])];
        check(&OPERATOR, &[("maxsplit", int(1))], &[x], &expected);
    }

    #[test]
    fn a_delimiter_delimits_empty_parts() {
        let x = value(strings(&[1], &[",a,"]));
        let expected = [strings(&[1, 3], &["", "a", ""]), i64s(&[1], &[3])];
        check(&OPERATOR, &[("delimiter", string(","))], &[x], &expected);
    }

    #[test]
    fn numbers_are_refused() {
        assert!(refusal(&OPERATOR, &[], &[value(i64s(&[1], &[1]))]).to_string().contains("strings"));
    }
}
