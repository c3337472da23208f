//! Reading a tensor between its elements: the taps of an interpolation as reduction dims, each with a position and a weight.

use graph::builder::Point;
use graph::dim::Dim;
use graph::dtype::DType;
use graph::expr::{BinOp, ExprId, UnOp};

use crate::interpolation::cubic;

/// What is read beyond an extent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beyond {
    Zero,
    /// The nearest element.
    Border,
    /// Mirrored at the outer corners of the elements at both ends, or at their centres.
    Reflect {
        centres: bool,
    },
}

/// How elements around a coordinate are weighted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    Nearest,
    Linear,
    /// Keys' kernel with coefficient -0.75.
    Cubic,
}

/// A position (i64, possibly outside) and its weight.
#[derive(Clone, Copy, Debug)]
pub struct Tap {
    pub position: ExprId,
    pub weight: Option<ExprId>,
}

/// Taps around a coordinate along one dim: adds a reduction dim unless the nearest element is taken.
pub fn taps(p: &mut Point<'_>, coordinate: ExprId, extent: &Dim, kernel: Kernel, beyond: Beyond) -> Tap {
    let dtype = p.dtype(coordinate);
    if kernel == Kernel::Nearest {
        let rounded = p.unary(UnOp::Round, coordinate);
        let bounded = bound(p, rounded, extent, beyond);
        // Truncation, as a mirrored coordinate may lie at a corner.
        let position = p.cast(bounded, DType::I64);
        return Tap { position: wrap(p, position, extent, beyond), weight: None };
    }
    let coordinate = bound(p, coordinate, extent, beyond);
    let (count, before) = if kernel == Kernel::Linear { (2, 0) } else { (4, 1) };
    let below = p.unary(UnOp::Floor, coordinate);
    let first = p.cast(below, DType::I64);
    let tap = p.reduce(&Dim::constant(count));
    let before = p.int(before);
    let step = p.sub(tap, before);
    let position = p.add(first, step);
    let at = p.cast(position, dtype);
    let distance = p.sub(at, coordinate);
    let distance = p.unary(UnOp::Abs, distance);
    let weight = if kernel == Kernel::Linear {
        let one = p.number(dtype, 1.0);
        p.sub(one, distance)
    } else {
        cubic(p, distance, -0.75)
    };
    Tap { position: wrap(p, position, extent, beyond), weight: Some(weight) }
}

/// The coordinate itself, brought inside.
fn bound(p: &mut Point<'_>, coordinate: ExprId, extent: &Dim, beyond: Beyond) -> ExprId {
    let dtype = p.dtype(coordinate);
    match beyond {
        Beyond::Zero => coordinate,
        Beyond::Border => {
            let (zero, last) = (p.zero(dtype), last(p, extent, dtype));
            let low = p.max(coordinate, zero);
            p.min(low, last)
        }
        Beyond::Reflect { centres } => reflect(p, coordinate, extent, centres),
    }
}

/// A tap's position, brought inside.
fn wrap(p: &mut Point<'_>, position: ExprId, extent: &Dim, beyond: Beyond) -> ExprId {
    match beyond {
        Beyond::Zero => position,
        Beyond::Border => {
            let (zero, last) = (p.int(0), p.dim(&(extent - &Dim::constant(1))));
            let low = p.max(position, zero);
            p.min(low, last)
        }
        Beyond::Reflect { centres } => {
            let float = p.cast(position, DType::F32);
            let inside = reflect(p, float, extent, centres);
            p.cast(inside, DType::I64)
        }
    }
}

fn last(p: &mut Point<'_>, extent: &Dim, dtype: DType) -> ExprId {
    let last = p.dim(&(extent - &Dim::constant(1)));
    p.cast(last, dtype)
}

/// A coordinate mirrored at both ends until it lies between them.
fn reflect(p: &mut Point<'_>, x: ExprId, extent: &Dim, centres: bool) -> ExprId {
    let dtype = p.dtype(x);
    let (margin, two) = (p.number(dtype, if centres { 0.0 } else { 0.5 }), p.number(dtype, 2.0));
    let zero = p.zero(dtype);
    let low = p.sub(zero, margin);
    let last = last(p, extent, dtype);
    let high = p.add(last, margin);
    let range = p.sub(high, low);
    let (below, above) = (p.lt(x, low), p.lt(high, x));
    let (under, over) = (p.sub(low, x), p.sub(x, high));
    let distance = p.select(below, under, over);
    let turns = p.div(distance, range);
    let turns = p.unary(UnOp::Trunc, turns);
    let whole = p.mul(turns, range);
    let rest = p.sub(distance, whole);
    let odd = p.binary(BinOp::Rem, turns, two);
    let even = p.eq(odd, zero);
    let (from_low, from_high) = (p.add(low, rest), p.sub(high, rest));
    let mirrored_below = p.select(even, from_low, from_high);
    let mirrored_above = p.select(even, from_high, from_low);
    let beyond_high = p.select(above, mirrored_above, x);
    p.select(below, mirrored_below, beyond_high)
}

/// The product of the weights of some taps.
pub fn product(p: &mut Point<'_>, taps: &[Tap]) -> Option<ExprId> {
    taps.iter().filter_map(|t| t.weight).reduce(|a, b| p.mul(a, b))
}
