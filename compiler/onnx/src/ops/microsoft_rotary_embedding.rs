//! RotaryEmbedding of ONNX Runtime: the pairs of ONNX's, with the positions before the caches.
//!
//! <https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#commicrosoftrotaryembedding>
//!
//! Positions are `[batch, sequence]`, or one number, that of the first. Without `rotary_embedding_dim`, a head has twice as many elements as a row
//! of the caches.
//!
//! Dtypes: all floats, computed in f32 or wider. Refused: `scale` other than 1, packed batches.

use graph::builder::{BuildError, Builder};
use graph::dim::Dim;
use graph::dtype::DType;
use graph::graph::ValueId;

use super::attention::{heads_last, unpack};
use super::rotary_embedding::{heads_shape, rotate};
use crate::operator::{AttrKind, Ctx, Operator, attr, exactly};
use crate::pointwise::{self, Outputs};

pub const OPERATOR: Operator = Operator {
    name: "RotaryEmbedding",
    domain: "com.microsoft",
    versions: &[1],
    inputs: exactly(4),
    outputs: exactly(1),
    attrs: &[
        attr("interleaved", AttrKind::Int),
        attr("is_packed_batching", AttrKind::Int),
        attr("num_heads", AttrKind::Int),
        attr("rotary_embedding_dim", AttrKind::Int),
        attr("scale", AttrKind::Float),
    ],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Outputs {
    pointwise::require_class(ctx, 0, pointwise::FLOATS)?;
    if ctx.int_or("is_packed_batching", 0) != 0 || ctx.float_or("scale", 1.0) != 1.0 {
        return Err(BuildError::Unsupported {
            what: format!("is_packed_batching or scale of {}", ctx.op_type),
            closest: "sequences of equal length, scale 1".to_string(),
        });
    }
    let (x, positions, cos, sin) = (ctx.input(0)?, ctx.input(1)?, ctx.input(2)?, ctx.input(3)?);
    let width = ctx.b.shape(cos)?.last().cloned().unwrap_or_default();
    let rotated = match ctx.int_or("rotary_embedding_dim", 0) {
        0 => &width * &Dim::constant(2),
        given => Dim::constant(given),
    };
    let shape = ctx.b.shape(x)?;
    let packed = shape.len() == 3;
    let heads = if packed {
        let whole = shape.last().cloned().unwrap_or_default();
        let count = match ctx.int_or("num_heads", 0) {
            0 => ctx.b.model().symbols.floor_div(&whole, &rotated).as_const().unwrap_or(0),
            given => given,
        };
        if count < 1 {
            let (expected, found) = ("a positive number".to_string(), count.to_string());
            return Err(BuildError::Attr { name: "num_heads".to_string(), expected, found });
        }
        unpack(ctx.b, x, count)?
    } else {
        x
    };
    let positions = spread(ctx.b, positions, heads)?;
    let y = rotate(ctx.b, (heads, cos, sin, Some(positions)), &rotated, ctx.int_or("interleaved", 0) != 0)?;
    Ok(vec![if packed { heads_last(ctx.b, y)? } else { y }.into()])
}

/// Positions `[batch, sequence]`.
fn spread(b: &mut Builder, positions: ValueId, heads: ValueId) -> Result<ValueId, BuildError> {
    if b.rank(positions)? == 2 {
        return Ok(positions);
    }
    let first = b.reshape(positions, Vec::new())?;
    let [batch, _, sequence, _] = heads_shape(b, heads)?;
    b.compute(&[first], vec![batch, sequence], |p| {
        let (first, at) = (p.load(0, &[]), p.index(1));
        let first = p.cast(first, DType::I64);
        let position = p.add(first, at);
        p.out(position);
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::{check, f32s, float, i64s, refusal, value};

    /// Two heads of two elements at positions 1 and 2: a quarter turn, and half a turn.
    #[test]
    fn positions_from_an_offset_or_each() {
        let x = || value(f32s(&[1, 2, 4], &[1.0, 2.0, 3.0, 4.0, 1.0, 2.0, 3.0, 4.0]));
        let cos = || value(f32s(&[3, 1], &[1.0, 0.0, -1.0]));
        let sin = || value(f32s(&[3, 1], &[0.0, 1.0, 0.0]));
        let y = f32s(&[1, 2, 4], &[-2.0, 1.0, -4.0, 3.0, -1.0, -2.0, -3.0, -4.0]);
        let inputs = [x(), value(i64s(&[1], &[1])), cos(), sin()];
        check(&OPERATOR, &[], &inputs, std::slice::from_ref(&y));
        check(&OPERATOR, &[], &[x(), value(i64s(&[1, 2], &[1, 2])), cos(), sin()], &[y]);
    }

    #[test]
    fn a_scale_is_refused() {
        let one = || value(f32s(&[1, 1], &[1.0]));
        let inputs = [value(f32s(&[1, 1, 2], &[1.0, 1.0])), value(i64s(&[1], &[0])), one(), one()];
        let error = refusal(&OPERATOR, &[("scale", float(2.0))], &inputs);
        assert!(error.to_string().contains("scale of RotaryEmbedding"), "{error}");
    }
}
