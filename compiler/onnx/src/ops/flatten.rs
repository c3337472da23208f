//! Flatten: a matrix: the product of the extents before `axis`, that of the others.
//!
//! <https://onnx.ai/onnx/operators/onnx__Flatten.html>
//!
//! | opset | change |
//! |---|---|
//! | 1 | first |
//! | 9 | signed integers, unsigned integers, complex, bool, strings |
//! | 11 | wording of the specification |
//! | 13 | bfloat16 |
//! | 21 | 8-bit floats, 4-bit integers |
//! | 23 | float4e2m1 |
//! | 24 | float8e8m0 |
//! | 25 | 2-bit integers |
//!
//! Dtypes: all but strings.

use graph::builder::BuildError;
use graph::dim::Dim;

use crate::operator::{AttrKind, Ctx, Operator, attr, exactly};
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "Flatten",
    domain: "",
    versions: &[1, 9, 11, 13, 21, 23, 24, 25],
    inputs: exactly(1),
    outputs: exactly(1),
    attrs: &[attr("axis", AttrKind::Int)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let x = ctx.input(0)?;
    let shape = ctx.shape(0)?;
    let axis = ctx.int_or("axis", 1);
    let split = if axis == shape.len() as i64 { shape.len() } else { ctx.b.axis(axis, shape.len())? };
    let (before, behind) = shape.split_at(split);
    let y = ctx.b.reshape(x, vec![Dim::product(before), Dim::product(behind)])?;
    Ok(vec![y.into()])
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{check, f32s, int, refusal, value};

    #[test]
    fn axis_at_either_end() {
        let x = f32s(&[2, 3], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        let row = f32s(&[1, 6], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        let column = f32s(&[6, 1], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        check(&OPERATOR, &[("axis", int(0))], &[value(x.clone())], &[row]);
        check(&OPERATOR, &[("axis", int(2))], &[value(x)], &[column]);
    }

    #[test]
    fn axis_beyond_the_rank_is_refused() {
        let error = refusal(&OPERATOR, &[("axis", int(3))], &[value(f32s(&[2], &[1.0, 2.0]))]);
        assert_eq!(error.to_string(), "axis 3 is outside -1..1");
    }
}
