//! Discrete Fourier transforms as contractions with a table of cosines and sines.

use graph::builder::{BuildError, Builder, Point};
use graph::dim::{Dim, Pred};
use graph::dtype::DType;
use graph::expr::{BinOp, ExprId, UnOp};
use graph::graph::ValueId;
use graph::node::Combiner;
use graph::region::contract::accumulator;

use crate::sizes;

/// What is transformed into what.
#[derive(Clone, Debug, PartialEq)]
pub struct Transform {
    /// Number of points; shorter input counts as zero behind its end, longer input is cut.
    pub length: Dim,
    pub inverse: bool,
    /// Forward: only the first half of the frequencies comes out. Inverse: only that half goes in, the output is real.
    pub onesided: bool,
}

/// `sum over n of x[…, n, …] * exp(-+ 2 pi i k n / length)` along an axis of a tensor whose last dim holds real parts, or real
/// and imaginary ones.
pub fn transform(b: &mut Builder, x: ValueId, axis: usize, how: &Transform) -> Result<ValueId, BuildError> {
    let (shape, dtype) = (b.shape(x)?, b.dtype(x)?);
    let rank = shape.len();
    if rank < 2 || axis + 1 >= rank {
        return Err(BuildError::Axis { found: axis as i64, rank: rank.saturating_sub(1) });
    }
    let half = &b.model().symbols.floor_div(&how.length, &Dim::constant(2)) + &Dim::constant(1);
    let folded = how.inverse && how.onesided;
    let taken = if folded { &half } else { &how.length };
    let points = b.model().symbols.min(&shape[axis], taken);
    let frequencies = if how.onesided && !how.inverse { half } else { how.length.clone() };
    let parts = if folded { 1 } else { 2 };
    let cut = b.slice(x, axis, &Dim::constant(0), 1, points.clone())?;
    let wide = accumulator(dtype);
    let components = shape[rank - 1].clone();
    let table_shape = vec![frequencies.clone(), points.clone(), components.clone(), Dim::constant(parts)];
    let table = b.compute(&[], table_shape, |p| {
        let entry = entry(p, how);
        let entry = p.cast(entry, wide);
        p.out(entry);
    })?;
    let (outer, inner) = (Dim::product(&shape[..axis]), Dim::product(&shape[axis + 1..rank - 1]));
    let flat = b.reshape(cut, vec![outer, points, inner, components])?;
    let flat = b.cast(flat, wide)?;
    let y = b.contract("anbc,kncd->akbd", flat, table)?;
    let mut result = shape;
    result[axis] = frequencies;
    result[rank - 1] = Dim::constant(parts);
    let y = b.reshape(y, result)?;
    b.cast(y, dtype)
}

/// The extent along an axis that is a size, maybe a negative one.
pub fn extent_along(b: &Builder, shape: &[Dim], axis: &Dim) -> Dim {
    let symbols = &b.model().symbols;
    shape.iter().enumerate().fold(Dim::constant(0), |other, (d, extent)| {
        symbols.select(&sizes::names(axis, d, shape.len()), extent, &other)
    })
}

/// [`transform`] along an axis that only the running model knows.
pub fn transform_late(b: &mut Builder, x: ValueId, axis: &Dim, how: &Transform) -> Result<ValueId, BuildError> {
    let (shape, dtype) = (b.shape(x)?, b.dtype(x)?);
    let rank = shape.len();
    if rank < 2 {
        let what = "a signal with its parts".to_string();
        return Err(BuildError::Rank { what, expected: "2 or more".to_string(), found: rank });
    }
    let symbols = &b.model().symbols;
    let half = &symbols.floor_div(&how.length, &Dim::constant(2)) + &Dim::constant(1);
    let folded = how.inverse && how.onesided;
    let points = symbols.min(&extent_along(b, &shape, axis), if folded { &half } else { &how.length });
    let frequencies = if how.onesided && !how.inverse { half } else { how.length.clone() };
    let parts = Dim::constant(if folded { 1 } else { 2 });
    let components = shape.last().cloned().unwrap_or_default();
    let mut result: Vec<Dim> = shape
        .iter()
        .enumerate()
        .map(|(d, extent)| symbols.select(&sizes::names(axis, d, rank), &frequencies, extent))
        .collect();
    if let Some(last) = result.last_mut() {
        *last = parts.clone();
    }
    let wide = accumulator(dtype);
    let table = b.compute(&[], vec![frequencies, points.clone(), components.clone(), parts], |p| {
        let entry = entry(p, how);
        let entry = p.cast(entry, wide);
        p.out(entry);
    })?;
    let negative = Pred::Le(axis.clone(), Dim::constant(-1));
    let place = b.model().symbols.select(&negative, &(axis + &Dim::from(rank)), axis);
    b.compute(&[x, table], result, |p| {
        let index = p.indices();
        let (n, c) = (p.reduce(&points), p.reduce(&components));
        let place = p.dim(&place);
        let (mut at, mut k) = (Vec::with_capacity(rank), p.int(0));
        for (d, i) in index.iter().enumerate().take(rank - 1) {
            let here = p.int(d as i64);
            let here = p.eq(place, here);
            at.push(p.select(here, n, *i));
            k = p.select(here, *i, k);
        }
        at.push(c);
        let (value, weight) = (p.load(0, &at), p.load(1, &[k, n, c, index[rank - 1]]));
        let value = p.cast(value, wide);
        let product = p.mul(value, weight);
        let sum = p.acc(Combiner::Sum, product);
        let sum = p.cast(sum, dtype);
        p.out(sum);
    })
}

/// Weight (f64) of input point n, component c in output k, part d, at the index `[k, n, c, d]`.
fn entry(p: &mut Point<'_>, how: &Transform) -> ExprId {
    let [k, n, c, d] = [p.index(0), p.index(1), p.index(2), p.index(3)];
    let (length, zero, one, two) = (p.dim(&how.length), p.int(0), p.int(1), p.int(2));
    // The angle is reduced to one turn while it is whole.
    let turns = p.mul(k, n);
    let turns = p.binary(BinOp::Mod, turns, length);
    let (turns, length) = (p.cast(turns, DType::F64), p.cast(length, DType::F64));
    let fraction = p.div(turns, length);
    let circle = p.number(DType::F64, std::f64::consts::TAU);
    let angle = p.mul(fraction, circle);
    let (cos, sin) = (p.unary(UnOp::Cos, angle), p.unary(UnOp::Sin, angle));
    let minus_sin = p.unary(UnOp::Neg, sin);
    let real_in = p.eq(c, zero);
    let same = p.eq(c, d);
    // Forward, exp(-i a): real from imaginary is +sin, imaginary from real is -sin. Inverse the other way round.
    let (first, second) = if how.inverse { (minus_sin, sin) } else { (sin, minus_sin) };
    let crossed = p.select(real_in, second, first);
    let weight = p.select(same, cos, crossed);
    if !how.inverse {
        return weight;
    }
    let mut weight = p.div(weight, length);
    if how.onesided {
        // All frequencies but the first and, of an even length, the last stand for two.
        let doubled = p.add(weight, weight);
        let points = p.dim(&how.length);
        let twice = p.mul(n, two);
        let (is_first, is_last) = (p.lt(n, one), p.eq(twice, points));
        let single = p.or(is_first, is_last);
        weight = p.select(single, weight, doubled);
    }
    weight
}
