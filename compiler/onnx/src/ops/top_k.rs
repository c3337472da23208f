//! TopK: the `k` largest (or smallest) elements along an axis in order, and where they were; ties take the lower index.
//!
//! <https://onnx.ai/onnx/operators/onnx__TopK.html>
//!
//! | opset | change |
//! |---|---|
//! | 1 | first; `k` is an attribute |
//! | 10 | `k` is an input |
//! | 11 | `largest`, `sorted`; integers |
//! | 24 | bfloat16 |
//!
//! Dtypes: all numbers. NaN counts as the largest. `sorted = 0` leaves the order open: it is sorted all the same. A `k`
//! computed at run time becomes a size; more than the extent is an error.

use graph::builder::BuildError;
use graph::dim::{Dim, Pred};
use graph::dtype::DType;

use crate::operator::{AttrKind, Ctx, Operator, attr, between, exactly};
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "TopK",
    domain: "",
    versions: &[1, 10, 11, 24],
    inputs: between(1, 2),
    outputs: exactly(2),
    attrs: &[
        attr("axis", AttrKind::Int),
        attr("k", AttrKind::Int),
        attr("largest", AttrKind::Int),
        attr("sorted", AttrKind::Int),
    ],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let x = ctx.input(0)?;
    let ty = ctx.b.tensor(x)?.clone();
    if matches!(ty.dtype, DType::Str | DType::Bool) {
        return Err(BuildError::DType { what: "TopK".into(), expected: "numbers".into(), found: ty.dtype });
    }
    let axis = ctx.b.axis(ctx.int_or("axis", -1), ty.rank())?;
    let extent = ty.shape[axis].clone();
    let k = count(ctx, &extent)?;
    ctx.b.assume(Pred::Le(k.clone(), extent), "k of TopK is at most the extent of the axis")?;
    let sorted = ctx.b.sort(&[x], axis, ctx.int_or("largest", 1) != 0, Some(k))?;
    Ok(sorted.into_iter().map(ImportValue::from).collect())
}

fn count(ctx: &mut Ctx<'_>, extent: &Dim) -> Result<Dim, BuildError> {
    if ctx.opset < 10 {
        return ctx.int("k").map(Dim::constant).ok_or_else(|| BuildError::Attr {
            name: "k".into(),
            expected: "an integer".into(),
            found: "nothing".into(),
        });
    }
    let hi = ctx.b.model().symbols.range(extent).upper();
    let k = ctx.input(1)?;
    let k = ctx.b.reshape(k, Vec::new())?;
    ctx.b.dims_of(k, 0, hi)?.into_iter().next().ok_or(BuildError::Results { expected: 1, found: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::*;

    #[test]
    fn ties_take_the_lower_index() {
        let x = i64s(&[2, 3], &[5, 5, 1, 2, 7, 7]);
        let inputs = [value(x), constant(i64s(&[1], &[2]))];
        check(&OPERATOR, &[], &inputs, &[i64s(&[2, 2], &[5, 5, 7, 7]), i64s(&[2, 2], &[0, 1, 1, 2])]);
    }

    #[test]
    fn k_may_be_known_at_run_time_only() {
        let x = f32s(&[3, 1], &[3.0, 1.0, 2.0]);
        let inputs = [value(x), value(i64s(&[1], &[2]))];
        let attrs = [("axis", int(0)), ("largest", int(0))];
        check(&OPERATOR, &attrs, &inputs, &[f32s(&[2, 1], &[1.0, 2.0]), i64s(&[2, 1], &[1, 2])]);
    }

    #[test]
    fn more_than_there_is_is_refused() {
        let inputs = [value(f32s(&[2], &[1.0, 2.0])), constant(i64s(&[1], &[3]))];
        assert!(refusal(&OPERATOR, &[], &inputs).to_string().contains("at most the extent"));
    }
}
