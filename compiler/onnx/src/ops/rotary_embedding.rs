//! RotaryEmbedding: rotates pairs of elements of each head by angles whose cosines and sines are given a position.
//!
//! <https://onnx.ai/onnx/operators/onnx__RotaryEmbedding.html>
//!
//! ```text
//! y1 = x1 cos - x2 sin     y2 = x1 sin + x2 cos     pairs: (i, i + R/2), or with `interleaved` (2i, 2i + 1), i < R/2
//! ```
//!
//! | opset | change |
//! |---|---|
//! | 23 | first |
//!
//! Dtypes: all floats, computed in f32 or wider. Elements beyond `rotary_embedding_dim` (R, by default the head's size) stay.
//! X has rank 4 `[batch, heads, sequence, size]`, or rank 3 `[batch, sequence, heads * size]` with `num_heads`.

use graph::builder::{BuildError, Builder, Point};
use graph::dim::Dim;
use graph::dtype::DType;
use graph::expr::{BinOp, ExprId};
use graph::graph::ValueId;
use graph::region::contract::accumulator;

use super::attention::{heads_first, heads_last};
use crate::operator::{AttrKind, Ctx, Operator, attr, between, exactly};
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "RotaryEmbedding",
    domain: "",
    versions: &[23],
    inputs: between(3, 4),
    outputs: exactly(1),
    attrs: &[
        attr("interleaved", AttrKind::Int),
        attr("num_heads", AttrKind::Int),
        attr("rotary_embedding_dim", AttrKind::Int),
    ],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let (cos, sin, positions) = (ctx.input(1)?, ctx.input(2)?, ctx.optional(3)?);
    let packed = ctx.shape(0)?.len() == 3;
    let x = heads_first(ctx, 0, "num_heads")?;
    let rotated = match ctx.int_or("rotary_embedding_dim", 0) {
        0 => ctx.b.shape(x)?[3].clone(),
        given => Dim::constant(given),
    };
    let y = rotate(ctx.b, (x, cos, sin, positions), &rotated, ctx.int_or("interleaved", 0) != 0)?;
    let y = if packed { heads_last(ctx.b, y)? } else { y };
    Ok(vec![y.into()])
}

/// The shape `[batch, heads, sequence, size]`.
pub fn heads_shape(b: &Builder, x: ValueId) -> Result<[Dim; 4], BuildError> {
    <[Dim; 4]>::try_from(b.shape(x)?).map_err(|found| {
        let what = "the input of RotaryEmbedding".to_string();
        BuildError::Rank { what, expected: "3 or 4".to_string(), found: found.len() }
    })
}

/// The first `rotated` elements of each head of `[batch, heads, sequence, size]`, turned. With positions `[batch, sequence]` the
/// caches have a row a position, without them one for each of batch and sequence.
pub fn rotate(
    b: &mut Builder,
    (x, cos, sin, positions): (ValueId, ValueId, ValueId, Option<ValueId>),
    rotated: &Dim,
    interleaved: bool,
) -> Result<ValueId, BuildError> {
    let (shape, dtype) = (heads_shape(b, x)?.to_vec(), b.dtype(x)?);
    let expected_rank = if positions.is_some() { 2 } else { 3 };
    let caches = b.shape(cos)?;
    if caches.len() != expected_rank {
        let what = "cos_cache".to_string();
        return Err(BuildError::Rank { what, expected: expected_rank.to_string(), found: caches.len() });
    }
    let half = b.model().symbols.floor_div(rotated, &Dim::constant(2));
    b.assume_equal(&caches[expected_rank - 1], &half, "the caches hold half the rotated elements")?;
    let operands: Vec<_> = [x, cos, sin].into_iter().chain(positions).collect();
    let wide = accumulator(dtype);
    b.compute(&operands, shape, |p| {
        let index = p.indices();
        let pair = pair_of(p, index[3], &half, interleaved);
        let zero = p.zero(dtype);
        let mut at = index.clone();
        at[3] = pair.first;
        let first = p.load_or(0, &at, zero);
        at[3] = pair.second;
        let second = p.load_or(0, &at, zero);
        let (first, second) = (p.cast(first, wide), p.cast(second, wide));
        let mut row = vec![index[0], index[2]];
        if positions.is_some() {
            let position = p.load(3, &row);
            row = vec![p.cast(position, DType::I64)];
        }
        row.push(pair.angle);
        let (cos, sin) = (cached(p, 1, &row, wide), cached(p, 2, &row, wide));
        let (a, c) = (p.mul(first, cos), p.mul(second, sin));
        let real = p.sub(a, c);
        let (a, c) = (p.mul(first, sin), p.mul(second, cos));
        let imaginary = p.add(a, c);
        let turned = p.select(pair.is_first, real, imaginary);
        let turned = p.cast(turned, dtype);
        let limit = p.dim(rotated);
        let inside = p.lt(index[3], limit);
        let own = p.load(0, &index);
        let y = p.select(inside, turned, own);
        p.out(y);
    })
}

struct Pair {
    first: ExprId,
    second: ExprId,
    angle: ExprId,
    is_first: ExprId,
}

fn pair_of(p: &mut Point<'_>, i: ExprId, half: &Dim, interleaved: bool) -> Pair {
    let (one, two, half) = (p.int(1), p.int(2), p.dim(half));
    if interleaved {
        let (angle, rest) = (p.binary(BinOp::FloorDiv, i, two), p.binary(BinOp::Mod, i, two));
        let first = p.sub(i, rest);
        let second = p.add(first, one);
        let is_first = p.lt(rest, one);
        Pair { first, second, angle, is_first }
    } else {
        let is_first = p.lt(i, half);
        let back = p.sub(i, half);
        let angle = p.select(is_first, i, back);
        let second = p.add(angle, half);
        Pair { first: angle, second, angle, is_first }
    }
}

fn cached(p: &mut Point<'_>, operand: usize, at: &[ExprId], wide: DType) -> ExprId {
    let zero = p.zero(p.dtype_of_operand(operand));
    let value = p.load_or(operand, at, zero);
    p.cast(value, wide)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::{check, f32s, i64s, int, refusal, value};

    #[test]
    fn a_quarter_turn_of_a_part() {
        let x = f32s(&[1, 1, 1, 3], &[1.0, 2.0, 3.0]);
        let (cos, sin) = (f32s(&[2, 1], &[1.0, 0.0]), f32s(&[2, 1], &[0.0, 1.0]));
        let attrs = [("rotary_embedding_dim", int(2)), ("interleaved", int(1))];
        let inputs = [value(x), value(cos), value(sin), value(i64s(&[1, 1], &[1]))];
        check(&OPERATOR, &attrs, &inputs, &[f32s(&[1, 1, 1, 3], &[-2.0, 1.0, 3.0])]);
    }

    #[test]
    fn caches_of_another_size_are_refused() {
        let cache = f32s(&[1, 1, 2], &[0.0; 2]);
        let inputs = [value(f32s(&[1, 1, 1, 2], &[0.0; 2])), value(cache.clone()), value(cache)];
        let error = refusal(&OPERATOR, &[], &inputs);
        assert!(error.to_string().contains("half the rotated elements"), "{error}");
    }
}
