//! LabelEncoder (ai.onnx.ml): each element looked up in a list of keys and replaced by the value at its place, or a default.
//!
//! <https://onnx.ai/onnx/operators/onnx_aionnxml_LabelEncoder.html>
//!
//! | opset | change |
//! |---|---|
//! | 1 | strings to int64 and back by `classes_strings` |
//! | 2 | keys and values of strings, int64, floats |
//! | 4 | keys and values as tensors of any dtype |
//!
//! Dtypes: all. NaN finds a NaN key. Of equal keys the first counts. Looking up strings is the host's work, everything else is
//! a `Compute`.

use graph::attrs::Attrs;
use graph::builder::{BuildError, Builder};
use graph::dtype::DType;
use graph::graph::ValueId;
use graph::host::{HostError, HostOp};
use graph::node::Combiner;
use graph::tensor::Tensor;
use graph::ty::Type;
use runtime_min::datum;

use crate::operator::{AttrKind, Ctx, Operator, attr, exactly};
use crate::value::ImportValue;
use crate::{hosted, late};

#[path = "runtime/string_index.rs"]
mod runtime;

pub const OPERATOR: Operator = Operator {
    name: "LabelEncoder",
    domain: "ai.onnx.ml",
    versions: &[1, 2, 4],
    inputs: exactly(1),
    outputs: exactly(1),
    attrs: &[
        attr("classes_strings", AttrKind::Strings),
        attr("default_float", AttrKind::Float),
        attr("default_int64", AttrKind::Int),
        attr("default_string", AttrKind::String),
        attr("default_tensor", AttrKind::Tensor),
        attr("keys_floats", AttrKind::Floats),
        attr("keys_int64s", AttrKind::Ints),
        attr("keys_strings", AttrKind::Strings),
        attr("keys_tensor", AttrKind::Tensor),
        attr("values_floats", AttrKind::Floats),
        attr("values_int64s", AttrKind::Ints),
        attr("values_strings", AttrKind::Strings),
        attr("values_tensor", AttrKind::Tensor),
    ],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let x = ctx.input(0)?;
    let (keys, values) = if ctx.opset < 2 { classes(ctx, x)? } else { (list(ctx, "keys")?, list(ctx, "values")?) };
    if keys.len() != values.len() || keys.is_empty() {
        return Err(BuildError::Shapes {
            what: "keys and values of LabelEncoder".into(),
            left: format!("{} keys", keys.len()),
            right: format!("{} values", values.len()),
        });
    }
    let default = default(ctx, values.dtype())?;
    let keys = ctx.b.constant(keys)?;
    let place = index(ctx.b, x, keys)?;
    let (values, default) = (ctx.b.constant(values)?, ctx.b.constant(default)?);
    let shape = ctx.b.shape(x)?;
    let y = ctx.b.compute(&[place, values, default], shape, |p| {
        let at = p.indices();
        let place = p.load(0, &at);
        let default = p.load(2, &[]);
        let found = p.load_or(1, &[place], default);
        p.out(found);
    })?;
    Ok(vec![y.into()])
}

/// For every element of `x` the position of the first key that equals it, or -1.
pub fn index(b: &mut Builder, x: ValueId, keys: ValueId) -> Result<ValueId, BuildError> {
    let (dtype, other) = (b.dtype(x)?, b.dtype(keys)?);
    if dtype != other {
        return Err(BuildError::DType {
            what: "an element to look up".into(),
            expected: other.to_string(),
            found: dtype,
        });
    }
    if dtype == DType::Str {
        return late::one(b.host(&HOST, Attrs::new(), &[x, keys])?);
    }
    let (shape, keys_shape) = (b.shape(x)?, b.shape(keys)?);
    let count = keys_shape.first().cloned().unwrap_or_default();
    b.compute(&[x, keys], shape, |p| {
        let at = p.indices();
        let k = p.reduce(&count);
        let (element, key) = (p.load(0, &at), p.load(1, &[k]));
        let mut equal = p.eq(element, key);
        if dtype.is_float() {
            let (a, b) = (p.ne(element, element), p.ne(key, key));
            let both = p.and(a, b);
            equal = p.or(equal, both);
        }
        let number = p.cast(equal, DType::I64);
        let (any, first) = (p.acc(Combiner::Any, equal), p.acc(Combiner::ArgMax { last: false }, number));
        let none = p.int(-1);
        let place = p.select(any, first, none);
        p.out(place);
    })
}

/// Opset 1: strings to their positions, or positions to strings.
fn classes(ctx: &mut Ctx<'_>, x: ValueId) -> Result<(Tensor, Tensor), BuildError> {
    let words = ctx.strings("classes_strings").unwrap_or_default().to_vec();
    let count = words.len();
    let positions: Vec<i64> = (0..count as i64).collect();
    let (words, positions) = (Tensor::from_strings(vec![count], words)?, Tensor::from_i64s(&positions));
    Ok(if ctx.b.dtype(x)? == DType::Str { (words, positions) } else { (positions, words) })
}

/// `keys_*` or `values_*`, whichever is there, as a vector.
fn list(ctx: &Ctx<'_>, what: &str) -> Result<Tensor, BuildError> {
    if let Some(t) = ctx.tensor(&format!("{what}_tensor")) {
        return Ok(t.clone().reshaped(vec![t.len()])?);
    }
    if let Some(v) = ctx.strings(&format!("{what}_strings")) {
        return Ok(Tensor::from_strings(vec![v.len()], v.to_vec())?);
    }
    if let Some(v) = ctx.ints(&format!("{what}_int64s")) {
        return Ok(Tensor::from_i64s(v));
    }
    if let Some(v) = ctx.floats(&format!("{what}_floats")) {
        return Ok(Tensor::from_f32s(v));
    }
    Err(BuildError::Attr {
        name: format!("{what}_tensor"),
        expected: format!("one of {what}_tensor, {what}_strings, {what}_int64s, {what}_floats"),
        found: "none".into(),
    })
}

fn default(ctx: &Ctx<'_>, dtype: DType) -> Result<Tensor, BuildError> {
    if let Some(t) = ctx.tensor("default_tensor").filter(|t| t.dtype() == dtype && t.len() == 1) {
        return Ok(t.clone().reshaped(Vec::new())?);
    }
    Ok(match dtype {
        DType::Str => {
            Tensor::from_strings(Vec::new(), vec![ctx.string("default_string").unwrap_or("_Unused").to_string()])?
        }
        dtype if dtype.is_float() => {
            Tensor::scalar(graph::scalar::Scalar::from_f64(dtype, f64::from(ctx.float_or("default_float", -0.0))))
        }
        dtype => Tensor::scalar(graph::scalar::Scalar::from_i64(dtype, ctx.int_or("default_int64", -1))),
    })
}

/// Strings and a list of keys become positions, -1 where there is no such key.
pub const HOST: HostOp = HostOp {
    name: "string_index",
    infer: |_, types, _| match types {
        [Type::Tensor(t), keys] if t.dtype == DType::Str && late::is_strings(keys) => {
            Ok((vec![Type::tensor(DType::I64, t.shape.clone())], Vec::new()))
        }
        _ => Err(HostError::Operand { position: 0, expected: "strings and string keys", found: format!("{types:?}") }),
    },
    eval: |attrs, inputs| hosted::eval(runtime::run, attrs, inputs),
    runtime: include_str!("runtime/string_index.rs"),
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::AttrValue;
    use crate::ops_testing::*;

    fn strings(words: &[&str]) -> Tensor {
        Tensor::from_strings(vec![words.len()], words.iter().map(|w| w.to_string()).collect()).unwrap()
    }

    #[test]
    fn floats_to_strings_with_nan() {
        let attrs = [
            ("keys_floats", AttrValue::Floats(vec![1.5, f32::NAN])),
            ("values_strings", AttrValue::Strings(vec!["a".into(), "b".into()])),
            ("default_string", string("?")),
        ];
        check(&OPERATOR, &attrs, &[value(f32s(&[3], &[f32::NAN, 1.5, 2.0]))], &[strings(&["b", "a", "?"])]);
    }

    #[test]
    fn strings_to_a_tensor_of_another_dtype() {
        let attrs = [
            ("keys_strings", AttrValue::Strings(vec!["a".into(), "b".into(), "a".into()])),
            ("values_tensor", AttrValue::Tensor(tensor(DType::I16, &[3], &[7.0, 8.0, 9.0]))),
            ("default_tensor", AttrValue::Tensor(tensor(DType::I16, &[1], &[42.0]))),
        ];
        let expected = tensor(DType::I16, &[3], &[42.0, 8.0, 7.0]);
        check(&OPERATOR, &attrs, &[value(strings(&["x", "b", "a"]))], &[expected]);
    }

    #[test]
    fn unequal_lists_are_refused() {
        let attrs = [("keys_int64s", ints(&[1, 2])), ("values_int64s", ints(&[1]))];
        assert!(refusal(&OPERATOR, &attrs, &[value(i64s(&[1], &[1]))]).to_string().contains("2 keys"));
    }
}
