//! Where: the second input where the first holds, else the third, under NumPy broadcasting.
//!
//! <https://onnx.ai/onnx/operators/onnx__Where.html>
//!
//! | opset | change |
//! |---|---|
//! | 9 | first |
//! | 16 | bfloat16 |
//!
//! Dtypes: all but strings.

use graph::builder::BuildError;

use crate::operator::{Ctx, Operator, exactly};
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "Where",
    domain: "",
    versions: &[9, 16],
    inputs: exactly(3),
    outputs: exactly(1),
    attrs: &[],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let (condition, x, y) = (ctx.input(0)?, ctx.input(1)?, ctx.input(2)?);
    Ok(vec![ctx.b.select(condition, x, y)?.into()])
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{bools, check, i64s, refusal, value};

    #[test]
    fn all_three_broadcast() {
        let (condition, x, y) = (bools(&[2, 1], &[true, false]), i64s(&[2], &[1, 2]), i64s(&[], &[9]));
        check(&OPERATOR, &[], &[value(condition), value(x), value(y)], &[i64s(&[2, 2], &[1, 2, 9, 9])]);
    }

    #[test]
    fn a_condition_of_integers_is_refused() {
        let x = || value(i64s(&[1], &[1]));
        let error = refusal(&OPERATOR, &[], &[x(), x(), x()]);
        assert_eq!(error.to_string(), "select is not defined on i64");
    }
}
