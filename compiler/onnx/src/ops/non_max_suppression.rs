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
//! first. The steps are as many as boxes may be kept, so work is proportional to that and not to the number of candidates
//! squared.

use graph::builder::{BuildError, Point};
use graph::dim::Dim;
use graph::dtype::DType;
use graph::expr::{BinOp, ExprId};
use graph::graph::ValueId;
use graph::node::Combiner;
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
    let lowest = if ctx.optional(4)?.is_some() { Some(scalar(ctx, 4)?) } else { None };
    let centered = ctx.int_or("center_point_box", 0) != 0;

    let mut operands = vec![scores];
    operands.extend(lowest);
    let alive = ctx.b.compute(&operands, score_shape.clone(), |p| {
        let index = p.indices();
        let mut candidate = p.constant(Scalar::bool(true));
        if lowest.is_some() {
            let (score, least) = (p.load(0, &index), p.load(1, &[]));
            candidate = p.lt(least, score);
        }
        p.out(candidate);
    })?;
    let captures = [boxes, scores, threshold];
    ctx.b.begin_body()?;
    let alive_type = graph::ty::Type::tensor(DType::Bool, score_shape.clone());
    let carried = ctx.b.input("", alive_type);
    let inner = ctx.b.body_inputs(&captures)?;
    step(ctx, carried, &inner, &score_shape, centered)?;
    let body = ctx.b.end_body();
    let results = ctx.b.scan(steps.clone(), 1, 0, [alive].into_iter().chain(captures).collect(), body)?;
    let [_, best, valid] = results[..] else { return Err(BuildError::Results { expected: 3, found: results.len() }) };

    // From [step, batch, class] to a list by batch, class, step.
    let order = [1, 2, 0];
    let valid = ctx.b.transpose(valid, &order)?;
    let best = ctx.b.transpose(best, &order)?;
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

/// One step: outputs the candidates left, the box taken, and whether there was one.
fn step(
    ctx: &mut Ctx<'_>,
    alive: ValueId,
    captures: &[ValueId],
    shape: &[Dim],
    centered: bool,
) -> Result<(), BuildError> {
    let [boxes, scores, threshold] = *captures else {
        return Err(BuildError::Results { expected: 3, found: captures.len() });
    };
    let (pairs, count) = (shape[..2].to_vec(), shape[2].clone());
    let taken = ctx.b.compute_many(&[alive, scores], pairs, |p| {
        let mut index = p.indices();
        index.push(p.reduce(&count));
        let (live, score) = (p.load(0, &index), p.load(1, &index));
        let dtype = p.dtype(score);
        let worst = p.constant(Scalar::lowest(dtype));
        // Where the best score equals what dead boxes count as, the first live box is taken instead.
        let any = p.acc(Combiner::Any, live);
        let value = p.select(live, score, worst);
        let best = p.acc(Combiner::ArgMax { last: false }, value);
        let position = p.cast(live, DType::I64);
        let first = p.acc(Combiner::ArgMax { last: false }, position);
        let top = p.acc(Combiner::Max, value);
        let hopeless = p.eq(top, worst);
        let best = p.select(hopeless, first, best);
        p.out(best);
        p.out(any);
    })?;
    let [best, any] = taken[..] else { return Err(BuildError::Results { expected: 2, found: taken.len() }) };
    let left = ctx.b.compute(&[alive, best, boxes, threshold], shape.to_vec(), |p| {
        let index = p.indices();
        let (batch, class, n) = (index[0], index[1], index[2]);
        let live = p.load(0, &[batch, class, n]);
        let chosen = p.load(1, &[batch, class]);
        let other = p.ne(n, chosen);
        let corners = |p: &mut Point<'_>, at: ExprId| -> Vec<ExprId> {
            (0..4)
                .map(|k| {
                    let k = p.int(k);
                    p.load(2, &[batch, at, k])
                })
                .collect()
        };
        let (a, b) = (corners(p, n), corners(p, chosen));
        let overlap = overlap(p, &a, &b, centered);
        let limit = p.load(3, &[]);
        let suppressed = p.lt(limit, overlap);
        let kept = p.not(suppressed);
        let live = p.and(live, other);
        let live = p.and(live, kept);
        p.out(live);
    })?;
    ctx.b.output(left);
    ctx.b.output(best);
    ctx.b.output(any);
    Ok(())
}

/// Intersection over union of two boxes; 0 where either is empty.
fn overlap(p: &mut Point<'_>, a: &[ExprId], b: &[ExprId], centered: bool) -> ExprId {
    let (ax, bx) = (span(p, a, centered, 0), span(p, b, centered, 0));
    let (ay, by) = (span(p, a, centered, 1), span(p, b, centered, 1));
    let zero = p.zero(p.dtype(a[0]));
    let common = |p: &mut Point<'_>, a: (ExprId, ExprId), b: (ExprId, ExprId)| {
        let (lo, hi) = (p.max(a.0, b.0), p.min(a.1, b.1));
        let length = p.sub(hi, lo);
        p.max(length, zero)
    };
    let (width, height) = (common(p, ax, bx), common(p, ay, by));
    let intersection = p.mul(width, height);
    let area = |p: &mut Point<'_>, x: (ExprId, ExprId), y: (ExprId, ExprId)| {
        let (w, h) = (p.sub(x.1, x.0), p.sub(y.1, y.0));
        p.mul(w, h)
    };
    let (area_a, area_b) = (area(p, ax, ay), area(p, bx, by));
    let both = p.add(area_a, area_b);
    let union = p.sub(both, intersection);
    let ratio = p.div(intersection, union);
    let (some_a, some_b) = (p.lt(zero, area_a), p.lt(zero, area_b));
    let (some_union, some_common) = (p.lt(zero, union), p.lt(zero, intersection));
    let boxes = p.and(some_a, some_b);
    let shared = p.and(some_union, some_common);
    let valid = p.and(boxes, shared);
    p.select(valid, ratio, zero)
}

/// Ends of a box along x (0) or y (1). Corner form is (y1, x1, y2, x2) in either order, center form (x, y, width, height).
fn span(p: &mut Point<'_>, corners: &[ExprId], centered: bool, dim: usize) -> (ExprId, ExprId) {
    if centered {
        let (center, size) = (corners[dim], corners[2 + dim]);
        let half = p.number(p.dtype(size), 0.5);
        let reach = p.mul(size, half);
        return (p.sub(center, reach), p.add(center, reach));
    }
    let (a, b) = (corners[1 - dim], corners[3 - dim]);
    (p.min(a, b), p.max(a, b))
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
