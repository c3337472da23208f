//! GroupQueryAttention of ONNX Runtime: causal attention of queries whose heads share those of keys, with a cache and rotation.
//!
//! <https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#commicrosoftgroupqueryattention>
//!
//! `seqlens_k` has the last key's position of each sequence. The new keys of a sequence stand behind those of its past, which are as many as
//! there are keys before its new ones; a query sees the keys up to its own, `local_window_size` of them at most.
//!
//! ```text
//! before[b] = max(0, seqlens_k[b] + 1 - new)     present[b, t] = past[b, t] for t < before[b], then new[b, t - before[b]], then 0
//! ```
//!
//! Presents have the length of the past or `total_sequence_length`, whichever is more. Queries, keys and values may be packed into the first input.
//!
//! Dtypes: all floats, scores in f32. Refused: `smooth_softmax`, sinks, quantized caches, scores as an output.

use graph::builder::{BuildError, Builder};
use graph::dim::Dim;
use graph::dtype::DType;
use graph::graph::ValueId;

use super::attention::unpack;
use super::rotary_embedding::rotate;
use crate::operator::{AttrKind, Ctx, Operator, attr, between};
use crate::packed_heads::{Heads, attend, both, heads_of, parts};
use crate::pointwise::{self, Outputs};

pub const OPERATOR: Operator = Operator {
    name: "GroupQueryAttention",
    domain: "com.microsoft",
    versions: &[1],
    inputs: between(7, 14),
    outputs: between(1, 4),
    attrs: &[
        attr("do_rotary", AttrKind::Int),
        attr("k_quant_type", AttrKind::String),
        attr("kv_cache_bit_width", AttrKind::Int),
        attr("kv_num_heads", AttrKind::Int),
        attr("local_window_size", AttrKind::Int),
        attr("num_heads", AttrKind::Int),
        attr("qk_output", AttrKind::Int),
        attr("rotary_interleaved", AttrKind::Int),
        attr("scale", AttrKind::Float),
        attr("smooth_softmax", AttrKind::Int),
        attr("softcap", AttrKind::Float),
        attr("v_quant_type", AttrKind::String),
    ],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Outputs {
    pointwise::require_class(ctx, 0, pointwise::FLOATS)?;
    refuse(ctx)?;
    let (heads, groups) = (heads_of(ctx, "num_heads")?, heads_of(ctx, "kv_num_heads")?);
    let [q, k, v] = projections(ctx, heads, groups)?;
    let shape = ctx.b.shape(q)?;
    let [batch, _, new, _] = shape.as_slice() else {
        let what = "queries of GroupQueryAttention".to_string();
        return Err(BuildError::Rank { what, expected: "3".to_string(), found: shape.len() });
    };
    let ends = ctx.input(5)?;
    let ends = ctx.b.reshape(ends, vec![batch.clone()])?;
    let before = ctx.b.map(&[ends], |p, v| {
        let (end, one, new, zero) = (p.cast(v[0], DType::I64), p.int(1), p.dim(new), p.int(0));
        let count = p.add(end, one);
        let before = p.sub(count, new);
        p.max(before, zero)
    })?;
    let (mut q, mut k) = (q, k);
    if ctx.int_or("do_rotary", 0) != 0 {
        let positions = match ctx.optional(9)? {
            Some(positions) => positions,
            None => positions_behind(ctx.b, before, [batch, new])?,
        };
        let (cos, sin) = (ctx.input(7)?, ctx.input(8)?);
        let width = ctx.b.shape(cos)?.last().cloned().unwrap_or_default();
        let (rotated, interleaved) = (&width * &Dim::constant(2), ctx.int_or("rotary_interleaved", 0) != 0);
        q = rotate(ctx.b, (q, cos, sin, Some(positions)), &rotated, interleaved)?;
        k = rotate(ctx.b, (k, cos, sin, Some(positions)), &rotated, interleaved)?;
    }
    let total = ctx.dims(6, 0, None)?.first().cloned().unwrap_or_default();
    let (past_k, past_v) = (ctx.optional(3)?, ctx.optional(4)?);
    let keys = match past_k {
        Some(past) => {
            let buffer = ctx.b.shape(past)?.get(2).cloned().unwrap_or_default();
            ctx.b.model().symbols.max(&buffer, &total)
        }
        None => total,
    };
    let k = appended(ctx.b, past_k, k, before, &keys)?;
    let v = appended(ctx.b, past_v, v, before, &keys)?;
    let window = ctx.int_or("local_window_size", -1);
    let mask = seen(ctx.b, before, [batch, new, &keys], window)?;
    let bias = ctx.optional(10)?;
    let mask = match bias {
        None => Some(mask),
        Some(bias) => {
            let added = ctx.b.map(&[mask], |p, v| {
                let (zero, never) = (p.zero(DType::F32), p.number(DType::F32, f64::NEG_INFINITY));
                p.select(v[0], zero, never)
            })?;
            both(ctx.b, Some(added), Some(bias))?
        }
    };
    let y = attend(ctx, &Heads { q, k, v, mask, causal: None })?;
    Ok([y, k, v].map(Into::into).to_vec())
}

fn refuse(ctx: &Ctx<'_>) -> Result<(), BuildError> {
    let quantized = ["k_quant_type", "v_quant_type"].iter().any(|n| ctx.string(n).is_some_and(|t| t != "NONE"));
    let found = [
        (ctx.int_or("smooth_softmax", 0) > 0, "smooth_softmax"),
        (ctx.optional(11)?.is_some(), "head_sink"),
        (quantized || ctx.optional(12)?.is_some() || ctx.optional(13)?.is_some(), "a quantized cache"),
        (ctx.wants(3) || ctx.int_or("qk_output", 0) != 0, "output 3"),
    ];
    match found.iter().find(|(is, _)| *is) {
        None => Ok(()),
        Some((_, what)) => Err(BuildError::Unsupported {
            what: format!("{what} of {}", ctx.op_type),
            closest: "softmax over keys and a float cache, outputs 0 to 2".to_string(),
        }),
    }
}

fn projections(ctx: &mut Ctx<'_>, heads: i64, groups: i64) -> Result<[ValueId; 3], BuildError> {
    let query = ctx.input(0)?;
    let all = match (ctx.optional(1)?, ctx.optional(2)?) {
        (Some(key), Some(value)) => vec![query, key, value],
        _ => {
            let whole = ctx.b.shape(query)?.last().cloned().unwrap_or_default();
            let size = ctx.b.model().symbols.floor_div(&whole, &Dim::constant(heads + 2 * groups));
            let widths = [heads, groups, groups].map(|count| &size * &Dim::constant(count));
            parts(ctx.b, query, &widths, "heads of queries, keys and values")?
        }
    };
    let [q, k, v] = all[..] else { return Err(BuildError::Results { expected: 3, found: all.len() }) };
    Ok([unpack(ctx.b, q, heads)?, unpack(ctx.b, k, groups)?, unpack(ctx.b, v, groups)?])
}

/// `before[b] + s`.
fn positions_behind(b: &mut Builder, before: ValueId, [batch, new]: [&Dim; 2]) -> Result<ValueId, BuildError> {
    b.compute(&[before], vec![batch.clone(), new.clone()], |p| {
        let (sequence, at) = (p.index(0), p.index(1));
        let before = p.load(0, &[sequence]);
        let position = p.add(before, at);
        p.out(position);
    })
}

/// The past and what is new behind it, `[batch, heads, keys, size]`.
fn appended(
    b: &mut Builder,
    past: Option<ValueId>,
    new: ValueId,
    before: ValueId,
    keys: &Dim,
) -> Result<ValueId, BuildError> {
    let mut shape = b.shape(new)?;
    if let Some(length) = shape.get_mut(2) {
        *length = keys.clone();
    }
    let operands: Vec<ValueId> = [new, before].into_iter().chain(past).collect();
    b.compute(&operands, shape, |p| {
        let index = p.indices();
        let before = p.load(1, &index[..1]);
        let mut at = index.clone();
        at[2] = p.sub(index[2], before);
        let zero = p.zero(p.dtype_of_operand(0));
        let mut value = p.load_or(0, &at, zero);
        if past.is_some() {
            let cached = p.load_or(2, &index, zero);
            let is_past = p.lt(index[2], before);
            value = p.select(is_past, cached, value);
        }
        p.out(value);
    })
}

/// Whether a query sees a key, `[batch, 1, new, keys]`.
fn seen(b: &mut Builder, before: ValueId, [batch, new, keys]: [&Dim; 3], window: i64) -> Result<ValueId, BuildError> {
    let shape = vec![batch.clone(), Dim::constant(1), new.clone(), keys.clone()];
    b.compute(&[before], shape, |p| {
        let (sequence, query, key) = (p.index(0), p.index(2), p.index(3));
        let before = p.load(0, &[sequence]);
        let own = p.add(before, query);
        let mut sees = p.le(key, own);
        if window > 0 {
            let window = p.int(window);
            let distance = p.sub(own, key);
            let near = p.lt(distance, window);
            sees = p.and(sees, near);
        }
        p.out(sees);
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::AttrValue;
    use crate::ops_testing::{Arg, check, f32s, int, missing, refusal, tensor, value};

    fn heads() -> Vec<(&'static str, AttrValue)> {
        vec![("num_heads", int(2)), ("kv_num_heads", int(1))]
    }

    fn i32s(shape: &[usize], values: &[f64]) -> Arg {
        value(tensor(DType::I32, shape, values))
    }

    /// Two query heads over one key head, whose queries are 0: the mean of the values that they see.
    fn inputs() -> Vec<Arg> {
        vec![
            value(f32s(&[1, 2, 2], &[0.0; 4])),
            value(f32s(&[1, 2, 1], &[1.0, 2.0])),
            value(f32s(&[1, 2, 1], &[5.0, 9.0])),
            value(f32s(&[1, 1, 1, 1], &[3.0])),
            value(f32s(&[1, 1, 1, 1], &[1.0])),
            i32s(&[1], &[2.0]),
            i32s(&[], &[3.0]),
        ]
    }

    #[test]
    fn a_cache_and_a_window() {
        let present = |v: &[f32]| f32s(&[1, 1, 3, 1], v);
        let outputs = [f32s(&[1, 2, 2], &[3.0, 3.0, 5.0, 5.0]), present(&[3.0, 1.0, 2.0]), present(&[1.0, 5.0, 9.0])];
        check(&OPERATOR, &heads(), &inputs(), &outputs);
        let mut attrs = heads();
        attrs.push(("local_window_size", int(2)));
        check(&OPERATOR, &attrs, &inputs(), &[f32s(&[1, 2, 2], &[3.0, 3.0, 7.0, 7.0])]);
    }

    /// All in one input, keys turned by a quarter at position 0.
    #[test]
    fn a_first_prompt_in_one_input() {
        let inputs = [
            value(f32s(&[1, 1, 8], &[0.0, 0.0, 0.0, 0.0, 4.0, 1.0, 5.0, 6.0])),
            missing(),
            missing(),
            missing(),
            missing(),
            i32s(&[1, 1], &[0.0]),
            i32s(&[1], &[1.0]),
            value(f32s(&[2, 1], &[0.0, 1.0])),
            value(f32s(&[2, 1], &[1.0, 0.0])),
        ];
        let mut attrs = heads();
        attrs.push(("do_rotary", int(1)));
        let present = |v: &[f32]| f32s(&[1, 1, 1, 2], v);
        let outputs = [f32s(&[1, 1, 4], &[5.0, 6.0, 5.0, 6.0]), present(&[-1.0, 4.0]), present(&[5.0, 6.0])];
        check(&OPERATOR, &attrs, &inputs, &outputs);
    }

    #[test]
    fn a_sink_is_refused() {
        let mut all = inputs();
        all.extend([missing(), missing(), missing(), missing(), value(f32s(&[2], &[0.0, 0.0]))]);
        let error = refusal(&OPERATOR, &heads(), &all);
        assert!(error.to_string().contains("head_sink of GroupQueryAttention"), "{error}");
    }
}
