//! Concat: the inputs one after the other along `axis`.
//!
//! <https://onnx.ai/onnx/operators/onnx__Concat.html>
//!
//! | opset | change |
//! |---|---|
//! | 1 | first |
//! | 4 | `axis` is required |
//! | 11 | wording of the specification |
//! | 13 | bfloat16 |
//!
//! Dtypes: all but strings.

use graph::builder::BuildError;

use crate::operator::{AttrKind, Ctx, Operator, at_least, attr, exactly};
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "Concat",
    domain: "",
    versions: &[1, 4, 11, 13],
    inputs: at_least(1),
    outputs: exactly(1),
    attrs: &[attr("axis", AttrKind::Int)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let parts = ctx.all_inputs()?;
    let rank = ctx.shape(0)?.len();
    let axis = match ctx.int("axis") {
        Some(axis) => axis,
        None if ctx.opset < 4 => 1,
        None => {
            return Err(BuildError::Attr {
                name: "axis".to_string(),
                expected: "an axis".to_string(),
                found: "nothing".to_string(),
            });
        }
    };
    let axis = ctx.b.axis(axis, rank)?;
    Ok(vec![ctx.b.concat(&parts, axis)?.into()])
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{check, i64s, int, refusal, value};

    #[test]
    fn an_empty_part_adds_nothing() {
        let (a, b, c) = (i64s(&[2, 1], &[1, 2]), i64s(&[2, 0], &[]), i64s(&[2, 2], &[3, 4, 5, 6]));
        let y = i64s(&[2, 3], &[1, 3, 4, 2, 5, 6]);
        check(&OPERATOR, &[("axis", int(-1))], &[value(a), value(b), value(c)], &[y]);
    }

    #[test]
    fn other_extents_must_fit() {
        let (a, b) = (i64s(&[2, 1], &[1, 2]), i64s(&[1, 1], &[3]));
        let error = refusal(&OPERATOR, &[("axis", int(1))], &[value(a), value(b)]);
        assert!(error.to_string().starts_with("concat of equal extents cannot hold"), "{error}");
    }
}
