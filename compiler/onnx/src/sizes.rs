//! Sizes and axes that inputs decide: one set of formulas for constants, where everything folds, and for values that only
//! the running model knows.
//!
//! An axis is a [`Dim`] here: it names dim `d` of `rank` if it equals `d` or `d - rank`.

use graph::builder::{BuildError, Builder};
use graph::dim::{Dim, Pred};

use crate::operator::Ctx;

/// A constant size.
pub fn constant(value: i64) -> Dim {
    Dim::constant(value)
}

/// Whether an axis names dim `d`.
pub fn names(axis: &Dim, d: usize, rank: usize) -> Pred {
    let d = Dim::from(d);
    Pred::Or(vec![Pred::Eq(axis.clone(), d.clone()), Pred::Eq(axis.clone(), &d - &Dim::from(rank))])
}

/// Whether any of the axes names dim `d`.
pub fn any_names(axes: &[Dim], d: usize, rank: usize) -> Pred {
    Pred::Or(axes.iter().map(|a| names(a, d, rank)).collect())
}

/// Axes in an attribute or, from the opset on that moved them, in an input. `None`: not given.
pub fn axes(ctx: &mut Ctx<'_>, position: usize, rank: usize) -> Result<Option<Vec<Dim>>, BuildError> {
    let found = match ctx.ints("axes") {
        Some(axes) => Some(axes.iter().map(|a| constant(*a)).collect::<Vec<Dim>>()),
        None => input(ctx, position, -(rank as i64), Some(rank as i64 - 1))?,
    };
    for axis in found.iter().flatten() {
        if let Some(axis) = axis.as_const() {
            ctx.b.axis(axis, rank)?;
        }
    }
    Ok(found)
}

/// Elements of an optional integer input as sizes in a range.
pub fn input(ctx: &mut Ctx<'_>, position: usize, lo: i64, hi: Option<i64>) -> Result<Option<Vec<Dim>>, BuildError> {
    match ctx.optional(position)? {
        Some(value) => ctx.b.dims_of(value, lo, hi).map(Some),
        None => Ok(None),
    }
}

/// The only element of an integer input as a size.
pub fn single(ctx: &mut Ctx<'_>, position: usize, lo: i64, hi: Option<i64>) -> Result<Dim, BuildError> {
    let found = ctx.dims(position, lo, hi)?;
    match <[Dim; 1]>::try_from(found) {
        Ok([dim]) => Ok(dim),
        Err(found) => Err(BuildError::Operand {
            what: format!("input {position} of {}", ctx.op_type),
            expected: "one element".to_string(),
            found: found.len().to_string(),
        }),
    }
}

/// Refuses a list that has not one element an axis.
pub fn require_count(what: &str, found: usize, expected: usize) -> Result<(), BuildError> {
    if found == expected {
        return Ok(());
    }
    Err(BuildError::Operand {
        what: format!("elements of {what}"),
        expected: expected.to_string(),
        found: found.to_string(),
    })
}

/// For dim `d` of `rank`, the value listed beside the axis that names it, or a default.
pub fn at_axis(b: &Builder, axes: &[Dim], values: &[Dim], d: usize, rank: usize, default: &Dim) -> Dim {
    let symbols = &b.model().symbols;
    axes.iter()
        .zip(values)
        .fold(default.clone(), |other, (axis, value)| symbols.select(&names(axis, d, rank), value, &other))
}

/// The axes `0..rank`.
pub fn all_axes(rank: usize) -> Vec<Dim> {
    (0..rank).map(Dim::from).collect()
}

/// Axes as positions, if all are constants.
pub fn positions(b: &Builder, axes: &[Dim], rank: usize) -> Result<Option<Vec<usize>>, BuildError> {
    let constants: Option<Vec<i64>> = axes.iter().map(Dim::as_const).collect();
    constants.map(|axes| axes.into_iter().map(|a| b.axis(a, rank)).collect()).transpose()
}

/// A shape without the dims that the axes name. The axes must be distinct; if they are not, the count of elements differs,
/// which whoever reshapes to this checks.
pub fn without_axes(b: &Builder, shape: &[Dim], axes: &[Dim]) -> Vec<Dim> {
    let rank = shape.len();
    let symbols = &b.model().symbols;
    let mut position = constant(0);
    let mut kept = Vec::with_capacity(rank);
    for (d, extent) in shape.iter().enumerate() {
        let gone = any_names(axes, d, rank);
        kept.push((gone.clone(), position.clone(), extent));
        position = &position + &symbols.select(&gone, &constant(0), &constant(1));
    }
    (0..rank.saturating_sub(axes.len()))
        .map(|j| {
            kept.iter().rev().fold(constant(0), |other, (gone, position, extent)| {
                let here = Pred::Eq(position.clone(), Dim::from(j));
                let value = symbols.select(&here, extent, &other);
                symbols.select(gone, &other, &value)
            })
        })
        .collect()
}

/// A shape with extents of 1 where the axes (of the result) say.
pub fn with_axes(b: &Builder, shape: &[Dim], axes: &[Dim]) -> Vec<Dim> {
    let rank = shape.len() + axes.len();
    let symbols = &b.model().symbols;
    let mut source = constant(0);
    (0..rank)
        .map(|j| {
            let new = any_names(axes, j, rank);
            let old = shape.iter().enumerate().rev().fold(constant(0), |other, (d, extent)| {
                symbols.select(&Pred::Eq(source.clone(), Dim::from(d)), extent, &other)
            });
            source = &source + &symbols.select(&new, &constant(0), &constant(1));
            symbols.select(&new, &constant(1), &old)
        })
        .collect()
}
