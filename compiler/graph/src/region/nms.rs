//! Suppression of boxes that overlap better ones: for each batch and class, again and again the live box of the best score is taken,
//! and those that overlap it by more than a threshold die with it.
//!
//! Operands: boxes `[B, N, 4]`; scores `[B, C, N]`; the threshold, a scalar; with `floor` a scalar that scores of live boxes must be
//! above. All are of one float dtype. Results, `[B, C, steps]`: the boxes taken, i64, by falling score (NaN before all numbers, of equal
//! scores the lower box first), and whether there was one; behind the last one 0 and false.
//!
//! The body is a scan over steps, which looks at all boxes in each. Taking candidates in the order of their scores and comparing each
//! with the boxes kept so far gives the same.

use crate::attrs::{Attr, Attrs};
use crate::builder::{BuildError, Builder, Point};
use crate::dim::Dim;
use crate::dtype::DType;
use crate::expr::ExprId;
use crate::graph::ValueId;
use crate::node::Combiner;
use crate::region::{RegionKind, attribute};
use crate::scalar::Scalar;
use crate::ty::Type;

pub const KIND: RegionKind = RegionKind { name: "nms", body };

/// Attributes of a suppression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nms {
    /// Whether boxes are (x, y, width, height) of their center; else (y1, x1, y2, x2) of two corners, in either order.
    pub centered: bool,
    pub floor: bool,
    /// Boxes that are taken at most; not more than there are.
    pub steps: Dim,
}

impl Nms {
    /// As attributes of a region.
    pub fn to_attrs(&self) -> Attrs {
        Attrs::new()
            .with("centered", Attr::Bool(self.centered))
            .with("floor", Attr::Bool(self.floor))
            .with("steps", Attr::Dims(vec![self.steps.clone()]))
    }

    /// From attributes of a region.
    pub fn from_attrs(attrs: &Attrs) -> Result<Nms, BuildError> {
        let steps = attrs.dims("steps").and_then(|dims| dims.first().cloned());
        Ok(Nms {
            centered: attribute("centered", attrs.bool("centered"), "a truth value")?,
            floor: attribute("floor", attrs.bool("floor"), "a truth value")?,
            steps: attribute("steps", steps, "a size")?,
        })
    }
}

fn body(b: &mut Builder, attrs: &Attrs, values: &[ValueId]) -> Result<Vec<ValueId>, BuildError> {
    let nms = Nms::from_attrs(attrs)?;
    let (boxes, scores, threshold, floor) = match *values {
        [boxes, scores, threshold] if !nms.floor => (boxes, scores, threshold, None),
        [boxes, scores, threshold, floor] if nms.floor => (boxes, scores, threshold, Some(floor)),
        _ => {
            return Err(BuildError::Operand {
                what: "operands of nms".to_string(),
                expected: (3 + usize::from(nms.floor)).to_string(),
                found: values.len().to_string(),
            });
        }
    };
    let shape = b.shape(scores)?;
    let [_, _, _] = shape.as_slice() else {
        return Err(BuildError::Rank { what: "scores".to_string(), expected: "3".to_string(), found: shape.len() });
    };
    let operands: Vec<ValueId> = [scores].into_iter().chain(floor).collect();
    let alive = b.compute(&operands, shape.clone(), |p| {
        let index = p.indices();
        let mut candidate = p.constant(Scalar::bool(true));
        if floor.is_some() {
            let (score, least) = (p.load(0, &index), p.load(1, &[]));
            candidate = p.lt(least, score);
        }
        p.out(candidate);
    })?;
    let captures = [boxes, scores, threshold];
    b.begin_body()?;
    let carried = b.input("", Type::tensor(DType::Bool, shape.clone()));
    let built = b.body_inputs(&captures).and_then(|inner| step(b, carried, &inner, &shape, nms.centered));
    let graph = b.end_body();
    built?;
    let results = b.scan(nms.steps, 1, 0, [alive].into_iter().chain(captures).collect(), graph)?;
    let [_, best, valid] = results[..] else { return Err(BuildError::Results { expected: 3, found: results.len() }) };
    // From [step, batch, class].
    let order = [1, 2, 0];
    Ok(vec![b.transpose(best, &order)?, b.transpose(valid, &order)?])
}

/// One step: outputs the candidates left, the box taken, and whether there was one.
fn step(
    b: &mut Builder,
    alive: ValueId,
    captures: &[ValueId],
    shape: &[Dim],
    centered: bool,
) -> Result<(), BuildError> {
    let ([boxes, scores, threshold], [batch, classes, count]) = (captures, shape) else {
        return Err(BuildError::Results { expected: 3, found: captures.len() });
    };
    let pairs = vec![batch.clone(), classes.clone()];
    let taken = b.compute_many(&[alive, *scores], pairs, |p| {
        let mut index = p.indices();
        index.push(p.reduce(count));
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
    let left = b.compute(&[alive, best, *boxes, *threshold], shape.to_vec(), |p| {
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
    b.output(left);
    b.output(best);
    b.output(any);
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
    use crate::eval;
    use crate::tensor::Tensor;

    /// Which of five boxes are taken, at most four; the second overlaps the first, the fourth the third.
    fn check(centered: bool, scores: [f32; 5], floor: Option<f32>, expected: &[i64]) {
        let boxes = match centered {
            false => [0., 0., 4., 4., 4., 4., 0., 1., 9., 0., 11., 4., 9., 0., 11., 3., 20., 0., 21., 9.],
            true => [2., 2., 4., 4., 2., 2.5, 4., 3., 10., 2., 2., 4., 10., 2., 2., 3., 20., 5., 1., 9.],
        };
        let tensor = |values: &[f32], shape: &[usize]| Tensor::from_f32s(values).reshaped(shape.to_vec()).unwrap();
        let mut inputs = vec![tensor(&boxes, &[1, 5, 4]), tensor(&scores, &[1, 1, 5]), tensor(&[0.5], &[])];
        inputs.extend(floor.map(|f| tensor(&[f], &[])));
        let mut b = Builder::new("boxes");
        let dims = |t: &Tensor| t.shape().iter().map(|d| Dim::constant(*d as i64)).collect::<Vec<_>>();
        let operands: Vec<ValueId> = inputs.iter().map(|t| b.input("", Type::tensor(DType::F32, dims(t)))).collect();
        let nms = Nms { centered, floor: floor.is_some(), steps: Dim::constant(4) };
        assert_eq!(Nms::from_attrs(&nms.to_attrs()).unwrap(), nms);
        b.region(&KIND, nms.to_attrs(), &operands).unwrap().into_iter().for_each(|v| b.output(v));
        let outputs = eval::model(&b.finish(), &inputs.into_iter().map(Into::into).collect::<Vec<_>>()).unwrap();
        let [taken, valid] = [0, 1].map(|k| outputs[k].as_tensor().unwrap().to_i64s());
        let count = expected.len();
        let (mut all, zeros) = (expected.to_vec(), [0, 0, 0, 0]);
        all.extend_from_slice(&zeros[count..]);
        assert_eq!(taken, all);
        assert_eq!(valid, zeros.iter().enumerate().map(|(k, _)| i64::from(k < count)).collect::<Vec<_>>());
    }

    #[test]
    fn better_boxes_come_first_and_drop_others() {
        for centered in [false, true] {
            check(centered, [0.9, 0.8, 0.7, 0.6, 0.5], None, &[0, 2, 4]);
            check(centered, [0.8, 0.9, 0.6, 0.7, 1.0], None, &[4, 1, 3]);
            check(centered, [0.9, 0.8, 0.7, 0.6, 0.5], Some(0.5), &[0, 2]);
        }
    }

    #[test]
    fn ties_infinities_and_what_is_no_number() {
        check(false, [0.5; 5], None, &[0, 2, 4]);
        check(false, [f32::NEG_INFINITY; 5], None, &[0, 2, 4]);
        check(false, [0.5, f32::NAN, 0.25, -0.0, 0.0], None, &[1, 2, 4]);
        check(false, [0.5, f32::NAN, 0.25, f32::INFINITY, 0.0], Some(0.25), &[3, 0]);
    }

    #[test]
    fn operands_are_counted() {
        let mut b = Builder::new("boxes");
        let x = b.input("", Type::tensor(DType::F32, [1, 1, 4].map(Dim::constant)));
        let nms = Nms { centered: false, floor: true, steps: Dim::constant(1) };
        let error = b.region(&KIND, nms.to_attrs(), &[x, x, x]).unwrap_err();
        assert!(error.to_string().contains("operands of nms"), "{error}");
    }
}
