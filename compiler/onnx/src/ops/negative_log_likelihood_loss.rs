//! NegativeLogLikelihoodLoss: minus the input at each target's class, weighted, ignored or reduced.
//!
//! <https://onnx.ai/onnx/operators/onnx__NegativeLogLikelihoodLoss.html>
//!
//! | opset | change |
//! |---|---|
//! | 12 | first |
//! | 13 | bfloat16 |
//! | 22 | bfloat16 for the input |
//!
//! Dtypes: all floats, summed in f32 or wider; targets of any integer dtype. A target outside the classes counts as 0.

use graph::builder::BuildError;

use crate::loss::negative_log_likelihood;
use crate::operator::{AttrKind, Ctx, Operator, attr, between, exactly};
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "NegativeLogLikelihoodLoss",
    domain: "",
    versions: &[12, 13, 22],
    inputs: between(2, 3),
    outputs: exactly(1),
    attrs: &[attr("ignore_index", AttrKind::Int), attr("reduction", AttrKind::String)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let (x, target, weight) = (ctx.input(0)?, ctx.input(1)?, ctx.optional(2)?);
    Ok(vec![negative_log_likelihood(ctx, x, target, weight)?.into()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::{check, f32s, i64s, int, refusal, string, value};

    #[test]
    fn the_mean_divides_by_the_weights_that_count() {
        let x = f32s(&[3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let target = i64s(&[3], &[0, 1, -7]);
        let weight = f32s(&[2], &[1.0, 3.0]);
        let inputs = [value(x), value(target), value(weight)];
        check(&OPERATOR, &[("ignore_index", int(-7))], &inputs, &[f32s(&[], &[-13.0 / 4.0])]);
        let attrs = [("ignore_index", int(-7)), ("reduction", string("none"))];
        check(&OPERATOR, &attrs, &inputs, &[f32s(&[3], &[-1.0, -12.0, 0.0])]);
    }

    #[test]
    fn a_target_of_the_inputs_rank_is_refused() {
        let inputs = [value(f32s(&[1, 1], &[0.0])), value(i64s(&[1, 1], &[0]))];
        let error = refusal(&OPERATOR, &[], &inputs);
        assert!(error.to_string().contains("rank 2 of target"), "{error}");
    }
}
