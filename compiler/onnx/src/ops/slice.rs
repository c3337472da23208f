//! Slice: elements `start, start + step, …` before `end` along each of `axes`, bounds as in NumPy.
//!
//! <https://onnx.ai/onnx/operators/onnx__Slice.html>
//!
//! | opset | change |
//! |---|---|
//! | 1 | first |
//! | 10 | `axes`, `ends`, `starts` are inputs; input `steps` |
//! | 11 | wording of the specification |
//! | 13 | bfloat16 |
//!
//! Dtypes: all but strings.
//!
//! Refused: lists of unknown length.

use graph::builder::BuildError;
use graph::dim::{Dim, Pred};
use graph::expr::ExprId;
use graph::symbol::Symbols;

use crate::operator::{AttrKind, Ctx, Operator, attr, between, exactly};
use crate::value::ImportValue;
use crate::{indexing, sizes};

pub const OPERATOR: Operator = Operator {
    name: "Slice",
    domain: "",
    versions: &[1, 10, 11, 13],
    inputs: between(1, 5),
    outputs: exactly(1),
    attrs: &[attr("axes", AttrKind::Ints), attr("ends", AttrKind::Ints), attr("starts", AttrKind::Ints)],
    build,
};

/// A bound at or beyond this means the end of the axis, whatever the extent.
const END: i64 = i32::MAX as i64;

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let x = ctx.input(0)?;
    let from = ctx.shape(0)?;
    let rank = from.len();
    let list = |values: Option<&[i64]>| values.map(|v| v.iter().map(|d| Dim::constant(*d)).collect::<Vec<Dim>>());
    let (starts, ends) = if ctx.opset < 10 {
        (list(ctx.ints("starts")).unwrap_or_default(), list(ctx.ints("ends")).unwrap_or_default())
    } else {
        (ctx.dims(1, i64::MIN, None)?, ctx.dims(2, i64::MIN, None)?)
    };
    let axes = match sizes::axes(ctx, 3, rank)? {
        Some(axes) => axes,
        None => (0..starts.len()).map(Dim::from).collect(),
    };
    let steps = match sizes::input(ctx, 4, i64::MIN, None)? {
        Some(steps) => steps,
        None => vec![Dim::constant(1); axes.len()],
    };
    for (what, found) in [("starts", starts.len()), ("ends", ends.len()), ("steps", steps.len())] {
        sizes::require_count(what, found, axes.len())?;
    }
    for step in &steps {
        let zero = Pred::Eq(step.clone(), Dim::constant(0));
        ctx.b.assume(Pred::Not(Box::new(zero)), "a step of Slice is not 0")?;
    }
    let (zero, one, end) = (Dim::constant(0), Dim::constant(1), Dim::constant(i64::MAX));
    let mut shape = Vec::with_capacity(rank);
    let mut walks = Vec::with_capacity(rank);
    for (d, extent) in from.iter().enumerate() {
        let start = sizes::at_axis(ctx.b, &axes, &starts, d, rank, &zero);
        let end = sizes::at_axis(ctx.b, &axes, &ends, d, rank, &end);
        let step = sizes::at_axis(ctx.b, &axes, &steps, d, rank, &one);
        let (start, count) = walk(&ctx.b.model().symbols, &start, &end, &step, extent);
        walks.push((start, step));
        shape.push(count);
    }
    if shape == from && walks.iter().all(|(start, step)| start.is(0) && step.is(1)) {
        return Ok(vec![x.into()]);
    }
    let y = ctx.b.compute(&[x], shape, |p| {
        let index: Vec<ExprId> = walks
            .iter()
            .enumerate()
            .map(|(d, (start, step))| {
                let i = p.index(d);
                indexing::stride(p, i, start, step)
            })
            .collect();
        let value = p.load(0, &index);
        p.out(value);
    })?;
    Ok(vec![y.into()])
}

/// First position and number of elements, for steps of either sign.
fn walk(symbols: &Symbols, start: &Dim, end: &Dim, step: &Dim, extent: &Dim) -> (Dim, Dim) {
    let (zero, below) = (Dim::constant(0), Dim::constant(-1));
    let last = extent + &below;
    // What is left behind a start, without the start's bound: cuts of cuts stay one cut.
    if step.is(1) && end.as_const().is_some_and(|end| end >= END) && symbols.range(start).lo >= 0 {
        return (symbols.min(start, extent), symbols.max(&zero, &(extent - start)));
    }
    let up = Pred::Le(Dim::constant(1), step.clone());
    let first = {
        let down = symbols.min(&clamp(symbols, start, extent, &zero, &last), &last);
        symbols.select(&up, &clamp(symbols, start, extent, &zero, extent), &down)
    };
    let stop = {
        let down = clamp(symbols, end, extent, &below, &last);
        symbols.select(&up, &clamp(symbols, end, extent, &zero, extent), &down)
    };
    let span = &stop - &first;
    let count = match step.as_const() {
        Some(s) if s < 0 => symbols.ceil_div(&-&span, &Dim::constant(s.saturating_neg())),
        _ => symbols.ceil_div(&span, step),
    };
    (first, symbols.max(&zero, &count))
}

/// A bound, counted from the end where negative, in `lo..=hi`.
fn clamp(symbols: &Symbols, bound: &Dim, extent: &Dim, lo: &Dim, hi: &Dim) -> Dim {
    match bound.as_const() {
        Some(v) if v >= END => hi.clone(),
        Some(v) if v <= -END => lo.clone(),
        _ => {
            let negative = Pred::Le(bound.clone(), Dim::constant(-1));
            let position = symbols.select(&negative, &(bound + extent), bound);
            symbols.max(lo, &symbols.min(&position, hi))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{Case, check, constant, i64s, refusal, typed, value};
    use graph::dim::Dim;
    use graph::dtype::DType;

    #[test]
    fn everything_at_run_time() {
        let x = i64s(&[2, 4], &[0, 1, 2, 3, 4, 5, 6, 7]);
        let run = |starts: &[i64], ends: &[i64], axes: &[i64], steps: &[i64], y| {
            let n = starts.len();
            let lists = [starts, ends, axes, steps].map(|l| value(i64s(&[n], l)));
            let inputs: Vec<_> = std::iter::once(value(x.clone())).chain(lists).collect();
            check(&OPERATOR, &[], &inputs, &[y]);
        };
        run(&[3], &[-9], &[1], &[-2], i64s(&[2, 2], &[3, 1, 7, 5]));
        run(&[-1, 1], &[99, 3], &[0, -1], &[1, 1], i64s(&[1, 2], &[5, 6]));
        run(&[2], &[1], &[1], &[1], i64s(&[2, 0], &[]));
    }

    #[test]
    fn to_the_end_of_an_unknown_extent() {
        let mut symbols = graph::symbol::Symbols::default();
        let n = Dim::symbol(symbols.add("n", 1, None, graph::symbol::SymSource::Input));
        let ends = constant(i64s(&[1], &[i64::from(i32::MAX)]));
        let case = Case::new(&OPERATOR).arg(typed(DType::F32, &[n.clone()])).constant(i64s(&[1], &[0])).arg(ends);
        assert_eq!(case.symbols(symbols).shapes(), vec![vec![n]]);
    }

    #[test]
    fn a_step_of_zero_is_refused() {
        let one = || constant(i64s(&[1], &[0]));
        let error = refusal(&OPERATOR, &[], &[value(i64s(&[1], &[1])), one(), one(), one(), one()]);
        assert!(error.to_string().starts_with("a step of Slice is not 0 cannot hold"), "{error}");
    }
}
