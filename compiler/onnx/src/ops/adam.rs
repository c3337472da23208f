//! Adam: one update of tensors by running means of gradients and of their squares.
//!
//! <https://onnx.ai/onnx/operators/onnx_aionnxpreviewtraining_Adam.html>
//!
//! | opset | change |
//! |---|---|
//! | 1 | first |
//!
//! Dtypes: f32, f64. Refused: lists of unequal length.

use graph::builder::BuildError;
use graph::dtype::DType;
use graph::expr::{BinOp, UnOp};

use crate::operator::{AttrKind, Ctx, Operator, at_least, attr};
use crate::training::optimize;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "Adam",
    domain: "ai.onnx.preview.training",
    versions: &[1],
    inputs: at_least(3),
    outputs: at_least(1),
    attrs: &[
        attr("alpha", AttrKind::Float),
        attr("beta", AttrKind::Float),
        attr("epsilon", AttrKind::Float),
        attr("norm_coefficient", AttrKind::Float),
        attr("norm_coefficient_post", AttrKind::Float),
    ],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let (alpha, beta) = (ctx.float_or("alpha", 0.9), ctx.float_or("beta", 0.999));
    let epsilon = ctx.float_or("epsilon", 1e-6);
    let (norm, post) = (ctx.float_or("norm_coefficient", 0.0), ctx.float_or("norm_coefficient_post", 0.0));
    optimize(ctx, 2, |p, u| {
        let (one, epsilon) = (u.number(p, 1.0), u.number(p, epsilon));
        let (a, b) = (u.number(p, alpha), u.number(p, beta));
        let gradient = u.regularized(p, norm);
        let square = p.mul(gradient, gradient);
        let mut running = Vec::new();
        for (factor, old, new) in [(a, u.states[0], gradient), (b, u.states[1], square)] {
            let rest = p.sub(one, factor);
            let (kept, added) = (p.mul(factor, old), p.mul(rest, new));
            running.push(p.add(kept, added));
        }
        let root = p.unary(UnOp::Sqrt, running[1]);
        let scale = p.add(root, epsilon);
        // The correction of the bias towards zero needs more than the tensor's bits near one.
        let count = p.cast(u.count, DType::F64);
        let whole = p.number(DType::F64, 1.0);
        let remaining = |p: &mut graph::builder::Point<'_>, factor: f32| {
            let factor = p.number(DType::F64, f64::from(factor));
            let power = p.binary(BinOp::Pow, factor, count);
            p.sub(whole, power)
        };
        let (first, second) = (remaining(p, alpha), remaining(p, beta));
        let second = p.unary(UnOp::Sqrt, second);
        let correction = p.div(second, first);
        let correction = p.cast(correction, u.dtype);
        let corrected = p.mul(u.rate, correction);
        let zero = p.int(0);
        let started = p.lt(zero, u.count);
        let rate = p.select(started, corrected, u.rate);
        let direction = p.div(running[0], scale);
        let step = p.mul(rate, direction);
        let new = p.sub(u.x, step);
        let (post, whole) = (u.number(p, post), u.number(p, 1.0));
        let kept = p.sub(whole, post);
        vec![p.mul(kept, new), running[0], running[1]]
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::{check, f32s, float, i64s, refusal, value};

    #[test]
    fn the_first_update_is_not_corrected() {
        let scalar = |v: f32| value(f32s(&[], &[v]));
        let inputs = |t| [scalar(1.0), value(i64s(&[], &[t])), scalar(10.0), scalar(4.0), scalar(0.0), scalar(0.0)];
        let attrs = [("alpha", float(0.5)), ("beta", float(0.75)), ("epsilon", float(0.0))];
        let one = |v: f32| f32s(&[], &[v]);
        check(&OPERATOR, &attrs, &inputs(0), &[one(9.0), one(2.0), one(4.0)]);
        // sqrt(1 - 0.75) / (1 - 0.5) = 1.
        check(&OPERATOR, &attrs, &inputs(1), &[one(9.0), one(2.0), one(4.0)]);
    }

    #[test]
    fn unequal_lists_are_refused() {
        let x = value(f32s(&[], &[0.0]));
        let error = refusal(&OPERATOR, &[], &[x.clone(), value(i64s(&[], &[0])), x]);
        assert!(error.to_string().contains("expected a multiple of 4, found 1"), "{error}");
    }
}
