//! Unique: the distinct elements (or slices along an axis), where each was first, which one every element is, how often each
//! occurs.
//!
//! <https://onnx.ai/onnx/operators/onnx__Unique.html>
//!
//! | opset | change |
//! |---|---|
//! | 11 | first |
//!
//! Dtypes: all numbers and bool. All NaN are one value. With an axis, slices are compared from their first element on; a slice
//! has at most 1024 elements, a constant number (refused otherwise).

use graph::builder::{BuildError, Builder};
use graph::dim::Dim;
use graph::dtype::DType;
use graph::graph::ValueId;
use graph::node::{Combiner, ScatterMode};

use crate::operator::{AttrKind, Ctx, Operator, attr, between, exactly};
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "Unique",
    domain: "",
    versions: &[11],
    inputs: exactly(1),
    outputs: between(1, 4),
    attrs: &[attr("axis", AttrKind::Int), attr("sorted", AttrKind::Int)],
    build,
};

/// Most elements of a slice that is compared.
const SLICE: usize = 1024;

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let mut x = ctx.input(0)?;
    let ty = ctx.b.tensor(x)?.clone();
    if ty.dtype == DType::Str {
        return Err(BuildError::DType { what: "Unique".into(), expected: "numbers and bool".into(), found: ty.dtype });
    }
    let axis = match ctx.int("axis") {
        Some(axis) => ctx.b.axis(axis, ty.rank())?,
        None => {
            x = ctx.b.reshape(x, vec![ty.count()])?;
            0
        }
    };
    let keys = keys(ctx.b, x, axis)?;
    let groups = group(ctx.b, &keys, ctx.int_or("sorted", 1) != 0)?;
    let y = ctx.b.gather(x, groups.first, axis)?;
    Ok([y, groups.first, groups.member, groups.count].into_iter().map(ImportValue::from).collect())
}

/// One rank-1 key per element of a slice, the first the most significant.
fn keys(b: &mut Builder, x: ValueId, axis: usize) -> Result<Vec<ValueId>, BuildError> {
    let shape = b.shape(x)?;
    let others: Vec<usize> = (0..shape.len()).filter(|d| *d != axis).collect();
    let count = Dim::product(others.iter().map(|d| &shape[*d]));
    let count = count.as_size().filter(|c| *c <= SLICE).ok_or_else(|| BuildError::Unsupported {
        what: format!("Unique of slices with {count:?} elements"),
        closest: format!("a constant number, at most {SLICE}"),
    })?;
    let mut perm = others;
    perm.push(axis);
    let moved = b.transpose(x, &perm)?;
    let rows = b.reshape(moved, vec![Dim::from(count), shape[axis].clone()])?;
    (0..count)
        .map(|k| {
            let row = b.slice(rows, 0, &Dim::from(k), 1, Dim::constant(1))?;
            b.reshape(row, vec![shape[axis].clone()])
        })
        .collect()
}

/// Groups of equal elements.
struct Groups {
    /// Position of each group's first element.
    first: ValueId,
    /// The group of each element.
    member: ValueId,
    /// Elements of each group.
    count: ValueId,
}

fn group(b: &mut Builder, keys: &[ValueId], by_value: bool) -> Result<Groups, BuildError> {
    let sorted = b.sort(keys, 0, false, None)?;
    let Some((order, values)) = sorted.split_last() else {
        return Err(BuildError::Results { expected: 1, found: 0 });
    };
    let order = *order;
    let extent = b.shape(order)?;
    let starts = b.compute(values, extent.clone(), |p| {
        let (i, one, yes) = (p.index(0), p.int(1), p.constant(graph::scalar::Scalar::bool(true)));
        let before = p.sub(i, one);
        let zero = p.int(0);
        let mut changed = p.eq(i, zero);
        for k in 0..values.len() {
            let here = p.load(k, &[i]);
            let dtype = p.dtype(here);
            let none = p.zero(dtype);
            let there = p.load_or(k, &[before], none);
            let differs = p.ne(here, there);
            let differs = if dtype.is_float() {
                let (a, c) = (p.ne(here, here), p.ne(there, there));
                let both = p.and(a, c);
                let not_both = p.not(both);
                p.and(differs, not_both)
            } else {
                p.and(differs, yes)
            };
            changed = p.or(changed, differs);
        }
        p.out(changed);
    })?;
    let (start, found) = b.positions(starts)?;
    // Groups by value: where they start in the sorted order, their size and first member.
    let flags = b.cast(starts, DType::I64)?;
    let ordinal = b.prefix(flags, 0, Combiner::Sum, false, false)?;
    let first = b.gather(order, start, 0)?;
    let count = b.compute(&[start], vec![found.clone()], |p| {
        let (j, one, end) = (p.index(0), p.int(1), p.dim(&extent[0]));
        let following = p.add(j, one);
        let (here, next) = (p.load(0, &[j]), p.load_or(0, &[following], end));
        let size = p.sub(next, here);
        p.out(size);
    })?;
    let zeros = b.splat(graph::scalar::Scalar::i64(0), extent.clone())?;
    let member = b.scatter(&[zeros, order, ordinal], extent.clone(), ScatterMode::Last, |p| {
        let (i, one) = (p.index(0), p.int(1));
        let (at, number) = (p.load(1, &[i]), p.load(2, &[i]));
        let group = p.sub(number, one);
        (vec![at], group)
    })?;
    if by_value {
        return Ok(Groups { first, member, count });
    }
    // Groups by first member: rank the first members among the positions.
    let ranked = b.sort(&[first], 0, false, None)?;
    let [first, former] = ranked[..] else { return Err(BuildError::Results { expected: 2, found: ranked.len() }) };
    let count = b.gather(count, former, 0)?;
    let zeros = b.splat(graph::scalar::Scalar::i64(0), vec![found.clone()])?;
    let renamed = b.scatter(&[zeros, former], vec![found], ScatterMode::Last, |p| {
        let i = p.index(0);
        (vec![p.load(1, &[i])], i)
    })?;
    let member = b.gather(renamed, member, 0)?;
    Ok(Groups { first, member, count })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::*;

    #[test]
    fn first_come_order_keeps_positions() {
        let x = f32s(&[6], &[2.0, 1.0, 1.0, 3.0, 4.0, 3.0]);
        let expected = [
            f32s(&[4], &[2.0, 1.0, 3.0, 4.0]),
            i64s(&[4], &[0, 1, 3, 4]),
            i64s(&[6], &[0, 1, 1, 2, 3, 2]),
            i64s(&[4], &[1, 2, 2, 1]),
        ];
        check(&OPERATOR, &[("sorted", int(0))], &[value(x)], &expected);
    }

    #[test]
    fn columns_are_compared_from_the_top() {
        let x = i64s(&[2, 3], &[1, 0, 1, 5, 9, 5]);
        let expected = [i64s(&[2, 2], &[0, 1, 9, 5]), i64s(&[2], &[1, 0]), i64s(&[3], &[1, 0, 1]), i64s(&[2], &[1, 2])];
        check(&OPERATOR, &[("axis", int(-1))], &[value(x)], &expected);
    }

    #[test]
    fn slices_without_a_known_size_are_refused() {
        let mut symbols = graph::symbol::Symbols::default();
        let n = Dim::symbol(symbols.add("n", 0, None, graph::symbol::SymSource::Input));
        let error = refusal(&OPERATOR, &[("axis", int(0))], &[typed(DType::F32, &[Dim::constant(3), n])]);
        assert!(error.to_string().contains("constant number"));
    }
}
