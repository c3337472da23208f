//! Adagrad: one update of tensors by gradients scaled with the root of the sum of their squares.
//!
//! <https://onnx.ai/onnx/operators/onnx_aionnxpreviewtraining_Adagrad.html>
//!
//! | opset | change |
//! |---|---|
//! | 1 | first |
//!
//! Dtypes: f32, f64. Refused: lists of unequal length.

use graph::builder::BuildError;
use graph::expr::UnOp;

use crate::operator::{AttrKind, Ctx, Operator, at_least, attr};
use crate::training::optimize;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "Adagrad",
    domain: "ai.onnx.preview.training",
    versions: &[1],
    inputs: at_least(3),
    outputs: at_least(1),
    attrs: &[
        attr("decay_factor", AttrKind::Float),
        attr("epsilon", AttrKind::Float),
        attr("norm_coefficient", AttrKind::Float),
    ],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let (decay, norm) = (ctx.float_or("decay_factor", 0.0), ctx.float_or("norm_coefficient", 0.0));
    let epsilon = ctx.float_or("epsilon", 0.0);
    optimize(ctx, 1, |p, u| {
        let (one, decay, epsilon) = (u.number(p, 1.0), u.number(p, decay), u.number(p, epsilon));
        let count = p.cast(u.count, u.dtype);
        let slowed = p.mul(count, decay);
        let slowed = p.add(one, slowed);
        let rate = p.div(u.rate, slowed);
        let gradient = u.regularized(p, norm);
        let square = p.mul(gradient, gradient);
        let state = p.add(u.states[0], square);
        let root = p.unary(UnOp::Sqrt, state);
        let scale = p.add(root, epsilon);
        let step = p.mul(rate, gradient);
        let step = p.div(step, scale);
        vec![p.sub(u.x, step), state]
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::{check, f32s, float, i64s, refusal, value};

    #[test]
    fn two_tensors_with_decay() {
        let inputs = [
            value(f32s(&[], &[4.0])),
            value(i64s(&[], &[1])),
            value(f32s(&[1], &[1.0])),
            value(f32s(&[], &[0.0])),
            value(f32s(&[1], &[3.0])),
            value(f32s(&[], &[1.0])),
            value(f32s(&[1], &[16.0])),
            value(f32s(&[], &[0.0])),
        ];
        let outputs = [f32s(&[1], &[-0.2]), f32s(&[], &[-2.0]), f32s(&[1], &[25.0]), f32s(&[], &[1.0])];
        check(&OPERATOR, &[("decay_factor", float(1.0))], &inputs, &outputs);
    }

    #[test]
    fn unequal_lists_are_refused() {
        let x = value(f32s(&[], &[0.0]));
        let error = refusal(&OPERATOR, &[], &[x.clone(), value(i64s(&[], &[0])), x.clone(), x]);
        assert!(error.to_string().contains("expected a multiple of 3, found 2"), "{error}");
    }
}
