//! Split: consecutive parts along `axis`, of the sizes in `split`, or of `ceil(extent / parts)` as far as it goes.
//!
//! <https://onnx.ai/onnx/operators/onnx__Split.html>
//!
//! | opset | change |
//! |---|---|
//! | 1 | first |
//! | 2 | signed integers, unsigned integers, complex, bool, strings |
//! | 11 | wording of the specification |
//! | 13 | bfloat16; `split` is an input |
//! | 18 | attribute `num_outputs` |
//!
//! Dtypes: all but strings.
//!
//! Refused: `split` of unknown length.

use graph::builder::BuildError;
use graph::dim::{Dim, Pred};

use crate::operator::{AttrKind, Ctx, Operator, at_least, attr, between};
use crate::sizes;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "Split",
    domain: "",
    versions: &[1, 2, 11, 13, 18],
    inputs: between(1, 2),
    outputs: at_least(1),
    attrs: &[attr("axis", AttrKind::Int), attr("num_outputs", AttrKind::Int), attr("split", AttrKind::Ints)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let x = ctx.input(0)?;
    let shape = ctx.shape(0)?;
    let axis = ctx.b.axis(ctx.int_or("axis", 0), shape.len())?;
    let extent = &shape[axis];
    let parts = ctx.int("num_outputs").and_then(|n| usize::try_from(n).ok()).unwrap_or(ctx.wanted.len());
    let given = match ctx.ints("split") {
        Some(split) => Some(split.iter().map(|s| Dim::constant(*s)).collect()),
        None => sizes::input(ctx, 1, 0, None)?,
    };
    let sizes = match given {
        Some(sizes) => {
            let total = sizes.iter().fold(Dim::constant(0), |acc: Dim, s| &acc + s);
            ctx.b.assume_equal(&total, extent, "the parts of Split make up the axis")?;
            sizes
        }
        None => even_parts(ctx, extent, parts)?,
    };
    let mut outputs = Vec::with_capacity(ctx.wanted.len());
    let mut start = Dim::constant(0);
    for size in sizes.into_iter().take(ctx.wanted.len()) {
        outputs.push(ctx.b.slice(x, axis, &start, 1, size.clone())?.into());
        start = &start + &size;
    }
    Ok(outputs)
}

/// Sizes of `parts` parts, all equal but the last ones, which get what is left; only of those that are wanted, as a model may
/// ask for any number.
fn even_parts(ctx: &mut Ctx<'_>, extent: &Dim, parts: usize) -> Result<Vec<Dim>, BuildError> {
    let count = Dim::from(parts);
    if ctx.opset < 18 {
        ctx.b.assume(Pred::Divides(count.clone(), extent.clone()), "Split into equal parts")?;
    }
    let symbols = &ctx.b.model().symbols;
    let chunk = symbols.ceil_div(extent, &count);
    let size = |k: usize| {
        let left = extent - &(&chunk * &Dim::from(k));
        symbols.max(&Dim::constant(0), &symbols.min(&chunk, &left))
    };
    let even = symbols.prove(&Pred::Divides(count, extent.clone())) == Some(true);
    Ok((0..parts.min(ctx.wanted.len())).map(|k| if even { chunk.clone() } else { size(k) }).collect())
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{Case, check, constant, i64s, int, refusal, value};

    #[test]
    fn uneven_parts() {
        let case = Case::new(&OPERATOR).attr("num_outputs", int(4)).value(i64s(&[5], &[1, 2, 3, 4, 5])).outputs(4);
        let last = i64s(&[0], &[]);
        case.expect(&[i64s(&[2], &[1, 2]), i64s(&[2], &[3, 4]), i64s(&[1], &[5]), last]);
    }

    #[test]
    fn parts_that_nobody_wants_are_not_made() {
        let case = Case::new(&OPERATOR).attr("num_outputs", int(1 << 40)).value(i64s(&[2], &[1, 2])).outputs(3);
        case.expect(&[i64s(&[1], &[1]), i64s(&[1], &[2]), i64s(&[0], &[])]);
    }

    #[test]
    fn sizes_at_run_time() {
        let x = value(i64s(&[3], &[1, 2, 3]));
        let y = [i64s(&[1], &[1]), i64s(&[2], &[2, 3])];
        check(&OPERATOR, &[], &[x, value(i64s(&[2], &[1, 2]))], &y);
    }

    #[test]
    fn parts_must_make_up_the_axis() {
        let x = value(i64s(&[3], &[1, 2, 3]));
        let error = refusal(&OPERATOR, &[], &[x, constant(i64s(&[2], &[1, 1]))]);
        assert!(error.to_string().starts_with("the parts of Split make up the axis cannot hold"), "{error}");
    }
}
