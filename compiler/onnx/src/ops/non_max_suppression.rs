//! NonMaxSuppression: for each batch and class, again and again takes the box of the best score and drops the boxes that
//! overlap it by more than a threshold.
//!
//! <https://onnx.ai/onnx/operators/onnx__NonMaxSuppression.html>
//!
//! | opset | change |
//! |---|---|
//! | 10 | first |
//! | 11 | wording |
//!
//! Dtypes: f32. Rows of the result are (batch, class, box), by batch, class and falling score; of equal scores the lower box
//! first: the list of what a region [`nms`] takes.

use graph::builder::BuildError;
use graph::dim::Dim;
use graph::expr::BinOp;
use graph::graph::ValueId;
use graph::region::nms::{self, Nms};
use graph::scalar::Scalar;

use crate::operator::{AttrKind, Ctx, Operator, attr, between, exactly};
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "NonMaxSuppression",
    domain: "",
    versions: &[10, 11],
    inputs: between(2, 5),
    outputs: exactly(1),
    attrs: &[attr("center_point_box", AttrKind::Int)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let (boxes, scores) = (ctx.input(0)?, ctx.input(1)?);
    let (box_shape, score_shape) = (ctx.b.shape(boxes)?, ctx.b.shape(scores)?);
    let ([box_batch, box_count, corners], [batch, classes, count]) = (box_shape.as_slice(), score_shape.as_slice())
    else {
        return Err(BuildError::Shapes {
            what: "boxes [batches, boxes, 4] and scores [batches, classes, boxes]".into(),
            left: format!("{box_shape:?}"),
            right: format!("{score_shape:?}"),
        });
    };
    ctx.b.assume_equal(corners, &Dim::constant(4), "a box has 4 numbers")?;
    ctx.b.assume_equal(box_batch, batch, "boxes and scores have one number of batches")?;
    ctx.b.assume_equal(box_count, count, "boxes and scores have one number of boxes")?;
    let most = match ctx.optional(2)? {
        Some(value) => {
            let value = ctx.b.reshape(value, Vec::new())?;
            ctx.b.dims_of(value, i64::MIN, None)?.into_iter().next()
        }
        None => None,
    };
    let symbols = &ctx.b.model().symbols;
    let zero = Dim::constant(0);
    let steps = most.map_or(zero.clone(), |m| symbols.min(&symbols.max(&m, &zero), count));
    let threshold = scalar(ctx, 3)?;
    let floor = if ctx.optional(4)?.is_some() { Some(scalar(ctx, 4)?) } else { None };
    let centered = ctx.int_or("center_point_box", 0) != 0;

    let nms = Nms { centered, floor: floor.is_some(), steps: steps.clone() };
    let operands: Vec<ValueId> = [boxes, scores, threshold].into_iter().chain(floor).collect();
    let results = ctx.b.region(&nms::KIND, nms.to_attrs(), &operands)?;
    let [best, valid] = results[..] else { return Err(BuildError::Results { expected: 2, found: results.len() }) };

    // A list by batch, class, step.
    let total = Dim::product([batch, classes, &steps]);
    let valid = ctx.b.reshape(valid, vec![total.clone()])?;
    let best = ctx.b.reshape(best, vec![total])?;
    let (positions, found) = ctx.b.positions(valid)?;
    let y = ctx.b.compute(&[positions, best], vec![found, Dim::constant(3)], |p| {
        let (k, column) = (p.index(0), p.index(1));
        let at = p.load(0, &[k]);
        let (steps, classes) = (p.dim(&steps), p.dim(classes));
        let pair = p.binary(BinOp::FloorDiv, at, steps);
        let batch = p.binary(BinOp::FloorDiv, pair, classes);
        let class = p.binary(BinOp::Mod, pair, classes);
        let chosen = p.load(1, &[at]);
        let (zero, one) = (p.int(0), p.int(1));
        let (is_batch, is_class) = (p.eq(column, zero), p.eq(column, one));
        let rest = p.select(is_class, class, chosen);
        let value = p.select(is_batch, batch, rest);
        p.out(value);
    })?;
    Ok(vec![y.into()])
}

/// An optional input of one float, as a scalar; 0 if it is missing.
fn scalar(ctx: &mut Ctx<'_>, position: usize) -> Result<ValueId, BuildError> {
    match ctx.optional(position)? {
        Some(value) => ctx.b.reshape(value, Vec::new()),
        None => ctx.b.splat(Scalar::f32(0.0), Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::*;

    #[test]
    fn flipped_corners_and_a_score_floor() {
        let boxes =
            f32s(&[1, 4, 4], &[0.0, 0.0, 1.0, 1.0, 1.0, 1.1, 0.0, 0.1, 0.0, 10.0, 1.0, 11.0, 0.0, 100.0, 1.0, 101.0]);
        let inputs = [
            value(boxes),
            value(f32s(&[1, 1, 4], &[0.9, 0.75, 0.6, 0.2])),
            constant(i64s(&[1], &[3])),
            value(f32s(&[1], &[0.5])),
            value(f32s(&[1], &[0.3])),
        ];
        check(&OPERATOR, &[], &inputs, &[i64s(&[2, 3], &[0, 0, 0, 0, 0, 2])]);
    }

    #[test]
    fn without_a_limit_nothing_is_kept() {
        let inputs = [value(f32s(&[1, 1, 4], &[0.0, 0.0, 1.0, 1.0])), value(f32s(&[1, 1, 1], &[0.9]))];
        check(&OPERATOR, &[], &inputs, &[i64s(&[0, 3], &[])]);
    }

    #[test]
    fn boxes_of_five_numbers_are_refused() {
        let inputs = [value(f32s(&[1, 1, 5], &[0.0; 5])), value(f32s(&[1, 1, 1], &[0.9]))];
        assert!(refusal(&OPERATOR, &[], &inputs).to_string().contains("4 numbers"));
    }
}
