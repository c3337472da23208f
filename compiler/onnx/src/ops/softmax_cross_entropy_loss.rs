//! SoftmaxCrossEntropyLoss: the negative log-likelihood of labels under the softmax of scores over their classes (dim 1).
//!
//! <https://onnx.ai/onnx/operators/onnx__SoftmaxCrossEntropyLoss.html>
//!
//! | opset | change |
//! |---|---|
//! | 12 | first |
//! | 13 | bfloat16 |
//!
//! Dtypes: all floats, computed in f32 or wider; labels of any integer dtype. A label outside the classes counts as 0.

use graph::builder::BuildError;
use graph::region::softmax::Softmax;

use crate::loss::negative_log_likelihood;
use crate::operator::{AttrKind, Ctx, Operator, attr, between};
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "SoftmaxCrossEntropyLoss",
    domain: "",
    versions: &[12, 13],
    inputs: between(2, 3),
    outputs: between(1, 2),
    attrs: &[attr("ignore_index", AttrKind::Int), attr("reduction", AttrKind::String)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let (scores, labels, weights) = (ctx.input(0)?, ctx.input(1)?, ctx.optional(2)?);
    let log_prob = ctx.b.softmax(Softmax { axis: 1, log: true }, scores)?;
    let loss = negative_log_likelihood(ctx, log_prob, labels, weights)?;
    Ok(vec![loss.into(), log_prob.into()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::{check, f32s, i64s, refusal, string, value};

    #[test]
    fn even_scores_over_a_spatial_dim() {
        let (scores, labels) = (f32s(&[1, 2, 2], &[3.0; 4]), i64s(&[1, 2], &[0, 1]));
        let half = -(0.5f32.ln());
        let outputs = [f32s(&[], &[2.0 * half]), f32s(&[1, 2, 2], &[-half; 4])];
        check(&OPERATOR, &[("reduction", string("sum"))], &[value(scores), value(labels)], &outputs);
    }

    #[test]
    fn an_unknown_reduction_is_refused() {
        let inputs = [value(f32s(&[1, 1], &[0.0])), value(i64s(&[1], &[0]))];
        let error = refusal(&OPERATOR, &[("reduction", string("max"))], &inputs);
        assert!(error.to_string().contains("none, mean or sum"), "{error}");
    }
}
