//! A block of consecutive points: a run of the row-major order of some neighbouring variables, the others fixed.

use crate::dim::{ceil_div, floor_div};
use crate::eval::affine::Affine;
use crate::eval::column::Vals;

/// Points a block has at most.
pub(super) const BLOCK: usize = 1024;

/// Consecutive points, cut into segments along which only the last variable moves.
#[derive(Clone, Debug)]
pub(super) struct Block {
    pub count: usize,
    vars: usize,
    /// The variables that move.
    lo: usize,
    hi: usize,
    lens: Vec<usize>,
    /// All variables at the first point of each segment.
    starts: Vec<i64>,
}

impl Block {
    /// `count` points over the variables `lo..hi`, the first at row-major position `first` of these.
    pub(super) fn new(extents: &[i64], fixed: &[i64], lo: usize, hi: usize, first: usize, count: usize) -> Block {
        let mut at = fixed.to_vec();
        unravel(first as i64, &extents[lo..hi], &mut at[lo..hi]);
        let mut block = Block { count, vars: at.len(), lo, hi, lens: Vec::new(), starts: Vec::new() };
        if lo == hi {
            block.lens.push(count);
            block.starts.extend_from_slice(&at);
            return block;
        }
        let mut left = count;
        while left > 0 {
            let room = usize::try_from(extents[hi - 1] - at[hi - 1]).unwrap_or(0).max(1);
            let len = left.min(room);
            block.lens.push(len);
            block.starts.extend_from_slice(&at);
            left -= len;
            at[hi - 1] = 0;
            for d in (lo..hi - 1).rev() {
                at[d] += 1;
                if at[d] < extents[d] {
                    break;
                }
                at[d] = 0;
            }
        }
        block
    }

    /// Gives variables from `lo` on other values; they must not be among those that move.
    pub(super) fn fix(&mut self, lo: usize, values: &[i64]) {
        for start in self.starts.chunks_exact_mut(self.vars.max(1)) {
            start[lo..lo + values.len()].copy_from_slice(values);
        }
    }

    /// Whether a form has more than one value in the block.
    pub(super) fn varies(&self, a: &Affine) -> bool {
        if self.lo == self.hi {
            return false;
        }
        let moving = if self.lens.len() > 1 { self.lo..self.hi } else { self.hi - 1..self.hi };
        self.count > 1 && a.coefs[moving].iter().any(|c| *c != 0)
    }

    /// Length, value at the first point and step of a form, for every segment.
    pub(super) fn segments<'b>(&'b self, a: &'b Affine) -> impl Iterator<Item = (usize, i64, i64)> + 'b {
        let step = if self.lo == self.hi { 0 } else { a.coefs[self.hi - 1] };
        (0..self.lens.len()).map(move |s| (self.lens[s], a.at(&self.starts[s * self.vars..(s + 1) * self.vars]), step))
    }

    /// The values of a form.
    pub(super) fn column(&self, a: &Affine) -> Vals<i64> {
        if !self.varies(a) {
            return Vals::One(self.first(a));
        }
        let mut out = Vec::with_capacity(self.count);
        for (len, start, step) in self.segments(a) {
            out.extend((0..len as i64).map(|t| start.wrapping_add(step.wrapping_mul(t))));
        }
        Vals::Many(out)
    }

    /// The value of a form at the first point.
    pub(super) fn first(&self, a: &Affine) -> i64 {
        a.at(&self.starts[..self.vars])
    }

    /// For every segment, the points `from..to` at which all forms lie in `0..extent`.
    pub(super) fn inside(&self, forms: &[(Affine, i64)]) -> Vec<(usize, usize)> {
        let mut out: Vec<(usize, usize)> = self.lens.iter().map(|len| (0, *len)).collect();
        for (form, extent) in forms {
            for (slot, (len, start, step)) in out.iter_mut().zip(self.segments(form)) {
                let (from, to) = inside(start, step, *extent, len);
                *slot = (slot.0.max(from), slot.1.min(to));
            }
        }
        out.iter_mut().for_each(|(from, to)| *to = (*to).max(*from));
        out
    }

    /// Lengths of the segments.
    pub(super) fn lens(&self) -> &[usize] {
        &self.lens
    }
}

/// Writes the index of a row-major position.
pub(super) fn unravel(mut position: i64, extents: &[i64], out: &mut [i64]) {
    for (slot, extent) in out.iter_mut().zip(extents).rev() {
        let extent = (*extent).max(1);
        *slot = position % extent;
        position /= extent;
    }
}

/// The `t` of `0..len` with `0 <= start + step * t < extent`, as a range.
fn inside(start: i64, step: i64, extent: i64, len: usize) -> (usize, usize) {
    let (from, to) = match step {
        0 if (0..extent).contains(&start) => (0, len as i64),
        0 => (0, 0),
        1.. => (ceil_div(start.saturating_neg(), step), ceil_div(extent.saturating_sub(start), step)),
        _ => {
            let down = step.saturating_neg();
            (floor_div(start.saturating_sub(extent), down).saturating_add(1), floor_div(start, down).saturating_add(1))
        }
    };
    let clamp = |v: i64| usize::try_from(v.max(0)).unwrap_or(len).min(len);
    (clamp(from), clamp(to))
}
