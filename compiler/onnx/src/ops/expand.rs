//! Expand: extents of 1 repeated to the shape that both shapes broadcast to.
//!
//! <https://onnx.ai/onnx/operators/onnx__Expand.html>
//!
//! | opset | change |
//! |---|---|
//! | 8 | first |
//! | 13 | bfloat16 |
//!
//! Dtypes: all but strings.
//!
//! Refused: a shape tensor of unknown length.

use graph::builder::BuildError;
use graph::dim::{Dim, Pred};

use crate::operator::{Ctx, Operator, exactly};
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "Expand",
    domain: "",
    versions: &[8, 13],
    inputs: exactly(2),
    outputs: exactly(1),
    attrs: &[],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let x = ctx.input(0)?;
    let wanted = ctx.dims(1, 0, None)?;
    let mut from = ctx.shape(0)?;
    let rank = from.len().max(wanted.len());
    let own = from.len();
    from.splice(0..0, std::iter::repeat_n(Dim::constant(1), rank - own));
    let mut shape = Vec::with_capacity(rank);
    for (d, extent) in from.iter().enumerate() {
        let size = (d + wanted.len()).checked_sub(rank).and_then(|k| wanted.get(k));
        shape.push(match size {
            Some(size) => joint(ctx, extent, size)?,
            None => extent.clone(),
        });
    }
    if shape == ctx.shape(0)? {
        return Ok(vec![x.into()]);
    }
    let y = ctx.b.compute(&[x], shape.clone(), |p| {
        let mut index = Vec::with_capacity(own);
        for d in rank - own..rank {
            let i = p.index(d);
            index.push(if from[d].is(1) {
                p.int(0)
            } else if from[d] == shape[d] {
                i
            } else {
                let (extent, one, zero) = (p.dim(&from[d]), p.int(1), p.int(0));
                let repeats = p.eq(extent, one);
                p.select(repeats, zero, i)
            });
        }
        let value = p.load(0, &index);
        p.out(value);
    })?;
    Ok(vec![y.into()])
}

/// The extent that an extent of the input and a wanted size broadcast to.
fn joint(ctx: &mut Ctx<'_>, extent: &Dim, size: &Dim) -> Result<Dim, BuildError> {
    let one = Dim::constant(1);
    let is = |a: &Dim, b: &Dim| Pred::Eq(a.clone(), b.clone());
    if extent.is(1) || extent == size {
        return Ok(size.clone());
    }
    if size.is(1) {
        return Ok(extent.clone());
    }
    let fits = Pred::Or(vec![is(extent, size), is(extent, &one), is(size, &one)]);
    ctx.b.assume(fits, "Expand to a shape that broadcasts")?;
    Ok(ctx.b.model().symbols.select(&is(extent, &one), size, extent))
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{Case, check, constant, f32s, i64s, refusal, typed, value};
    use graph::dim::Dim;
    use graph::dtype::DType;
    use graph::symbol::{SymSource, Symbols};

    #[test]
    fn sizes_of_one_keep_the_extent() {
        let x = f32s(&[3, 1], &[1.0, 2.0, 3.0]);
        let y = f32s(&[1, 3, 2], &[1.0, 1.0, 2.0, 2.0, 3.0, 3.0]);
        check(&OPERATOR, &[], &[value(x.clone()), value(i64s(&[3], &[1, 1, 2]))], &[y.clone()]);
        check(&OPERATOR, &[], &[value(x), constant(i64s(&[3], &[1, 1, 2]))], &[y]);
    }

    #[test]
    fn a_symbol_stays_where_the_size_is_one() {
        let mut symbols = Symbols::default();
        let batch = Dim::symbol(symbols.add("batch", 0, None, SymSource::Input));
        let x = typed(DType::F32, &[batch.clone(), Dim::constant(1)]);
        let case = Case::of(&OPERATOR, &[], &[x, constant(i64s(&[2], &[1, 4]))]).symbols(symbols);
        assert_eq!(case.shapes(), [vec![batch, Dim::constant(4)]]);
    }

    #[test]
    fn a_size_that_does_not_fit_is_refused() {
        let error = refusal(&OPERATOR, &[], &[value(f32s(&[2], &[1.0, 2.0])), constant(i64s(&[1], &[3]))]);
        assert!(error.to_string().starts_with("Expand to a shape that broadcasts cannot hold"), "{error}");
    }
}
