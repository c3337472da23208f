//! Attention of ONNX Runtime: queries, keys and values by one product of the input, then attention over heads.
//!
//! <https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#commicrosoftattention>
//!
//! Inputs: input `[batch, sequence, hidden]`, weights `[hidden, q + k + v]`, bias, mask of keys, past `[2, batch, heads, keys, size]`,
//! what is added to the scores. The second output is the past with the new keys and values behind it.
//!
//! Dtypes: all floats, scores in f32. Refused: `do_rotary`, a past and present in one buffer, masks of rank 4.

use graph::builder::BuildError;
use graph::dim::Dim;
use graph::graph::ValueId;
use graph::region::contract::accumulator;

use super::mat_mul::mat_mul;
use crate::operator::{AttrKind, Ctx, Operator, attr, between};
use crate::packed_heads::{Heads, attend, biased_heads, both, heads_of, key_mask, parts};
use crate::pointwise::{self, Outputs};

pub const OPERATOR: Operator = Operator {
    name: "Attention",
    domain: "com.microsoft",
    versions: &[1],
    inputs: between(2, 7),
    outputs: between(1, 2),
    attrs: &[
        attr("do_rotary", AttrKind::Int),
        attr("mask_filter_value", AttrKind::Float),
        attr("num_heads", AttrKind::Int),
        attr("past_present_share_buffer", AttrKind::Int),
        attr("qkv_hidden_sizes", AttrKind::Ints),
        attr("rotary_embedding_dim", AttrKind::Int),
        attr("scale", AttrKind::Float),
        attr("unidirectional", AttrKind::Int),
    ],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Outputs {
    pointwise::require_class(ctx, 0, pointwise::FLOATS)?;
    for name in ["do_rotary", "past_present_share_buffer"] {
        if ctx.int_or(name, 0) != 0 {
            let closest = format!("{name} of 0");
            return Err(BuildError::Unsupported { what: format!("{name} of {}", ctx.op_type), closest });
        }
    }
    let (x, weights) = (ctx.input(0)?, ctx.input(1)?);
    let heads = heads_of(ctx, "num_heads")?;
    let dtype = ctx.dtype(0)?;
    let product = mat_mul(ctx.b, x, weights, accumulator(dtype))?;
    let product = ctx.b.cast(product, dtype)?;
    let whole = ctx.b.shape(product)?.last().cloned().unwrap_or_default();
    let widths: Vec<Dim> = match ctx.ints("qkv_hidden_sizes") {
        Some(sizes) => sizes.iter().map(|size| Dim::constant(*size)).collect(),
        None => vec![ctx.b.model().symbols.floor_div(&whole, &Dim::constant(3)); 3],
    };
    let biases = match ctx.optional(2)? {
        Some(bias) => parts(ctx.b, bias, &widths, "a bias for each column of the weights")?,
        None => Vec::new(),
    };
    let split = parts(ctx.b, product, &widths, "columns of the weights for queries, keys and values")?;
    let mut all = Vec::with_capacity(3);
    for (k, part) in split.iter().enumerate() {
        all.push(biased_heads(ctx.b, *part, biases.get(k).copied(), heads)?);
    }
    let [q, mut k, mut v] = all[..] else {
        let (expected, found) = ("three sizes".to_string(), all.len().to_string());
        return Err(BuildError::Attr { name: "qkv_hidden_sizes".to_string(), expected, found });
    };
    let mut before = Dim::constant(0);
    if let Some(past) = ctx.optional(4)? {
        let (keys, values) = (cached(ctx, past, 0)?, cached(ctx, past, 1)?);
        before = ctx.b.shape(keys)?.get(2).cloned().unwrap_or_default();
        k = ctx.b.concat(&[keys, k], 2)?;
        v = ctx.b.concat(&[values, v], 2)?;
    }
    let shape = ctx.b.shape(k)?;
    let mut mask = ctx.optional(5)?;
    if let Some(of_keys) = ctx.optional(3)? {
        let fill = f64::from(ctx.float_or("mask_filter_value", -10000.0));
        let of_keys = key_mask(ctx, of_keys, [&shape[0], &shape[2]], fill)?;
        mask = both(ctx.b, Some(of_keys), mask)?;
    }
    let causal = (ctx.int_or("unidirectional", 0) != 0).then_some(before);
    let y = attend(ctx, &Heads { q, k, v, mask, causal })?;
    let mut outputs = vec![y.into()];
    if ctx.wants(1) {
        let (k, v) = (ctx.b.unsqueeze(k, &[0])?, ctx.b.unsqueeze(v, &[0])?);
        outputs.push(ctx.b.concat(&[k, v], 0)?.into());
    }
    Ok(outputs)
}

/// Keys (0) or values (1) of the past.
fn cached(ctx: &mut Ctx<'_>, past: ValueId, which: i64) -> Result<ValueId, BuildError> {
    let part = ctx.b.slice(past, 0, &Dim::constant(which), 1, Dim::constant(1))?;
    ctx.b.squeeze(part, &[0])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::{check, f32s, int, missing, refusal, tensor, value};
    use graph::dtype::DType;

    /// One head of one element: queries are 0, so that all keys weigh the same.
    #[test]
    fn a_mask_and_a_past() {
        let inputs = [
            value(f32s(&[1, 2, 1], &[1.0, 2.0])),
            value(f32s(&[1, 3], &[0.0, 1.0, 1.0])),
            value(f32s(&[3], &[0.0, 0.0, 10.0])),
            value(tensor(DType::I32, &[1, 3], &[1.0, 0.0, 1.0])),
            value(f32s(&[2, 1, 1, 1, 1], &[5.0, 6.0])),
        ];
        let y = f32s(&[1, 2, 1], &[6.0, 9.0]);
        let present = f32s(&[2, 1, 1, 3, 1], &[5.0, 1.0, 2.0, 6.0, 11.0, 12.0]);
        check(&OPERATOR, &[("num_heads", int(1)), ("unidirectional", int(1))], &inputs, &[y, present]);
    }

    #[test]
    fn a_mask_of_ends() {
        let inputs = [
            value(f32s(&[1, 2, 1], &[1.0, 2.0])),
            value(f32s(&[1, 3], &[0.0, 1.0, 1.0])),
            missing(),
            value(tensor(DType::I32, &[1], &[1.0])),
        ];
        check(&OPERATOR, &[("num_heads", int(1))], &inputs, &[f32s(&[1, 2, 1], &[1.0, 1.0])]);
    }

    #[test]
    fn rotation_is_refused() {
        let inputs = [value(f32s(&[1, 1, 1], &[1.0])), value(f32s(&[1, 3], &[1.0; 3]))];
        let error = refusal(&OPERATOR, &[("num_heads", int(1)), ("do_rotary", int(1))], &inputs);
        assert!(error.to_string().contains("do_rotary of Attention"), "{error}");
    }
}
