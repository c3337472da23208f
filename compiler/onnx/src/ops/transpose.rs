//! Transpose: dim `d` of the result is dim `perm[d]` of the input; by default the order is reversed.
//!
//! <https://onnx.ai/onnx/operators/onnx__Transpose.html>
//!
//! | opset | change |
//! |---|---|
//! | 1 | first |
//! | 13 | bfloat16 |
//! | 21 | 8-bit floats, 4-bit integers |
//! | 23 | float4e2m1 |
//! | 24 | float8e8m0 |
//! | 25 | 2-bit integers |
//!
//! Dtypes: all but strings.

use graph::builder::BuildError;

use crate::operator::{AttrKind, Ctx, Operator, attr, exactly};
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "Transpose",
    domain: "",
    versions: &[1, 13, 21, 23, 24, 25],
    inputs: exactly(1),
    outputs: exactly(1),
    attrs: &[attr("perm", AttrKind::Ints)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let x = ctx.input(0)?;
    let rank = ctx.b.rank(x)?;
    let perm = match ctx.ints("perm") {
        Some(perm) => perm.iter().map(|a| ctx.b.axis(*a, rank)).collect::<Result<Vec<usize>, BuildError>>()?,
        None => (0..rank).rev().collect(),
    };
    Ok(vec![ctx.b.transpose(x, &perm)?.into()])
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{check, f32s, ints, refusal, value};

    #[test]
    fn reversed_by_default() {
        let x = f32s(&[2, 1, 3], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        check(&OPERATOR, &[], &[value(x)], &[f32s(&[3, 1, 2], &[0.0, 3.0, 1.0, 4.0, 2.0, 5.0])]);
    }

    #[test]
    fn an_axis_named_twice_is_refused() {
        let error = refusal(&OPERATOR, &[("perm", ints(&[0, 0]))], &[value(f32s(&[1, 1], &[1.0]))]);
        assert_eq!(error.to_string(), "transpose: expected a permutation of 2 axes, found [0, 0]");
    }
}
