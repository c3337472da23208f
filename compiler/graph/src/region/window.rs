//! Sliding windows over the spatial dims of `[N, C, spatial…]`: what convolutions and pools share. Not a kind.

use crate::attrs::{Attr, Attrs};
use crate::builder::{BuildError, Builder, Point};
use crate::dim::{Dim, Pred};
use crate::expr::{BinOp, ExprId};
use crate::region::attribute;
use crate::symbol::Symbols;

/// Where windows lie, one entry per spatial dim. Window `i` covers the positions `i*stride - pads_begin + k*dilation` of
/// the input; `output` windows lie along the dim. What is outside the input reads as the neutral element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    pub strides: Vec<i64>,
    pub dilations: Vec<i64>,
    pub pads_begin: Vec<Dim>,
    pub pads_end: Vec<Dim>,
    /// Extents of the output: those of [`floor_extent`] or [`ceil_extent`], or an equal form.
    pub output: Vec<Dim>,
}

impl Window {
    /// Windows that fit whole into the padded input.
    pub fn fitting(
        symbols: &Symbols,
        (input, kernel): (&[Dim], &[Dim]),
        (strides, dilations): (Vec<i64>, Vec<i64>),
        (pads_begin, pads_end): (Vec<Dim>, Vec<Dim>),
    ) -> Window {
        let mut window = Window { strides, dilations, pads_begin, pads_end, output: Vec::new() };
        window.output = (0..input.len()).map(|d| window.floor_extent(symbols, d, &input[d], &kernel[d])).collect();
        window
    }

    /// Number of windows along a dim that fit whole into the padded input.
    pub fn floor_extent(&self, symbols: &Symbols, d: usize, input: &Dim, kernel: &Dim) -> Dim {
        let free = &self.padded(d, input) - &self.span(d, kernel);
        &symbols.floor_div(&free, &Dim::constant(self.strides[d])) + &Dim::constant(1)
    }

    /// Number of windows along a dim that start inside the input or the padding before it, the last one possibly
    /// reaching beyond the padding.
    pub fn ceil_extent(&self, symbols: &Symbols, d: usize, input: &Dim, kernel: &Dim) -> Dim {
        let stride = Dim::constant(self.strides[d]);
        let free = &self.padded(d, input) - &self.span(d, kernel);
        let all = &symbols.ceil_div(&free, &stride) + &Dim::constant(1);
        symbols.min(&all, &symbols.ceil_div(&(input + &self.pads_begin[d]), &stride))
    }

    /// Extent with padding.
    pub fn padded(&self, d: usize, input: &Dim) -> Dim {
        &(input + &self.pads_begin[d]) + &self.pads_end[d]
    }

    /// Positions from the first to the last tap, both included.
    pub fn span(&self, d: usize, kernel: &Dim) -> Dim {
        &(&Dim::constant(self.dilations[d]) * &(kernel - &Dim::constant(1))) + &Dim::constant(1)
    }

    /// Whether every window lies inside the input, so that loads need no `or`.
    pub fn inside(&self, symbols: &Symbols, input: &[Dim], kernel: &[Dim]) -> bool {
        (0..input.len()).all(|d| {
            self.pads_begin[d].is(0)
                && self.pads_end[d].is(0)
                && self.output[d] == self.floor_extent(symbols, d, &input[d], &kernel[d])
        })
    }

    /// Position in the input of tap `k` of window `i` along a dim.
    pub fn position(&self, p: &mut Point<'_>, d: usize, i: ExprId, k: ExprId) -> ExprId {
        let start = scale(p, i, self.strides[d]);
        let tap = scale(p, k, self.dilations[d]);
        let sum = p.add(start, tap);
        if self.pads_begin[d].is(0) {
            return sum;
        }
        let pad = p.dim(&self.pads_begin[d]);
        p.sub(sum, pad)
    }

    /// Checks that there is one entry per spatial dim, that strides and dilations are positive and no output negative.
    pub fn check(&self, b: &mut Builder, rank: usize) -> Result<(), BuildError> {
        let lengths = [self.strides.len(), self.dilations.len(), self.pads_begin.len(), self.pads_end.len()];
        if lengths.iter().any(|l| *l != rank) || self.output.len() != rank {
            let what = "window attributes (strides, dilations, pads, output)".to_string();
            let found = lengths.into_iter().find(|l| *l != rank).unwrap_or(self.output.len());
            return Err(BuildError::Rank { what, expected: rank.to_string(), found });
        }
        if let Some(bad) = self.strides.iter().chain(&self.dilations).find(|v| **v < 1) {
            return Err(BuildError::Attr {
                name: "strides or dilations".to_string(),
                expected: "positive numbers".to_string(),
                found: bad.to_string(),
            });
        }
        for extent in &self.output {
            b.assume(Pred::Le(Dim::constant(0), extent.clone()), "the window is no larger than the padded input")?;
        }
        Ok(())
    }

    /// Adds the window's attributes.
    pub fn to_attrs(&self, attrs: Attrs) -> Attrs {
        attrs
            .with("strides", Attr::Ints(self.strides.clone()))
            .with("dilations", Attr::Ints(self.dilations.clone()))
            .with("pads_begin", Attr::Dims(self.pads_begin.clone()))
            .with("pads_end", Attr::Dims(self.pads_end.clone()))
            .with("output", Attr::Dims(self.output.clone()))
    }

    /// Reads the window's attributes.
    pub fn from_attrs(attrs: &Attrs) -> Result<Window, BuildError> {
        let ints = |name: &str| attribute(name, attrs.ints(name), "integers").map(<[i64]>::to_vec);
        let dims = |name: &str| attribute(name, attrs.dims(name), "sizes").map(<[Dim]>::to_vec);
        Ok(Window {
            strides: ints("strides")?,
            dilations: ints("dilations")?,
            pads_begin: dims("pads_begin")?,
            pads_end: dims("pads_end")?,
            output: dims("output")?,
        })
    }
}

/// Channel of the data that tap `c` of output channel `o` reads, `per_tap` input and `per_group` output channels a group.
pub fn grouped_channel(
    p: &mut Point<'_>,
    groups: i64,
    (o, c): (ExprId, ExprId),
    (per_group, per_tap): (&Dim, &Dim),
) -> ExprId {
    if groups == 1 {
        return c;
    }
    let group = if per_group.is(1) {
        o
    } else {
        let size = p.dim(per_group);
        p.binary(BinOp::FloorDiv, o, size)
    };
    if per_tap.is(1) {
        return group;
    }
    let size = p.dim(per_tap);
    let start = p.mul(group, size);
    p.add(start, c)
}

/// `index * factor`.
pub fn scale(p: &mut Point<'_>, index: ExprId, factor: i64) -> ExprId {
    if factor == 1 {
        return index;
    }
    let factor = p.int(factor);
    p.mul(index, factor)
}
