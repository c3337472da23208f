//! Gather: slices of the input along `axis` at `indices`, negative ones counted from the end; 0 where out of range.
//!
//! <https://onnx.ai/onnx/operators/onnx__Gather.html>
//!
//! | opset | change |
//! |---|---|
//! | 1 | first |
//! | 11 | wording of the specification |
//! | 13 | bfloat16 |
//!
//! Dtypes: all but strings; indices int32, int64.

use graph::builder::BuildError;

use crate::operator::{AttrKind, Ctx, Operator, attr, exactly};
use crate::pointwise;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "Gather",
    domain: "",
    versions: &[1, 11, 13],
    inputs: exactly(2),
    outputs: exactly(1),
    attrs: &[attr("axis", AttrKind::Int)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let (x, indices) = (ctx.input(0)?, ctx.input(1)?);
    pointwise::require_class(ctx, 1, pointwise::INTEGERS)?;
    let rank = ctx.b.rank(x)?;
    let axis = ctx.b.axis(ctx.int_or("axis", 0), rank)?;
    Ok(vec![ctx.b.gather(x, indices, axis)?.into()])
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{check, f32s, i64s, int, refusal, value};

    #[test]
    fn indices_of_rank_two_and_out_of_range() {
        let x = f32s(&[2, 3], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        let indices = i64s(&[1, 2], &[-1, 7]);
        let y = f32s(&[2, 1, 2], &[2.0, 0.0, 5.0, 0.0]);
        check(&OPERATOR, &[("axis", int(1))], &[value(x), value(indices)], &[y]);
    }

    #[test]
    fn float_indices_are_refused() {
        let x = || value(f32s(&[1], &[1.0]));
        let error = refusal(&OPERATOR, &[], &[x(), x()]);
        assert_eq!(
            error.to_string(),
            "dtype f32 is not supported for input 1 of Gather; supported: signed integers, unsigned integers"
        );
    }
}
