//! Resampling along axes: which source positions an output position reads, and with what weights.
//!
//! The arithmetic on coordinates is f64 and stands in small tables, one an axis, which fold where sizes and scales are
//! constants; the resampling itself only reads them. Nearest by a whole factor is a plain index map.

use graph::builder::{BuildError, Builder, Point};
use graph::dim::{Dim, Pred};
use graph::dtype::DType;
use graph::expr::{BinOp, Expr, ExprId, Rounding, UnOp};
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

/// One axis under construction: the operands of its tables are the scale, where it is a tensor, then the regions.
struct Frame<'a> {
    axis: &'a Axis,
    input: &'a Dim,
    how: &'a Resampling,
}

impl Frame<'_> {
    fn operands(&self) -> Vec<ValueId> {
        let scale = match &self.axis.scale {
            Scale::Element(tensor, _) => Some(*tensor),
            Scale::Constant(_) | Scale::Ratio(..) => None,
        };
        scale.into_iter().chain(self.how.roi.filter(|_| self.crops())).collect()
    }

    fn crops(&self) -> bool {
        self.how.coordinates == Coordinates::TfCropAndResize
    }

    fn float(&self, p: &mut Point<'_>, dim: &Dim) -> ExprId {
        let dim = p.dim(dim);
        p.cast(dim, WIDE)
    }

    fn scale(&self, p: &mut Point<'_>) -> ExprId {
        match &self.axis.scale {
            Scale::Constant(value) => p.number(WIDE, *value),
            Scale::Ratio(a, b) => {
                let (a, b) = (self.float(p, a), self.float(p, b));
                p.div(a, b)
            }
            Scale::Element(_, position) => {
                let at = p.int(*position as i64);
                let scale = p.load(0, &[at]);
                p.cast(scale, WIDE)
            }
        }
    }

    /// The scale where it shrinks, else one.
    fn shrink(&self, p: &mut Point<'_>) -> ExprId {
        let (scale, one) = (self.scale(p), p.number(WIDE, 1.0));
        p.min(scale, one)
    }

    /// Extent of the output before it was rounded to a size.
    fn width(&self, p: &mut Point<'_>) -> ExprId {
        match &self.axis.scale {
            Scale::Ratio(a, b) if *a == self.axis.output && b == self.input => self.float(p, a),
            _ => {
                let (scale, input) = (self.scale(p), self.float(p, self.input));
                p.mul(scale, input)
            }
        }
    }

    fn roi(&self, p: &mut Point<'_>, position: usize) -> ExprId {
        let operand = usize::from(matches!(self.axis.scale, Scale::Element(..)));
        let at = p.int(position as i64);
        let value = p.load(operand, &[at]);
        p.cast(value, WIDE)
    }

    /// The source coordinate of the output position along dim 0.
    fn coordinate(&self, p: &mut Point<'_>) -> ExprId {
        let i = p.index(0);
        let i = p.cast(i, WIDE);
        let (zero, half, one) = (p.number(WIDE, 0.0), p.number(WIDE, 0.5), p.number(WIDE, 1.0));
        let last = self.float(p, &(self.input - &Dim::constant(1)));
        let centre = |p: &mut Point<'_>| {
            let (middle, scale) = (p.add(i, half), self.scale(p));
            p.div(middle, scale)
        };
        let half_pixel = |p: &mut Point<'_>| {
            let centre = centre(p);
            p.sub(centre, half)
        };
        match self.how.coordinates {
            Coordinates::HalfPixel => half_pixel(p),
            Coordinates::TfHalfPixelForNn => centre(p),
            Coordinates::HalfPixelSymmetric => {
                let (whole, width) = (self.float(p, &self.axis.output), self.width(p));
                let adjustment = p.div(whole, width);
                let (rest, input) = (p.sub(one, adjustment), self.float(p, self.input));
                let middle = p.mul(input, half);
                let offset = p.mul(middle, rest);
                let x = half_pixel(p);
                p.add(offset, x)
            }
            Coordinates::PytorchHalfPixel => {
                let width = self.width(p);
                let (many, x) = (p.lt(one, width), half_pixel(p));
                p.select(many, x, zero)
            }
            Coordinates::AlignCorners => {
                let width = self.width(p);
                let (single, steps) = (p.eq(width, one), p.sub(width, one));
                let scaled = p.mul(i, last);
                let x = p.div(scaled, steps);
                p.select(single, zero, x)
            }
            Coordinates::Asymmetric => {
                let scale = self.scale(p);
                p.div(i, scale)
            }
            Coordinates::TfCropAndResize => {
                let (start, end) = (self.roi(p, self.axis.roi.0), self.roi(p, self.axis.roi.1));
                let span = p.sub(end, start);
                let (range, width) = (p.mul(span, last), self.width(p));
                let (single, steps) = (p.eq(width, one), p.sub(width, one));
                let middle = p.mul(range, half);
                let scaled = p.mul(i, range);
                let x = p.div(scaled, steps);
                let inner = p.select(single, middle, x);
                let offset = p.mul(start, last);
                p.add(inner, offset)
            }
        }
    }

    /// Number of positions that have weight.
    fn taps(&self, b: &mut Builder) -> Result<Dim, BuildError> {
        let reach = if matches!(self.how.filter, Filter::Linear) { 1 } else { 2 };
        if !self.how.antialias {
            return Ok(Dim::constant(2 * reach));
        }
        let two = Dim::constant(2);
        match &self.axis.scale {
            Scale::Constant(v) => Ok(Dim::constant(2 * (reach as f64 / v.min(1.0)).ceil() as i64)),
            Scale::Ratio(a, d) => {
                let symbols = &b.model().symbols;
                let wide = &symbols.max(a, d) * &Dim::constant(reach);
                Ok(&symbols.ceil_div(&wide, a) * &two)
            }
            Scale::Element(tensor, _) => {
                let half = b.compute(&[*tensor], Vec::new(), |p| {
                    let (scale, reach) = (self.shrink(p), p.number(WIDE, reach as f64));
                    let steps = p.div(reach, scale);
                    let steps = p.unary(UnOp::Ceil, steps);
                    let steps = p.cast(steps, DType::I64);
                    p.out(steps);
                })?;
                Ok(&b.bind(half, 1, None)? * &two)
            }
        }
    }

    /// The first position that has weight.
    fn first(&self, p: &mut Point<'_>, taps: &Dim) -> ExprId {
        let x = self.coordinate(p);
        let below = p.unary(UnOp::Floor, x);
        let below = p.cast(below, DType::I64);
        let (two, one, taps) = (p.int(2), p.int(1), p.dim(taps));
        let half = p.binary(BinOp::FloorDiv, taps, two);
        let back = p.sub(half, one);
        p.sub(below, back)
    }

    /// The weight of tap `index(1)` at output position `index(0)`, before normalisation.
    fn weight(&self, p: &mut Point<'_>, taps: &Dim) -> ExprId {
        let first = self.first(p, taps);
        let tap = p.index(1);
        let position = p.add(first, tap);
        let (x, at) = (self.coordinate(p), p.cast(position, WIDE));
        let distance = p.sub(at, x);
        let mut distance = p.unary(UnOp::Abs, distance);
        if self.how.antialias {
            let shrink = self.shrink(p);
            distance = p.mul(distance, shrink);
        }
        let weight = match self.how.filter {
            Filter::Nearest(_) | Filter::Linear => {
                let (one, zero) = (p.number(WIDE, 1.0), p.number(WIDE, 0.0));
                let falling = p.sub(one, distance);
                p.max(falling, zero)
            }
            Filter::Cubic(a) => cubic(p, distance, a),
        };
        if !self.how.exclude_outside {
            return weight;
        }
        let (none, zero, extent) = (p.number(WIDE, 0.0), p.int(0), p.dim(self.input));
        let (low, high) = (p.le(zero, position), p.lt(position, extent));
        let inside = p.and(low, high);
        p.select(inside, weight, none)
    }
}

/// Keys' cubic kernel of a distance that is not negative.
pub fn cubic(p: &mut Point<'_>, distance: ExprId, a: f64) -> ExprId {
    let dtype = p.dtype(distance);
    let polynomial = |p: &mut Point<'_>, coefficients: [f64; 4]| {
        let mut value = p.number(dtype, coefficients[0]);
        for c in &coefficients[1..] {
            let scaled = p.mul(value, distance);
            let c = p.number(dtype, *c);
            value = p.add(scaled, c);
        }
        value
    };
    let near = polynomial(p, [a + 2.0, -(a + 3.0), 0.0, 1.0]);
    let far = polynomial(p, [a, -5.0 * a, 8.0 * a, -4.0 * a]);
    let (zero, one, two) = (p.number(dtype, 0.0), p.number(dtype, 1.0), p.number(dtype, 2.0));
    let (is_near, is_far) = (p.le(distance, one), p.lt(distance, two));
    let outer = p.select(is_far, far, zero);
    p.select(is_near, near, outer)
}

/// The whole position that a coordinate picks, as a float.
fn pick(p: &mut Point<'_>, x: ExprId, nearest: Nearest) -> ExprId {
    let half = p.number(WIDE, 0.5);
    match nearest {
        Nearest::Floor => p.unary(UnOp::Floor, x),
        Nearest::Ceil => p.unary(UnOp::Ceil, x),
        Nearest::RoundPreferFloor => {
            let moved = p.sub(x, half);
            p.unary(UnOp::Ceil, moved)
        }
        Nearest::RoundPreferCeil => {
            let moved = p.add(x, half);
            p.unary(UnOp::Floor, moved)
        }
    }
}

fn clamp(p: &mut Point<'_>, position: ExprId, extent: &Dim) -> ExprId {
    let (zero, last) = (p.int(0), p.dim(&(extent - &Dim::constant(1))));
    let position = p.min(position, last);
    p.max(position, zero)
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
