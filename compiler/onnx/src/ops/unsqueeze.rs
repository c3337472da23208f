//! Unsqueeze: adds dims of extent 1 at `axes` of the result.
//!
//! <https://onnx.ai/onnx/operators/onnx__Unsqueeze.html>
//!
//! | opset | change |
//! |---|---|
//! | 1 | first |
//! | 11 | wording of the specification |
//! | 13 | bfloat16; `axes` is an input |
//! | 21 | 8-bit floats, 4-bit integers |
//! | 23 | float4e2m1 |
//! | 24 | float8e8m0 |
//! | 25 | 2-bit integers |
//!
//! Dtypes: all but strings.
//!
//! Refused: `axes` of unknown length, as they decide the rank.

use graph::builder::BuildError;
use graph::dim::Dim;

use crate::operator::{AttrKind, Ctx, Operator, attr, between, exactly};
use crate::sizes;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "Unsqueeze",
    domain: "",
    versions: &[1, 11, 13, 21, 23, 24, 25],
    inputs: between(1, 2),
    outputs: exactly(1),
    attrs: &[attr("axes", AttrKind::Ints)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let x = ctx.input(0)?;
    let from = ctx.shape(0)?;
    let count = match (ctx.ints("axes"), ctx.optional(1)?) {
        (Some(axes), _) => axes.len(),
        (None, Some(axes)) => Dim::product(&ctx.b.shape(axes)?).as_size().unwrap_or(0),
        (None, None) => 0,
    };
    let rank = from.len().saturating_add(count);
    ctx.b.check_rank(rank)?;
    let Some(axes) = sizes::axes(ctx, 1, rank)? else {
        return Err(BuildError::Operand {
            what: "axes of Unsqueeze".to_string(),
            expected: "an attribute or an input".to_string(),
            found: "nothing".to_string(),
        });
    };
    let shape = sizes::with_axes(ctx.b, &from, &axes);
    Ok(vec![ctx.b.reshape(x, shape)?.into()])
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use graph::builder::BuildError;

    use crate::ops_testing::{check, constant, f32s, i64s, refusal, value};

    #[test]
    fn axes_at_run_time() {
        let x = f32s(&[2, 3], &[0.5; 6]);
        check(&OPERATOR, &[], &[value(x.clone()), value(i64s(&[2], &[3, 0]))], &[f32s(&[1, 2, 3, 1], &[0.5; 6])]);
        check(&OPERATOR, &[], &[value(x), value(i64s(&[1], &[-2]))], &[f32s(&[2, 1, 3], &[0.5; 6])]);
    }

    #[test]
    fn more_axes_than_a_tensor_may_have_are_refused_at_once() {
        let axes = value(i64s(&[4000], &[0; 4000]));
        let error = refusal(&OPERATOR, &[], &[value(f32s(&[1], &[1.0])), axes]);
        assert!(matches!(error, BuildError::Limit { what: "rank", .. }), "{error}");
    }

    #[test]
    fn an_axis_beyond_the_result_is_refused() {
        let error = refusal(&OPERATOR, &[], &[value(f32s(&[1], &[1.0])), constant(i64s(&[1], &[2]))]);
        assert_eq!(error.to_string(), "axis 2 is outside -2..2");
    }
}
