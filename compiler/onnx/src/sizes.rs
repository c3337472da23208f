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
    let value = ctx.input(position)?;
    let found = ctx.b.dims_of(value, lo, hi)?;
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

#[cfg(test)]
mod tests {
    use graph::dtype::DType;
    use graph::graph::ValueId;

    use crate::ops_testing::{Chain, int, ints};

    /// One size of a shape, as exporters read it.
    fn size(c: &mut Chain, x: ValueId, at: i64) -> ValueId {
        let (shape, at) = (c.op("Shape", &[], &[x]), c.scalar(at));
        let size = c.op("Gather", &[("axis", int(0))], &[shape, at]);
        let zero = c.list(&[0]);
        c.op("Unsqueeze", &[], &[size, zero])
    }

    #[test]
    fn heads_split_off_and_joined_again() {
        let mut c = Chain::new();
        let x = c.input(DType::F32, &["batch", "sequence", "768"]);
        let (batch, sequence) = (size(&mut c, x, 0), size(&mut c, x, 1));
        let (heads, width) = (c.list(&[12]), c.list(&[64]));
        let shape = c.op("Concat", &[("axis", int(0))], &[batch, sequence, heads, width]);
        let split = c.op("Reshape", &[], &[x, shape]);
        c.expect(split, &["batch", "sequence", "12", "64"]);
        let turned = c.op("Transpose", &[("perm", ints(&[0, 2, 1, 3]))], &[split]);
        let back = c.op("Transpose", &[("perm", ints(&[0, 2, 1, 3]))], &[turned]);
        let rest = c.list(&[-1]);
        let shape = c.op("Concat", &[("axis", int(0))], &[batch, sequence, rest]);
        let joined = c.op("Reshape", &[], &[back, shape]);
        c.expect(joined, &["batch", "sequence", "768"]);
    }

    #[test]
    fn expand_to_a_shape_with_minus_one_replaced() {
        let mut c = Chain::new();
        let token = c.input(DType::F32, &["1", "1", "8"]);
        let x = c.input(DType::F32, &["batch", "3"]);
        let (batch, free) = (size(&mut c, x, 0), c.list(&[-1, 8]));
        let wanted = c.op("Concat", &[("axis", int(0))], &[batch, free]);
        let (minus, ones) = (c.list(&[-1]), c.list(&[1, 1, 1]));
        let open = c.op("Equal", &[], &[wanted, minus]);
        let shape = c.op("Where", &[], &[open, ones, wanted]);
        let y = c.op("Expand", &[], &[token, shape]);
        c.expect(y, &["batch", "1", "8"]);
    }

    #[test]
    fn positions_from_a_range() {
        let mut c = Chain::new();
        let x = c.input(DType::F32, &["batch", "n"]);
        let n = size(&mut c, x, 1);
        let flat = c.list(&[0]);
        let n = c.op("Squeeze", &[], &[n, flat]);
        let (zero, one) = (c.scalar(0), c.scalar(1));
        let range = c.op("Range", &[], &[zero, n, one]);
        let row = c.op("Unsqueeze", &[], &[range, flat]);
        let shape = c.op("Shape", &[], &[x]);
        let y = c.op("Expand", &[], &[row, shape]);
        c.expect(y, &["batch", "n"]);
    }

    #[test]
    fn halves_of_an_axis_by_slices_of_its_size() {
        let mut c = Chain::new();
        let x = c.input(DType::F32, &["n", "10"]);
        let width = size(&mut c, x, 1);
        let (two, zero, one) = (c.list(&[2]), c.list(&[0]), c.list(&[1]));
        let half = c.op("Div", &[], &[width, two]);
        let end = c.list(&[i64::MAX]);
        let left = c.op("Slice", &[], &[x, zero, half, one]);
        let right = c.op("Slice", &[], &[x, half, end, one]);
        let y = c.op("Concat", &[("axis", int(-1))], &[right, left]);
        c.expect(left, &["n", "5"]);
        c.expect(y, &["n", "10"]);
    }

    #[test]
    fn a_tensor_filled_and_flattened() {
        let mut c = Chain::new();
        let x = c.input(DType::F32, &["n", "m", "4"]);
        let shape = c.op("Shape", &[], &[x]);
        let zeros = c.op("ConstantOfShape", &[], &[shape]);
        let y = c.op("Flatten", &[("axis", int(2))], &[zeros]);
        c.expect(y, &["n*m", "4"]);
        let total = c.op("ReduceProd", &[("keepdims", int(1))], &[shape]);
        let y = c.op("Reshape", &[], &[x, total]);
        c.expect(y, &["4*n*m"]);
    }
}
