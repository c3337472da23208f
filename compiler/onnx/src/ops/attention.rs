//! Attention: scaled dot-product attention with masks, soft cap, shared key heads and a cache of keys and values.
//!
//! <https://onnx.ai/onnx/operators/onnx__Attention.html>
//!
//! | opset | change |
//! |---|---|
//! | 23 | first |
//! | 24 | `nonpad_kv_seqlen`; a mask may be shorter than the keys |
//!
//! Dtypes: all floats, scores in f32 or wider, rounded to `softmax_precision` before the softmax where it is given. Q, K and V
//! have rank 4, or rank 3 with `q_num_heads` and `kv_num_heads`.

use graph::builder::{BuildError, Builder};
use graph::dim::Dim;
use graph::dtype::DType;
use graph::graph::ValueId;
use graph::region::attention::{Attention, Scores};
use graph::region::contract::accumulator;
use graph::scalar::Scalar;

use crate::operator::{AttrKind, Ctx, Operator, attr, between};
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "Attention",
    domain: "",
    versions: &[23, 24],
    inputs: between(3, 7),
    outputs: between(1, 4),
    attrs: &[
        attr("is_causal", AttrKind::Int),
        attr("kv_num_heads", AttrKind::Int),
        attr("q_num_heads", AttrKind::Int),
        attr("qk_matmul_output_mode", AttrKind::Int),
        attr("scale", AttrKind::Float),
        attr("softcap", AttrKind::Float),
        attr("softmax_precision", AttrKind::Int),
    ],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let packed = ctx.shape(0)?.len() == 3;
    let q = heads_first(ctx, 0, "q_num_heads")?;
    let (mut k, mut v) = (heads_first(ctx, 1, "kv_num_heads")?, heads_first(ctx, 2, "kv_num_heads")?);
    let mut past = Dim::constant(0);
    if let Some(before) = ctx.optional(4)? {
        past = ctx.b.shape(before)?.get(2).cloned().unwrap_or_default();
        k = ctx.b.concat(&[before, k], 2)?;
    }
    if let Some(before) = ctx.optional(5)? {
        v = ctx.b.concat(&[before, v], 2)?;
    }
    let mask = ctx.optional(3)?;
    let lengths = match ctx.optional(6)? {
        Some(value) => Some(ctx.b.cast(value, DType::I64)?),
        None => None,
    };
    let softcap = ctx.float_or("softcap", 0.0);
    let wide = accumulator(ctx.b.dtype(q)?);
    let attention = Attention {
        scale: ctx.attrs.contains_key("scale").then(|| Scalar::f32(ctx.float_or("scale", 1.0))),
        softcap: (softcap > 0.0).then(|| Scalar::f32(softcap)),
        causal: (ctx.int_or("is_causal", 0) != 0).then_some(past),
        mask: mask.is_some(),
        lengths: lengths.is_some(),
        scores: if ctx.wants(3) { Some(scores(ctx)?) } else { None },
        ..Attention::plain(ctx.dtype_attr("softmax_precision")?.unwrap_or(wide))
    };
    let operands: Vec<ValueId> = [q, k, v].into_iter().chain(mask).chain(lengths).collect();
    let (mut y, scores) = ctx.b.attention(&attention, &operands)?;
    if packed {
        y = heads_last(ctx.b, y)?;
    }
    Ok([y, k, v].into_iter().chain(scores).map(Into::into).collect())
}

fn scores(ctx: &Ctx<'_>) -> Result<Scores, BuildError> {
    match ctx.int_or("qk_matmul_output_mode", 0) {
        0 => Ok(Scores::Product),
        1 => Ok(Scores::Capped),
        2 => Ok(Scores::Masked),
        3 => Ok(Scores::Weights),
        other => Err(BuildError::Attr {
            name: "qk_matmul_output_mode".to_string(),
            expected: "0 to 3".to_string(),
            found: other.to_string(),
        }),
    }
}

/// An input as `[batch, heads, sequence, size]`, unpacked from `[batch, sequence, heads * size]` where it has rank 3.
pub fn heads_first(ctx: &mut Ctx<'_>, position: usize, heads: &str) -> Result<ValueId, BuildError> {
    let x = ctx.input(position)?;
    let shape = ctx.b.shape(x)?;
    match shape.as_slice() {
        [_, _, _, _] => Ok(x),
        [_, _, _] => {
            let count = ctx.int(heads).filter(|c| *c > 0).ok_or_else(|| BuildError::Attr {
                name: heads.to_string(),
                expected: "a positive number for inputs of rank 3".to_string(),
                found: format!("{:?}", ctx.int(heads)),
            })?;
            unpack(ctx.b, x, count)
        }
        _ => {
            let what = format!("input {position} of {}", ctx.op_type);
            Err(BuildError::Rank { what, expected: "3 or 4".to_string(), found: shape.len() })
        }
    }
}

/// `[batch, sequence, heads * size]` as `[batch, heads, sequence, size]`.
pub fn unpack(b: &mut Builder, x: ValueId, heads: i64) -> Result<ValueId, BuildError> {
    let shape = b.shape(x)?;
    let [batch, sequence, hidden] = shape.as_slice() else {
        let what = "a packed tensor".to_string();
        return Err(BuildError::Rank { what, expected: "3".to_string(), found: shape.len() });
    };
    let heads = Dim::constant(heads);
    let size = b.model().symbols.floor_div(hidden, &heads);
    let split = b.reshape(x, vec![batch.clone(), sequence.clone(), heads, size])?;
    b.transpose(split, &[0, 2, 1, 3])
}

/// `[batch, heads, sequence, size]` as `[batch, sequence, heads * size]`.
pub fn heads_last(b: &mut Builder, x: ValueId) -> Result<ValueId, BuildError> {
    let x = b.transpose(x, &[0, 2, 1, 3])?;
    let shape = b.shape(x)?;
    let mut packed = shape[..2].to_vec();
    packed.push(Dim::product(&shape[2..]));
    b.reshape(x, packed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::{bools, check, f32s, int, refusal, value};

    #[test]
    fn packed_heads_share_a_masked_key() {
        // Two query heads over one key head; the second key is masked, so both queries see the first value.
        let q = f32s(&[1, 1, 2], &[1.0, 2.0]);
        let k = f32s(&[1, 2, 1], &[3.0, 4.0]);
        let v = f32s(&[1, 2, 1], &[5.0, 7.0]);
        let mask = bools(&[1, 1], &[true]);
        let attrs = [("q_num_heads", int(2)), ("kv_num_heads", int(1))];
        let y = f32s(&[1, 1, 2], &[5.0, 5.0]);
        let present = |x: &[f32]| f32s(&[1, 1, 2, 1], x);
        let outputs = [y, present(&[3.0, 4.0]), present(&[5.0, 7.0]), f32s(&[1, 2, 1, 2], &[3.0, 4.0, 6.0, 8.0])];
        check(&OPERATOR, &attrs, &[value(q), value(k), value(v), value(mask)], &outputs);
    }

    #[test]
    fn rank_three_without_heads_is_refused() {
        let x = f32s(&[1, 1, 1], &[1.0]);
        let error = refusal(&OPERATOR, &[], &[value(x.clone()), value(x.clone()), value(x)]);
        assert!(error.to_string().contains("attribute q_num_heads"), "{error}");
    }
}
