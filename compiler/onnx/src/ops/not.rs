//! Not: logical negation.
//!
//! <https://onnx.ai/onnx/operators/onnx__Not.html>
//!
//! | opset | change |
//! |---|---|
//! | 1 | first |
//!
//! Dtypes: bool.

use graph::builder::BuildError;
use graph::expr::UnOp;

use crate::operator::{Ctx, Operator, exactly};
use crate::pointwise;
use crate::value::ImportValue;

pub const OPERATOR: Operator =
    Operator { name: "Not", domain: "", versions: &[1], inputs: exactly(1), outputs: exactly(1), attrs: &[], build };

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    pointwise::unary(ctx, UnOp::Not, pointwise::BOOLS)
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{bools, check, i64s, refusal, value};

    #[test]
    fn both_values() {
        check(&OPERATOR, &[], &[value(bools(&[2], &[true, false]))], &[bools(&[2], &[false, true])]);
    }

    #[test]
    fn integers_are_refused() {
        let error = refusal(&OPERATOR, &[], &[value(i64s(&[1], &[1]))]);
        assert_eq!(error.to_string(), "dtype i64 is not supported for input 0 of Not; supported: bool");
    }
}
