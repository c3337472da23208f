//! RegexFullMatch: whether each whole string matches a regular expression.
//!
//! <https://onnx.ai/onnx/operators/onnx__RegexFullMatch.html>
//!
//! | opset | change |
//! |---|---|
//! | 20 | first |
//!
//! Dtypes: strings. The syntax is RE2's without Unicode classes `\p{…}` and bytes `\C`, matched in linear time by the runtime
//! file of this operator. A pattern that does not parse is refused at import.

use graph::attrs::{Attr, Attrs};
use graph::builder::BuildError;
use graph::datum::Datum;
use graph::dtype::DType;
use graph::host::{HostError, HostOp};
use graph::tensor::Tensor;
use graph::ty::Type;
use runtime_min::datum;

use crate::operator::{AttrKind, Ctx, Operator, attr, exactly};
use crate::value::ImportValue;
use crate::{hosted, late};

#[path = "runtime/regex_full_match.rs"]
mod runtime;

pub const OPERATOR: Operator = Operator {
    name: "RegexFullMatch",
    domain: "",
    versions: &[20],
    inputs: exactly(1),
    outputs: exactly(1),
    attrs: &[attr("pattern", AttrKind::String)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let x = ctx.input(0)?;
    let attrs = Attrs::new().with("pattern", Attr::Str(ctx.string("pattern").unwrap_or("").to_string()));
    let nothing = Tensor::from_strings(vec![0], Vec::new())?;
    (HOST.eval)(&attrs, &[Datum::Tensor(nothing)])?;
    Ok(vec![late::one(ctx.b.host(&HOST, attrs, &[x])?)?.into()])
}

/// Strings become truth values.
pub const HOST: HostOp = HostOp {
    name: "regex_full_match",
    infer: |_, types, _| match types {
        [Type::Tensor(t)] if t.dtype == DType::Str => {
            Ok((vec![Type::tensor(DType::Bool, t.shape.clone())], Vec::new()))
        }
        _ => Err(HostError::Operand { position: 0, expected: "strings", found: format!("{types:?}") }),
    },
    eval: |attrs, inputs| hosted::eval(runtime::run, attrs, inputs),
    runtime: include_str!("runtime/regex_full_match.rs"),
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::*;

    #[track_caller]
    fn matching(pattern: &str, yes: &[&str], no: &[&str]) {
        let words: Vec<String> = yes.iter().chain(no).map(|w| w.to_string()).collect();
        let expected: Vec<bool> = (0..words.len()).map(|i| i < yes.len()).collect();
        let shape = [words.len()];
        let x = Tensor::from_strings(shape.to_vec(), words).unwrap();
        check(&OPERATOR, &[("pattern", string(pattern))], &[value(x)], &[bools(&shape, &expected)]);
    }

    #[test]
    fn literals_classes_and_places() {
        matching(r"www\.[\w.-]+\.\bcom\b", &["www.a-b.com", "www.x.y.com"], &["www..comx", "www.com", "wwwxa.com"]);
        matching(r"(\W|^)[\w.\-]{0,25}@(yahoo|gmail)\.com(\W|$)", &["a.b@gmail.com", " @yahoo.com!"], &["a@g.com"]);
        matching("[^a-c[:digit:]]", &["d", "é", "\n"], &["a", "5", ""]);
        matching(r"\Aa.c\z", &["abc", "aéc"], &["a\nc", "abcd"]);
    }

    #[test]
    fn repeats_and_groups() {
        matching("(ab){2,3}?", &["abab", "ababab"], &["ab", "abababab"]);
        matching("a{2,}|b*|(?:c?d)+", &["aa", "", "bbb", "dcd"], &["a", "cc"]);
        matching("a{,2}", &["a{,2}"], &["aa"]);
        matching("(a*)*b", &["aaaaaaaaaaaaaaaaaaaaaaaaaaaab"], &["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac"]);
    }

    #[test]
    fn flags_and_escapes() {
        matching("(?i)straße[A-C]", &["STRAßEb"], &["strase"]);
        matching("(?s:.)(?m)$\n^x", &["\n\nx"], &["\nx"]);
        matching(r"\x41\x{e9}\t\Q.*\E", &["Aé\t.*"], &["Aé\t.x"]);
    }

    #[test]
    fn a_broken_pattern_is_refused() {
        let x = Tensor::from_strings(vec![1], vec!["a".into()]).unwrap();
        for pattern in ["(a", "a)", "[a", "*", "a{2000}", r"\p{Greek}", "a{3,2}", "[b-a]"] {
            let error = refusal(&OPERATOR, &[("pattern", string(pattern))], &[value(x.clone())]);
            assert!(error.to_string().contains("pattern"), "{pattern}: {error}");
        }
    }
}
