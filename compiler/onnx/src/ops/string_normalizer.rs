//! StringNormalizer: the strings of a row without the stop words, in upper or lower case.
//!
//! <https://onnx.ai/onnx/operators/onnx__StringNormalizer.html>
//!
//! | opset | change |
//! |---|---|
//! | 10 | first |
//!
//! Dtypes: strings of shape `[C]` or `[1, C]`. Case follows Unicode whatever the `locale`. A row without strings left becomes
//! one empty string.

use graph::attrs::{Attr, Attrs};
use graph::builder::BuildError;
use graph::dim::Dim;
use graph::dtype::DType;
use graph::host::{HostError, HostOp};
use graph::symbol::SymSource;
use graph::ty::Type;
use runtime_min::datum;

use crate::operator::{AttrKind, Ctx, Operator, attr, exactly};
use crate::value::ImportValue;
use crate::{hosted, late};

#[path = "runtime/string_normalizer.rs"]
mod runtime;

pub const OPERATOR: Operator = Operator {
    name: "StringNormalizer",
    domain: "",
    versions: &[10],
    inputs: exactly(1),
    outputs: exactly(1),
    attrs: &[
        attr("case_change_action", AttrKind::String),
        attr("is_case_sensitive", AttrKind::Int),
        attr("locale", AttrKind::String),
        attr("stopwords", AttrKind::Strings),
    ],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let x = ctx.input(0)?;
    let shape = ctx.b.shape(x)?;
    match shape.as_slice() {
        [_] => {}
        [rows, _] => ctx.b.assume_equal(rows, &Dim::constant(1), "a matrix for StringNormalizer has one row")?,
        other => {
            let found = other.len();
            return Err(BuildError::Rank { what: "X of StringNormalizer".into(), expected: "1 or 2".into(), found });
        }
    }
    let case = ctx.string("case_change_action").unwrap_or("NONE");
    if !["NONE", "LOWER", "UPPER"].contains(&case) {
        return Err(BuildError::Attr {
            name: "case_change_action".into(),
            expected: "NONE, LOWER or UPPER".into(),
            found: case.to_string(),
        });
    }
    let attrs = Attrs::new()
        .with("case", Attr::Str(case.to_string()))
        .with("case_sensitive", Attr::Bool(ctx.int_or("is_case_sensitive", 0) != 0))
        .with("stopwords", Attr::Strs(ctx.strings("stopwords").unwrap_or_default().to_vec()));
    Ok(vec![late::one(ctx.b.host(&HOST, attrs, &[x])?)?.into()])
}

/// Strings become fewer strings.
pub const HOST: HostOp = HostOp {
    name: "string_normalizer",
    infer: |_, types, symbols| match types {
        [ty] if late::is_strings(ty) => {
            let mut shape = ty.as_tensor().map(|t| t.shape.clone()).unwrap_or_default();
            let name = format!("n{}", symbols.len());
            let count = symbols.add(&name, 1, None, SymSource::Bind);
            if let Some(last) = shape.last_mut() {
                *last = Dim::symbol(count);
            }
            Ok((vec![Type::tensor(DType::Str, shape)], vec![count]))
        }
        _ => Err(HostError::Operand { position: 0, expected: "strings", found: format!("{types:?}") }),
    },
    eval: |attrs, inputs| hosted::eval(runtime::run, attrs, inputs),
    runtime: include_str!("runtime/string_normalizer.rs"),
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
    fn stop_words_go_whatever_their_case() {
        let x = value(strings(&[1, 3], &["Monday", "tuesday", "MONDAY"]));
        let stop = crate::operator::AttrValue::Strings(vec!["monday".into()]);
        let attrs = [("case_change_action", string("UPPER")), ("stopwords", stop)];
        check(&OPERATOR, &attrs, std::slice::from_ref(&x), &[strings(&[1, 1], &["TUESDAY"])]);
        let attrs = [attrs[1].clone(), ("is_case_sensitive", int(1))];
        check(&OPERATOR, &attrs, &[x], &[strings(&[1, 3], &["Monday", "tuesday", "MONDAY"])]);
    }

    #[test]
    fn two_rows_are_refused() {
        let error = refusal(&OPERATOR, &[], &[value(strings(&[2, 1], &["a", "b"]))]);
        assert!(error.to_string().contains("one row"));
    }
}
