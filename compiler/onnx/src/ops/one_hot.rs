//! OneHot: a new dim of extent `depth` at `axis`: the second of `values` at the index, the first elsewhere.
//!
//! <https://onnx.ai/onnx/operators/onnx__OneHot.html>
//!
//! | opset | change |
//! |---|---|
//! | 9 | first |
//! | 11 | wording of the specification |
//!
//! Dtypes: half, single and double floats, signed integers, unsigned integers.

use graph::builder::BuildError;
use graph::dim::Dim;

use crate::operator::{AttrKind, Ctx, Operator, attr, exactly};
use crate::value::ImportValue;
use crate::{indexing, pointwise, sizes};

pub const OPERATOR: Operator = Operator {
    name: "OneHot",
    domain: "",
    versions: &[9, 11],
    inputs: exactly(3),
    outputs: exactly(1),
    attrs: &[attr("axis", AttrKind::Int)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let (indices, values) = (ctx.input(0)?, ctx.input(2)?);
    pointwise::require_class(ctx, 0, pointwise::NUMBERS)?;
    let mut shape = ctx.shape(0)?;
    let depth = sizes::single(ctx, 1, 0, None)?;
    let axis = ctx.b.axis(ctx.int_or("axis", -1), shape.len() + 1)?;
    shape.insert(axis, depth.clone());
    let two = ctx.shape(2)?;
    match two.as_slice() {
        [two] => ctx.b.assume_equal(two, &Dim::constant(2), "OneHot has two values")?,
        _ => {
            return Err(BuildError::Rank { what: "values of OneHot".into(), expected: "1".into(), found: two.len() });
        }
    }
    let y = ctx.b.compute(&[indices, values], shape, |p| {
        let mut at = p.indices();
        let here = at.remove(axis);
        let position = p.load(0, &at);
        let hot = indexing::wrap(p, position, &depth);
        let (zero, one) = (p.int(0), p.int(1));
        let (off, on) = (p.load(1, &[zero]), p.load(1, &[one]));
        let hit = p.eq(hot, here);
        let value = p.select(hit, on, off);
        p.out(value);
    })?;
    Ok(vec![y.into()])
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{check, constant, f32s, i64s, int, refusal, value};

    #[test]
    fn negative_and_out_of_range_indices() {
        let indices = i64s(&[3], &[-1, 0, 5]);
        let inputs = [value(indices), value(f32s(&[1], &[2.0])), value(i64s(&[2], &[3, 9]))];
        check(&OPERATOR, &[("axis", int(0))], &inputs, &[i64s(&[2, 3], &[3, 9, 3, 9, 3, 3])]);
    }

    #[test]
    fn three_values_are_refused() {
        let inputs = [value(i64s(&[1], &[0])), constant(i64s(&[], &[2])), value(i64s(&[3], &[0, 1, 2]))];
        let error = refusal(&OPERATOR, &[], &inputs);
        assert!(error.to_string().starts_with("OneHot has two values cannot hold"), "{error}");
    }
}
