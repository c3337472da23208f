//! Where the output positions of one axis lie in the source, and what weights the positions around have.

use graph::builder::{BuildError, Builder, Point};
use graph::dim::Dim;
use graph::dtype::DType;
use graph::expr::{BinOp, ExprId, UnOp};
use graph::graph::ValueId;

use super::{Axis, Coordinates, Filter, Nearest, Resampling, Scale, WIDE};

/// One axis under construction: the operands of its tables are the scale, where it is a tensor, then the regions.
pub(super) struct Frame<'a> {
    pub(super) axis: &'a Axis,
    pub(super) input: &'a Dim,
    pub(super) how: &'a Resampling,
}

impl Frame<'_> {
    pub(super) fn operands(&self) -> Vec<ValueId> {
        let scale = match &self.axis.scale {
            Scale::Element(tensor, _) => Some(*tensor),
            Scale::Constant(_) | Scale::Ratio(..) => None,
        };
        scale.into_iter().chain(self.how.roi.filter(|_| self.crops())).collect()
    }

    fn crops(&self) -> bool {
        self.how.coordinates == Coordinates::TfCropAndResize
    }

    pub(super) fn float(&self, p: &mut Point<'_>, dim: &Dim) -> ExprId {
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
    pub(super) fn coordinate(&self, p: &mut Point<'_>) -> ExprId {
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
    pub(super) fn taps(&self, b: &mut Builder) -> Result<Dim, BuildError> {
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
    pub(super) fn first(&self, p: &mut Point<'_>, taps: &Dim) -> ExprId {
        let x = self.coordinate(p);
        let below = p.unary(UnOp::Floor, x);
        let below = p.cast(below, DType::I64);
        let (two, one, taps) = (p.int(2), p.int(1), p.dim(taps));
        let half = p.binary(BinOp::FloorDiv, taps, two);
        let back = p.sub(half, one);
        p.sub(below, back)
    }

    /// The weight of tap `index(1)` at output position `index(0)`, before normalisation.
    pub(super) fn weight(&self, p: &mut Point<'_>, taps: &Dim) -> ExprId {
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
pub(super) fn pick(p: &mut Point<'_>, x: ExprId, nearest: Nearest) -> ExprId {
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

/// A position brought inside an extent.
pub(super) fn clamp(p: &mut Point<'_>, position: ExprId, extent: &Dim) -> ExprId {
    let (zero, last) = (p.int(0), p.dim(&(extent - &Dim::constant(1))));
    let position = p.min(position, last);
    p.max(position, zero)
}
