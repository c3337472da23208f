//! MultiHeadAttention of ONNX Runtime: attention over heads of queries, keys and values that were projected before.
//!
//! <https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#commicrosoftmultiheadattention>
//!
//! | form | query | key | value |
//! |---|---|---|---|
//! | apart | `[batch, sequence, width]` | `[batch, keys, width]` | `[batch, keys, width]` |
//! | keys as heads | `[batch, sequence, width]` | `[batch, heads, keys, size]` | `[batch, heads, keys, size]` |
//! | keys with values | `[batch, sequence, width]` | `[batch, keys, heads, 2, size]` | - |
//! | all in one | `[batch, sequence, heads, 3, size]` | - | - |
//!
//! Further inputs: bias, mask of keys, what is added to the scores, past keys and values. Dtypes: all floats, scores in f32. Refused: the length
//! of a past in a shared buffer, cache indirection, the scores as an output.

use graph::builder::BuildError;
use graph::dim::Dim;
use graph::graph::ValueId;

use crate::operator::{AttrKind, Ctx, Operator, attr, between};
use crate::packed_heads::{Heads, attend, biased_heads, both, heads_of, key_mask, parts};
use crate::pointwise::{self, Outputs};

pub const OPERATOR: Operator = Operator {
    name: "MultiHeadAttention",
    domain: "com.microsoft",
    versions: &[1],
    inputs: between(1, 10),
    outputs: between(1, 4),
    attrs: &[
        attr("mask_filter_value", AttrKind::Float),
        attr("num_heads", AttrKind::Int),
        attr("scale", AttrKind::Float),
        attr("unidirectional", AttrKind::Int),
    ],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Outputs {
    pointwise::require_class(ctx, 0, pointwise::FLOATS)?;
    let refused = [(8, "past_sequence_length"), (9, "cache_indirection")];
    for (position, name) in refused {
        if ctx.optional(position)?.is_some() {
            let what = format!("input {name} of {}", ctx.op_type);
            return Err(BuildError::Unsupported { what, closest: "past keys and values of their length".to_string() });
        }
    }
    if ctx.wants(3) {
        let what = format!("output 3 of {}", ctx.op_type);
        return Err(BuildError::Unsupported { what, closest: "outputs 0 to 2".to_string() });
    }
    let heads = heads_of(ctx, "num_heads")?;
    let [q, mut k, mut v] = projections(ctx, heads)?;
    let mut before = Dim::constant(0);
    if let (Some(keys), Some(values)) = (ctx.optional(6)?, ctx.optional(7)?) {
        before = ctx.b.shape(keys)?.get(2).cloned().unwrap_or_default();
        k = ctx.b.concat(&[keys, k], 2)?;
        v = ctx.b.concat(&[values, v], 2)?;
    }
    let shape = ctx.b.shape(k)?;
    let mut mask = ctx.optional(5)?;
    if let Some(of_keys) = ctx.optional(4)? {
        let fill = f64::from(ctx.float_or("mask_filter_value", -10000.0));
        let of_keys = key_mask(ctx, of_keys, [&shape[0], &shape[2]], fill)?;
        mask = both(ctx.b, Some(of_keys), mask)?;
    }
    let causal = (ctx.int_or("unidirectional", 0) != 0).then_some(before);
    let y = attend(ctx, &Heads { q, k, v, mask, causal })?;
    Ok([y, k, v].map(Into::into).to_vec())
}

/// Queries, keys and values as heads, with their biases.
fn projections(ctx: &mut Ctx<'_>, heads: i64) -> Result<[ValueId; 3], BuildError> {
    let query = ctx.input(0)?;
    let (key, value) = (ctx.optional(1)?, ctx.optional(2)?);
    let rank = |ctx: &Ctx<'_>, x: ValueId| ctx.b.rank(x);
    let (query, key, value) = match (key, value) {
        (None, _) => {
            let [q, k, v] = [0, 1, 2].map(|which| flattened(ctx, query, 5, which));
            (q?, k?, v?)
        }
        (Some(key), None) => (query, flattened(ctx, key, 5, 0)?, flattened(ctx, key, 5, 1)?),
        (Some(key), Some(value)) => (query, key, value),
    };
    let bias = match ctx.optional(3)? {
        Some(bias) => {
            let width = ctx.b.shape(query)?.last().cloned().unwrap_or_default();
            let whole = ctx.b.shape(bias)?.last().cloned().unwrap_or_default();
            let rest = &whole - &(&width * &Dim::constant(2));
            parts(ctx.b, bias, &[width.clone(), width, rest], "a bias of queries, keys and values")?
        }
        None => Vec::new(),
    };
    let mut all = [query, key, value];
    for (position, x) in all.iter_mut().enumerate() {
        if rank(ctx, *x)? != 4 {
            *x = biased_heads(ctx.b, *x, bias.get(position).copied(), heads)?;
        }
    }
    Ok(all)
}

/// Part `which` of `[batch, sequence, heads, parts, size]`, as `[batch, sequence, heads * size]`.
fn flattened(ctx: &mut Ctx<'_>, x: ValueId, rank: usize, which: i64) -> Result<ValueId, BuildError> {
    let shape = ctx.b.shape(x)?;
    let [batch, sequence, heads, _, size] = shape.as_slice() else {
        let what = format!("packed input of {}", ctx.op_type);
        return Err(BuildError::Rank { what, expected: rank.to_string(), found: shape.len() });
    };
    let part = ctx.b.slice(x, 3, &Dim::constant(which), 1, Dim::constant(1))?;
    ctx.b.reshape(part, vec![batch.clone(), sequence.clone(), heads * size])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::{Case, check, f32s, int, missing, refusal, tensor, value};
    use graph::dtype::DType;

    /// Queries are 0, so that all keys weigh the same.
    #[test]
    fn a_past_a_bias_and_a_mask() {
        let inputs = [
            value(f32s(&[1, 1, 1], &[1.0])),
            value(f32s(&[1, 2, 1], &[1.0, 2.0])),
            value(f32s(&[1, 2, 1], &[3.0, 4.0])),
            value(f32s(&[3], &[-1.0, 0.0, 10.0])),
            value(tensor(DType::I32, &[1, 3], &[1.0, 1.0, 0.0])),
            missing(),
            value(f32s(&[1, 1, 1, 1], &[7.0])),
            value(f32s(&[1, 1, 1, 1], &[7.0])),
        ];
        let present = |v: &[f32]| f32s(&[1, 1, 3, 1], v);
        let outputs = [f32s(&[1, 1, 1], &[10.0]), present(&[7.0, 1.0, 2.0]), present(&[7.0, 13.0, 14.0])];
        check(&OPERATOR, &[("num_heads", int(1))], &inputs, &outputs);
    }

    #[test]
    fn all_in_one_and_keys_with_values() {
        let packed = f32s(&[1, 1, 2, 3, 1], &[0.0, 1.0, 5.0, 0.0, 2.0, 6.0]);
        let y = f32s(&[1, 1, 2], &[5.0, 6.0]);
        check(&OPERATOR, &[("num_heads", int(2))], &[value(packed)], std::slice::from_ref(&y));
        let (query, pair) = (f32s(&[1, 1, 2], &[0.0, 0.0]), f32s(&[1, 1, 2, 2, 1], &[1.0, 5.0, 2.0, 6.0]));
        check(&OPERATOR, &[("num_heads", int(2))], &[value(query), value(pair)], &[y]);
    }

    #[test]
    fn scores_as_an_output_and_no_heads_are_refused() {
        let inputs = [value(f32s(&[1, 1, 1, 3, 1], &[0.0; 3]))];
        let error = Case::of(&OPERATOR, &[("num_heads", int(1))], &inputs).outputs(4).build().err().unwrap();
        assert!(error.to_string().contains("output 3 of MultiHeadAttention"), "{error}");
        assert!(refusal(&OPERATOR, &[], &inputs).to_string().contains("attribute num_heads"));
    }
}
