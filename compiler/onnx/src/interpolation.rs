//! Resampling along axes: which source positions an output position reads, and with what weights.
//!
//! The arithmetic on coordinates is f64 and stands in small tables, one an axis, which fold where sizes and scales are
//! constants; the resampling itself only reads them. Nearest by a whole factor is a plain index map.

mod frame;

pub use frame::cubic;
use frame::{Frame, clamp, pick};
use graph::builder::{BuildError, Builder};
use graph::dim::{Dim, Pred};
use graph::dtype::DType;
use graph::expr::{BinOp, Expr, Rounding, UnOp};
use graph::graph::ValueId;
use graph::node::Combiner;
use graph::scalar::Scalar;

/// How an output position maps to a source coordinate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coordinates {
    HalfPixel,
    HalfPixelSymmetric,
    PytorchHalfPixel,
    /// The centre of the source position, without the half taken off again.
    TfHalfPixelForNn,
    AlignCorners,
    Asymmetric,
    TfCropAndResize,
}

/// How a coordinate between positions picks one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nearest {
    RoundPreferFloor,
    RoundPreferCeil,
    Floor,
    Ceil,
}

/// What is read around a coordinate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Filter {
    Nearest(Nearest),
    Linear,
    /// With Keys' coefficient.
    Cubic(f64),
}

/// Output extent over input extent.
#[derive(Clone, Debug, PartialEq)]
pub enum Scale {
    Constant(f64),
    /// The quotient of two sizes.
    Ratio(Dim, Dim),
    /// An element of a rank-1 float tensor.
    Element(ValueId, usize),
}

/// One axis that is resampled.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    pub axis: usize,
    pub output: Dim,
    pub scale: Scale,
    /// Positions of its start and end in the tensor of regions of interest.
    pub roi: (usize, usize),
}

/// Everything that is common to the axes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Resampling {
    pub coordinates: Coordinates,
    pub filter: Filter,
    /// Widens the filter where the output is smaller.
    pub antialias: bool,
    /// Takes no weight from positions outside the input.
    pub exclude_outside: bool,
    /// Regions of interest (rank 1), for [`Coordinates::TfCropAndResize`].
    pub roi: Option<ValueId>,
    /// What is put out where the coordinate lies outside the region's source.
    pub extrapolation: f64,
}

/// Tables of one axis.
struct Table {
    axis: usize,
    extent: Dim,
    /// First source position, i64 `[out]`.
    start: ValueId,
    /// Weights `[out, taps]`; none for nearest.
    weights: Option<(ValueId, Dim)>,
    /// Truth where the coordinate lies outside, `[out]`.
    outside: Option<ValueId>,
}

const WIDE: DType = DType::F64;

/// A tensor resampled along axes.
pub fn resample(b: &mut Builder, x: ValueId, axes: &[Axis], how: &Resampling) -> Result<ValueId, BuildError> {
    let shape = b.shape(x)?;
    for axis in axes {
        b.assume(Pred::Le(Dim::constant(1), shape[axis.axis].clone()), "a resized extent is not empty")?;
    }
    let axes: Vec<&Axis> = axes.iter().filter(|a| !is_identity(a, &shape[a.axis], how)).collect();
    if axes.is_empty() {
        return Ok(x);
    }
    let factors: Option<Vec<i64>> = axes.iter().map(|a| whole_factor(b, a, &shape[a.axis], how)).collect();
    if let Some(factors) = factors {
        return repeat(b, x, &axes, &factors);
    }
    let dtype = b.dtype(x)?;
    let nearest = matches!(how.filter, Filter::Nearest(_));
    let mut value = x;
    // A widened filter has many taps, so that one axis after the other costs less.
    let groups: Vec<&[&Axis]> = if how.antialias { axes.chunks(1).collect() } else { vec![&axes[..]] };
    for group in groups {
        let tables = group.iter().map(|a| table(b, a, &shape[a.axis], how)).collect::<Result<Vec<_>, _>>()?;
        value = apply(b, value, group, &tables, (how, nearest))?;
    }
    if nearest {
        return Ok(value);
    }
    b.map(&[value], |p, v| {
        let y = if dtype.is_float() { v[0] } else { p.unary(UnOp::Round, v[0]) };
        p.add_expr(Expr::Cast { to: dtype, saturate: !dtype.is_float(), rounding: Rounding::Nearest, value: y })
    })
}

/// Whether resampling along an axis changes nothing.
fn is_identity(axis: &Axis, input: &Dim, how: &Resampling) -> bool {
    let one = match &axis.scale {
        Scale::Constant(v) => *v == 1.0,
        Scale::Ratio(a, b) => a == b,
        Scale::Element(..) => false,
    };
    one && axis.output == *input && how.coordinates != Coordinates::TfCropAndResize
}

/// The number of times each position repeats, if that is what resampling along an axis does.
fn whole_factor(b: &Builder, axis: &Axis, input: &Dim, how: &Resampling) -> Option<i64> {
    let Filter::Nearest(nearest) = how.filter else { return None };
    let fits = match how.coordinates {
        Coordinates::HalfPixel | Coordinates::HalfPixelSymmetric => {
            matches!(nearest, Nearest::RoundPreferFloor | Nearest::RoundPreferCeil)
        }
        Coordinates::Asymmetric => nearest == Nearest::Floor,
        _ => false,
    };
    let factor = match &axis.scale {
        Scale::Constant(v) if v.fract() == 0.0 => *v as i64,
        Scale::Ratio(a, d) => b.model().symbols.floor_div(a, d).as_const()?,
        _ => return None,
    };
    (fits && factor >= 1 && axis.output == input * &Dim::constant(factor)).then_some(factor)
}

fn repeat(b: &mut Builder, x: ValueId, axes: &[&Axis], factors: &[i64]) -> Result<ValueId, BuildError> {
    let mut shape = b.shape(x)?;
    axes.iter().for_each(|a| shape[a.axis] = a.output.clone());
    b.compute(&[x], shape, |p| {
        let mut index = p.indices();
        for (axis, factor) in axes.iter().zip(factors) {
            if *factor != 1 {
                let factor = p.int(*factor);
                index[axis.axis] = p.binary(BinOp::FloorDiv, index[axis.axis], factor);
            }
        }
        let v = p.load(0, &index);
        p.out(v);
    })
}

fn table(b: &mut Builder, axis: &Axis, input: &Dim, how: &Resampling) -> Result<Table, BuildError> {
    let frame = Frame { axis, input, how };
    let operands = frame.operands();
    let extent = input.clone();
    let outside = match how.coordinates {
        Coordinates::TfCropAndResize => Some(b.compute(&operands, vec![axis.output.clone()], |p| {
            let x = frame.coordinate(p);
            let (zero, last) = (p.number(WIDE, 0.0), frame.float(p, &(input - &Dim::constant(1))));
            let (below, above) = (p.lt(x, zero), p.lt(last, x));
            let outside = p.or(below, above);
            p.out(outside);
        })?),
        _ => None,
    };
    if let Filter::Nearest(nearest) = how.filter {
        let start = b.compute(&operands, vec![axis.output.clone()], |p| {
            let x = frame.coordinate(p);
            let position = pick(p, x, nearest);
            let position = p.cast(position, DType::I64);
            let position = clamp(p, position, input);
            p.out(position);
        })?;
        return Ok(Table { axis: axis.axis, extent, start, weights: None, outside });
    }
    let taps = frame.taps(b)?;
    let start = b.compute(&operands, vec![axis.output.clone()], |p| {
        let first = frame.first(p, &taps);
        p.out(first);
    })?;
    let mut weights = b.compute(&operands, vec![axis.output.clone(), taps.clone()], |p| {
        let weight = frame.weight(p, &taps);
        p.out(weight);
    })?;
    if how.antialias || how.exclude_outside {
        let total = b.reduce(weights, &[1], true, Combiner::Sum)?;
        weights = b.map(&[weights, total], |p, v| {
            let (zero, one) = (p.number(WIDE, 0.0), p.number(WIDE, 1.0));
            let empty = p.eq(v[1], zero);
            let total = p.select(empty, one, v[1]);
            p.div(v[0], total)
        })?;
    }
    Ok(Table { axis: axis.axis, extent, start, weights: Some((weights, taps)), outside })
}

/// Resamples by tables: loads for nearest, else weighted sums in f32 or wider.
fn apply(
    b: &mut Builder,
    x: ValueId,
    axes: &[&Axis],
    tables: &[Table],
    (how, nearest): (&Resampling, bool),
) -> Result<ValueId, BuildError> {
    let mut shape = b.shape(x)?;
    axes.iter().for_each(|a| shape[a.axis] = a.output.clone());
    let dtype = b.dtype(x)?;
    let wide = if nearest || matches!(dtype, DType::F32 | DType::F64) { dtype } else { DType::F32 };
    let mut operands = vec![x];
    for table in tables {
        operands.push(table.start);
        operands.extend(table.weights.as_ref().map(|(w, _)| *w));
        operands.extend(table.outside);
    }
    b.compute(&operands, shape, |p| {
        let mut index = p.indices();
        let (mut weight, mut outside) = (None, None);
        let mut operand = 1;
        for table in tables {
            let i = index[table.axis];
            let mut position = p.load(operand, &[i]);
            operand += 1;
            if let Some((_, taps)) = &table.weights {
                let tap = p.reduce(taps);
                position = p.add(position, tap);
                position = clamp(p, position, &table.extent);
                let own = p.load(operand, &[i, tap]);
                let own = p.cast(own, wide);
                weight = Some(match weight {
                    Some(so_far) => p.mul(so_far, own),
                    None => own,
                });
                operand += 1;
            }
            if table.outside.is_some() {
                let own = p.load(operand, &[i]);
                outside = Some(match outside {
                    Some(so_far) => p.or(so_far, own),
                    None => own,
                });
                operand += 1;
            }
            index[table.axis] = position;
        }
        let value = p.load(0, &index);
        let mut value = p.cast(value, wide);
        if let Some(weight) = weight {
            let term = p.mul(value, weight);
            value = p.acc(Combiner::Sum, term);
        }
        if let Some(outside) = outside {
            let extrapolation = p.constant(Scalar::from_f64(wide, how.extrapolation));
            value = p.select(outside, extrapolation, value);
        }
        p.out(value);
    })
}
