//! Maximum and average pooling over channel blocks.
//!
//! ```text
//! max      the largest value the window sees; NaN wins; a window that sees nothing gives -inf
//! average  the sum divided by the number of positions seen, or with `count_include_pad` by the number of positions that lie
//!          inside the image or its declared border (a window pushed past the border by ceil_mode does not count the excess)
//! ```
//!
//! Traffic: the input once for each window row (from the first-level cache), the output once.
//! Limits: no indices of the maxima.

use super::isa::Isa;
use super::lanes::Lanes;
use super::tile::Store;
use super::window::{Fold, Window, walk};
use super::{BLOCK, KernelError};
use core::ops::Range;

/// Pools `planes` by maximum and hands them to `store`.
pub fn max_pool(
    isa: Isa,
    window: &Window,
    planes: Range<usize>,
    input: &[f32],
    store: &mut dyn Store,
) -> Result<(), KernelError> {
    walk(isa, window, planes, [input, &[]], store, Largest)
}

/// Pools `planes` by average and hands them to `store`.
pub fn average_pool(
    isa: Isa,
    window: &Window,
    count_include_pad: bool,
    planes: Range<usize>,
    input: &[f32],
    store: &mut dyn Store,
) -> Result<(), KernelError> {
    walk(isa, window, planes, [input, &[]], store, Mean { count_include_pad })
}

#[derive(Clone, Copy)]
struct Largest;

impl Fold for Largest {
    const START: f32 = f32::NEG_INFINITY;
    #[inline(always)]
    unsafe fn take<L: Lanes>(acc: L, value: L, _: L) -> L {
        // SAFETY: promised by the caller.
        unsafe { acc.max(value) }
    }
    #[inline(always)]
    fn finish(self, _: &Window, _: usize, _: usize, _: &mut [[f32; BLOCK]]) {}
}

#[derive(Clone, Copy)]
struct Mean {
    count_include_pad: bool,
}

impl Mean {
    /// Positions of `axis` that the divisor counts.
    #[inline(always)]
    fn count(self, w: &Window, axis: usize, at: usize) -> usize {
        if self.count_include_pad {
            let end = w.input[axis] + w.pads[axis] + w.pads_end[axis];
            end.saturating_sub(at * w.strides[axis]).div_ceil(w.dilations[axis]).min(w.kernel[axis])
        } else {
            w.taps(axis, at).len()
        }
    }
}

impl Fold for Mean {
    const START: f32 = 0.0;
    #[inline(always)]
    unsafe fn take<L: Lanes>(acc: L, value: L, _: L) -> L {
        // SAFETY: promised by the caller.
        unsafe { acc.add(value) }
    }
    #[inline(always)]
    fn finish(self, w: &Window, y: usize, x: usize, pixels: &mut [[f32; BLOCK]]) {
        let rows = self.count(w, 0, y);
        for (p, pixel) in pixels.iter_mut().enumerate() {
            let count = (rows * self.count(w, 1, x + p)) as f32;
            pixel.iter_mut().for_each(|v| *v /= count);
        }
    }
}
