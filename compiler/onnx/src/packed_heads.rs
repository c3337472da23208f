//! What ONNX Runtime's attention operators share: heads out of packed tensors, masks of keys, caches.

use graph::builder::{BuildError, Builder};
use graph::dim::{Dim, Pred};
use graph::dtype::DType;
use graph::graph::ValueId;
use graph::region::attention::Attention;
use graph::scalar::Scalar;

use crate::operator::Ctx;
use crate::ops::list::attention::{heads_last, unpack};

/// Queries, keys and values as `[batch, heads, sequence, size]`, and what is known of their pairs.
pub struct Heads {
    pub q: ValueId,
    pub k: ValueId,
    pub v: ValueId,
    /// Added to the scores, or truth values; broadcasts to `[batch, heads, queries, keys]`.
    pub mask: Option<ValueId>,
    /// Keys before the first query where no query sees a key behind it.
    pub causal: Option<Dim>,
}

/// The attention, as `[batch, sequence, heads * size]`. `scale` 0 stands for one over the root of a head's size.
pub fn attend(ctx: &mut Ctx<'_>, heads: &Heads) -> Result<ValueId, BuildError> {
    let scale = ctx.float_or("scale", 0.0);
    let softcap = ctx.float_or("softcap", 0.0);
    let attention = Attention {
        scale: (scale != 0.0).then(|| Scalar::f32(scale)),
        softcap: (softcap > 0.0).then(|| Scalar::f32(softcap)),
        causal: heads.causal.clone(),
        mask: heads.mask.is_some(),
        ..Attention::plain(DType::F32)
    };
    let operands: Vec<ValueId> = [heads.q, heads.k, heads.v].into_iter().chain(heads.mask).collect();
    let (y, _) = ctx.b.attention(&attention, &operands)?;
    heads_last(ctx.b, y)
}

/// The number of heads that an attribute names.
pub fn heads_of(ctx: &Ctx<'_>, name: &str) -> Result<i64, BuildError> {
    ctx.int(name).filter(|heads| *heads > 0).ok_or_else(|| BuildError::Attr {
        name: name.to_string(),
        expected: "a positive number".to_string(),
        found: format!("{:?}", ctx.int(name)),
    })
}

/// Parts of a tensor along its last dim, of these widths.
pub fn parts(b: &mut Builder, x: ValueId, widths: &[Dim], what: &str) -> Result<Vec<ValueId>, BuildError> {
    let axis = b.axis(-1, b.rank(x)?)?;
    let whole = b.shape(x)?.last().cloned().unwrap_or_default();
    let total = widths.iter().fold(Dim::constant(0), |sum, width| &sum + width);
    b.assume_equal(&whole, &total, what)?;
    let mut start = Dim::constant(0);
    let mut parts = Vec::with_capacity(widths.len());
    for width in widths {
        parts.push(b.slice(x, axis, &start, 1, width.clone())?);
        start = &start + width;
    }
    Ok(parts)
}

/// `[batch, sequence, width]`, to which a bias is added, as heads.
pub fn biased_heads(b: &mut Builder, x: ValueId, bias: Option<ValueId>, heads: i64) -> Result<ValueId, BuildError> {
    let x = match bias {
        Some(bias) => b.binary(graph::expr::BinOp::Add, x, bias)?,
        None => x,
    };
    let width = b.shape(x)?.last().cloned().unwrap_or_default();
    b.assume(Pred::Divides(Dim::constant(heads), width), "heads of equal size")?;
    unpack(b, x, heads)
}

/// What is added to scores for a mask of keys in one of ONNX Runtime's forms: `[batch, keys]`, `[batch, queries, keys]` (0: `fill` is added), the
/// number of keys of each sequence, or `[2 * batch]`, their ends and then their starts.
pub fn key_mask(ctx: &mut Ctx<'_>, mask: ValueId, [batch, keys]: [&Dim; 2], fill: f64) -> Result<ValueId, BuildError> {
    let shape = ctx.b.shape(mask)?;
    let fill_in = |p: &mut graph::builder::Point<'_>, takes_part| {
        let (zero, fill) = (p.zero(DType::F32), p.number(DType::F32, fill));
        p.select(takes_part, zero, fill)
    };
    let one = Dim::constant(1);
    match shape.as_slice() {
        [_, _] | [_, _, _] => {
            let axes: &[usize] = if shape.len() == 2 { &[1, 2] } else { &[1] };
            if let Some(last) = shape.last() {
                ctx.b.assume_equal(last, keys, "a mask for each key")?;
            }
            let spread = ctx.b.unsqueeze(mask, axes)?;
            ctx.b.map(&[spread], |p, v| {
                let zero = p.zero(p.dtype(v[0]));
                let takes_part = p.ne(v[0], zero);
                fill_in(p, takes_part)
            })
        }
        [length] => {
            let twice = batch * &Dim::constant(2);
            let ends_only = length == batch || *length != twice;
            if ends_only {
                ctx.b.assume_equal(length, batch, "a number of keys for each sequence")?;
            }
            let shape = vec![batch.clone(), one.clone(), one, keys.clone()];
            ctx.b.compute(&[mask], shape, |p| {
                let (sequence, key) = (p.index(0), p.index(3));
                let end = p.load(0, &[sequence]);
                let end = p.cast(end, DType::I64);
                let mut takes_part = p.lt(key, end);
                if !ends_only {
                    let behind = p.dim(batch);
                    let at = p.add(sequence, behind);
                    let start = p.load(0, &[at]);
                    let start = p.cast(start, DType::I64);
                    let inside = p.le(start, key);
                    takes_part = p.and(takes_part, inside);
                }
                let value = fill_in(p, takes_part);
                p.out(value);
            })
        }
        _ => Err(BuildError::Unsupported {
            what: format!("a mask of rank {} of {}", shape.len(), ctx.op_type),
            closest: "a mask of rank 1 to 3".to_string(),
        }),
    }
}

/// The sum of what two masks add.
pub fn both(b: &mut Builder, one: Option<ValueId>, other: Option<ValueId>) -> Result<Option<ValueId>, BuildError> {
    match (one, other) {
        (Some(one), Some(other)) => {
            let (one, other) = (b.cast(one, DType::F32)?, b.cast(other, DType::F32)?);
            b.binary(graph::expr::BinOp::Add, one, other).map(Some)
        }
        (one, other) => Ok(one.or(other)),
    }
}
