//! Shape: the sizes `start..end` of the input's shape.
//!
//! <https://onnx.ai/onnx/operators/onnx__Shape.html>
//!
//! | opset | change |
//! |---|---|
//! | 1 | first |
//! | 13 | bfloat16 |
//! | 15 | attributes `end`, `start` |
//! | 19 | 8-bit floats |
//! | 21 | 4-bit integers |
//! | 23 | float4e2m1 |
//! | 24 | float8e8m0 |
//! | 25 | 2-bit integers |
//!
//! Dtypes: all.

use graph::builder::BuildError;

use crate::operator::{AttrKind, Ctx, Operator, attr, exactly};
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "Shape",
    domain: "",
    versions: &[1, 13, 15, 19, 21, 23, 24, 25],
    inputs: exactly(1),
    outputs: exactly(1),
    attrs: &[attr("end", AttrKind::Int), attr("start", AttrKind::Int)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let shape = ctx.shape(0)?;
    let rank = shape.len() as i64;
    let clamp = |bound: i64| (if bound < 0 { bound.saturating_add(rank) } else { bound }).clamp(0, rank) as usize;
    let (start, end) = (clamp(ctx.int_or("start", 0)), clamp(ctx.int_or("end", rank)));
    let sizes = shape.get(start..end).unwrap_or_default();
    Ok(vec![ctx.b.dims_tensor(sizes)?.into()])
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{check, f32s, i64s, int, missing, refusal, value};

    #[test]
    fn bounds_clamp_and_cross() {
        let x = f32s(&[2, 3, 1], &[0.0; 6]);
        check(&OPERATOR, &[("start", int(-9)), ("end", int(-1))], &[value(x.clone())], &[i64s(&[2], &[2, 3])]);
        check(&OPERATOR, &[("start", int(2)), ("end", int(1))], &[value(x)], &[i64s(&[0], &[])]);
    }

    #[test]
    fn a_missing_input_is_refused() {
        let error = refusal(&OPERATOR, &[], &[missing()]);
        assert_eq!(error.to_string(), "input 0: expected a value, found nothing");
    }
}
