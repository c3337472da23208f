//! Momentum: one update of tensors by a running sum of gradients, plain or Nesterov's.
//!
//! <https://onnx.ai/onnx/operators/onnx_aionnxpreviewtraining_Momentum.html>
//!
//! | opset | change |
//! |---|---|
//! | 1 | first |
//!
//! Dtypes: f32, f64. Refused: another `mode` than standard and nesterov.

use graph::builder::BuildError;

use crate::operator::{AttrKind, Ctx, Operator, at_least, required};
use crate::training::optimize;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "Momentum",
    domain: "ai.onnx.preview.training",
    versions: &[1],
    inputs: at_least(3),
    outputs: at_least(1),
    attrs: &[
        required("alpha", AttrKind::Float),
        required("beta", AttrKind::Float),
        required("mode", AttrKind::String),
        required("norm_coefficient", AttrKind::Float),
    ],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let (alpha, beta) = (ctx.float_or("alpha", 0.0), ctx.float_or("beta", 1.0));
    let norm = ctx.float_or("norm_coefficient", 0.0);
    let nesterov = match ctx.string("mode").unwrap_or("standard") {
        "standard" => false,
        "nesterov" => true,
        other => {
            return Err(BuildError::Attr {
                name: "mode".to_string(),
                expected: "standard or nesterov".to_string(),
                found: other.to_string(),
            });
        }
    };
    optimize(ctx, 1, |p, u| {
        let gradient = u.regularized(p, norm);
        let (alpha, beta, one, zero) = (u.number(p, alpha), u.number(p, beta), u.number(p, 1.0), p.int(0));
        // The first update takes the gradient whole.
        let started = p.lt(zero, u.count);
        let beta = p.select(started, beta, one);
        let (kept, added) = (p.mul(alpha, u.states[0]), p.mul(beta, gradient));
        let velocity = p.add(kept, added);
        let direction = if nesterov {
            let ahead = p.mul(alpha, velocity);
            p.add(gradient, ahead)
        } else {
            velocity
        };
        let step = p.mul(u.rate, direction);
        vec![p.sub(u.x, step), velocity]
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::{check, f32s, float, i64s, refusal, string, value};

    fn attrs(mode: &str) -> [(&'static str, crate::operator::AttrValue); 4] {
        let (alpha, beta) = (float(0.5), float(0.25));
        [("alpha", alpha), ("beta", beta), ("mode", string(mode)), ("norm_coefficient", float(1.0))]
    }

    #[test]
    fn nesterov_looks_ahead() {
        let scalar = |v: f32| value(f32s(&[], &[v]));
        let inputs = [scalar(1.0), value(i64s(&[], &[3])), scalar(10.0), scalar(-2.0), scalar(4.0)];
        // Gradient 8, velocity 2 + 2 = 4, step 8 + 2.
        check(&OPERATOR, &attrs("nesterov"), &inputs, &[f32s(&[], &[0.0]), f32s(&[], &[4.0])]);
    }

    #[test]
    fn an_unknown_mode_is_refused() {
        let error = refusal(&OPERATOR, &attrs("heavy"), &[]);
        assert!(error.to_string().contains("standard or nesterov"), "{error}");
    }
}
