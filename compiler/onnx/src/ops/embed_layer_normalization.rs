//! EmbedLayerNormalization of ONNX Runtime: word, position and segment embeddings, their sum and its layer normalisation.
//!
//! <https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#commicrosoftembedlayernormalization>
//!
//! Without `position_ids`, positions count from 0. The mask index is the number of ones of each row of the mask, 0 without a mask.
//!
//! Dtypes: all floats, normalised in f32 or wider.

use graph::builder::BuildError;
use graph::dim::{Dim, Pred};
use graph::dtype::DType;
use graph::node::Combiner;
use graph::region::norm::Norm;
use graph::scalar::Scalar;

use super::layer_normalization::scaled;
use crate::operator::{AttrKind, Ctx, Operator, attr, between};
use crate::pointwise::{self, Outputs, wide};

pub const OPERATOR: Operator = Operator {
    name: "EmbedLayerNormalization",
    domain: "com.microsoft",
    versions: &[1],
    inputs: between(7, 9),
    outputs: between(1, 3),
    attrs: &[attr("epsilon", AttrKind::Float), attr("mask_index_type", AttrKind::Int)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Outputs {
    pointwise::require_class(ctx, 2, pointwise::FLOATS)?;
    let (ids, words, positions) = (ctx.input(0)?, ctx.input(2)?, ctx.input(3)?);
    let (gamma, beta) = (ctx.input(5)?, ctx.input(6)?);
    let dtype = ctx.dtype(2)?;
    let shape = ctx.b.shape(ids)?;
    let [batch, sequence] = shape.as_slice() else {
        let what = "input 0 of EmbedLayerNormalization".to_string();
        return Err(BuildError::Rank { what, expected: "2".to_string(), found: shape.len() });
    };
    let mut parts = vec![ctx.b.gather(words, ids, 0)?];
    parts.push(match ctx.optional(8)? {
        Some(at) => ctx.b.gather(positions, at, 0)?,
        None => {
            let rows = ctx.b.shape(positions)?.first().cloned().unwrap_or_default();
            ctx.b.assume(Pred::Le(sequence.clone(), rows), "a position embedding for each position")?;
            ctx.b.slice(positions, 0, &Dim::constant(0), 1, sequence.clone())?
        }
    });
    if let (Some(segments), Some(table)) = (ctx.optional(1)?, ctx.optional(4)?) {
        parts.push(ctx.b.gather(table, segments, 0)?);
    }
    let sum = ctx.b.map(&parts, |p, v| {
        let mut sum = p.cast(v[0], wide(dtype));
        for part in &v[1..] {
            let part = p.cast(*part, wide(dtype));
            sum = p.add(sum, part);
        }
        p.cast(sum, dtype)
    })?;
    let eps = Scalar::f32(ctx.float_or("epsilon", 1e-12));
    let normed = ctx.b.norm(&Norm { axes: vec![2], center: true, eps, stats: wide(dtype) }, sum)?;
    let y = scaled(ctx.b, normed.value, gamma, Some(beta))?;
    let index = match ctx.optional(7)? {
        Some(mask) => ctx.b.reduce_with(
            mask,
            &[1],
            false,
            Combiner::Sum,
            |p, e| {
                let one = p.number(p.dtype(e), 1.0);
                let is_one = p.eq(e, one);
                p.cast(is_one, DType::I32)
            },
            |_, acc| acc,
        )?,
        None => ctx.b.splat(Scalar::from_i64(DType::I32, 0), vec![batch.clone()])?,
    };
    Ok(vec![y.into(), index.into(), sum.into()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::{check, f32s, float, refusal, tensor, value};

    fn ids(shape: &[usize], values: &[f64]) -> crate::ops_testing::Arg {
        value(tensor(DType::I32, shape, values))
    }

    #[test]
    fn three_tables_and_a_mask() {
        let inputs = [
            ids(&[1, 2], &[1.0, 0.0]),
            ids(&[1, 2], &[0.0, 1.0]),
            value(f32s(&[2, 2], &[0.0, 0.0, 1.0, 2.0])),
            value(f32s(&[3, 2], &[0.0, 1.0, 2.0, 3.0, 9.0, 9.0])),
            value(f32s(&[2, 2], &[1.0, 3.0, 1.0, 4.0])),
            value(f32s(&[2], &[1.0, 2.0])),
            value(f32s(&[2], &[0.5, 0.0])),
            ids(&[1, 2], &[1.0, 0.0]),
        ];
        let y = f32s(&[1, 2, 2], &[-0.5, 2.0, -0.5, 2.0]);
        let outputs = [y, tensor(DType::I32, &[1], &[1.0]), f32s(&[1, 2, 2], &[2.0, 6.0, 3.0, 7.0])];
        check(&OPERATOR, &[("epsilon", float(0.0))], &inputs, &outputs);
    }

    #[test]
    fn more_words_than_positions_are_refused() {
        let row = || value(f32s(&[1, 1], &[0.0]));
        let vector = || value(f32s(&[1], &[0.0]));
        let inputs = [ids(&[1, 2], &[0.0; 2]), ids(&[1, 2], &[0.0; 2]), row(), row(), row(), vector(), vector()];
        let error = refusal(&OPERATOR, &[], &inputs);
        assert!(error.to_string().contains("a position embedding for each position"), "{error}");
    }
}
