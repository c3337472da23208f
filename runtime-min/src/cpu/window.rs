//! Sliding windows that keep channels apart: the walk that depthwise convolution and pooling share.
//!
//! ```text
//!   output row y       ┌─┬────────┬────────┬──  ──┬─┬─┐      inner tile: WIDE neighbouring pixels × 16 channels in registers
//!                      │b│ inner  │ inner  │  …   │b│b│      b: one pixel, its taps clipped to the image
//!                      └─┴────────┴────────┴──  ──┴─┴─┘      above and below: filter rows are clipped once for the row
//! ```
//!
//! Input is `[N][C/16][H][W][16]`; results go to the store in stretches of at most 32 pixels of one row.

use super::super::crew::{Cut, Role};
#[cfg(target_arch = "x86_64")]
use super::isa::Level;
use super::isa::{Isa, Work, vectorize};
use super::lanes::Lanes;
#[cfg(target_arch = "x86_64")]
use super::lanes::Pair;
use super::tile::{Store, Tile};
use super::{BLOCK, KernelError, need, product};
#[cfg(target_arch = "x86_64")]
use core::arch::x86_64::__m512;
use core::marker::PhantomData;
use core::ops::Range;

/// Sizes of a window walk over channel blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Images.
    pub batch: usize,
    /// Channels / 16.
    pub blocks: usize,
    /// Input height and width.
    pub input: [usize; 2],
    /// Output height and width.
    pub output: [usize; 2],
    /// Window height and width.
    pub kernel: [usize; 2],
    /// Steps down and right.
    pub strides: [usize; 2],
    /// Distances between taps.
    pub dilations: [usize; 2],
    /// Border above and to the left.
    pub pads: [usize; 2],
    /// Border below and to the right; only an average that counts its border reads it.
    pub pads_end: [usize; 2],
}

impl Window {
    /// All planes; a plane is one channel block of one image, `n * blocks + block`. Threads divide the work by it.
    pub fn planes(&self) -> Range<usize> {
        0..self.batch.saturating_mul(self.blocks)
    }

    /// The planes of a part of a cut.
    pub fn part(&self, cut: &Cut, part: usize) -> Range<usize> {
        let (images, blocks) = (cut.range(Role::N, part, self.batch), cut.range(Role::C, part, self.blocks));
        // Blocks are cut only where there is one image.
        let last = images.end.saturating_sub(1).saturating_mul(self.blocks).saturating_add(blocks.end);
        images.start * self.blocks + blocks.start..last.min(self.planes().end)
    }

    fn check(&self, planes: &Range<usize>, input: &[f32]) -> Result<(), KernelError> {
        let rule = |holds: bool, rule| if holds { Ok(()) } else { Err(KernelError::Shape { rule }) };
        let sizes = [self.input, self.output, self.kernel, self.strides, self.dilations, self.pads, self.pads_end];
        rule(sizes.as_flattened().iter().all(|&v| v < 1 << 24), "spatial sizes are below 2^24")?;
        rule(self.strides.iter().chain(&self.dilations).all(|&v| v > 0), "strides and dilations are positive")?;
        rule(planes.end <= self.planes().end, "planes lie inside the output")?;
        need("input", product(&[self.batch, self.blocks, self.input[0], self.input[1], BLOCK]), input.len())
    }

    /// Taps of `axis` that output position `at` sees: half-open.
    #[inline(always)]
    pub(super) fn taps(&self, axis: usize, at: usize) -> Range<usize> {
        let (start, step, count) = (at * self.strides[axis], self.dilations[axis], self.kernel[axis]);
        let (before, end) = (self.pads[axis], self.input[axis] + self.pads[axis]);
        // Most positions see everything; the divisions are for the border.
        let low = if start >= before { 0 } else { (before - start).div_ceil(step) };
        let high = if start + count * step <= end { count } else { end.saturating_sub(start).div_ceil(step) };
        low..high.min(count)
    }
}

/// How one tap enters an accumulator.
pub(super) trait Fold: Copy {
    const START: f32;
    /// Safety: the level of `L` is present.
    unsafe fn take<L: Lanes>(acc: L, value: L, weight: L) -> L;
    /// Turns the sums of `pixels` pixels starting at `(y, x)` into results.
    fn finish(self, window: &Window, y: usize, x: usize, pixels: &mut [[f32; BLOCK]]);
}

/// Pixels delivered at once, at most.
const STRETCH: usize = 32;

/// A line of 16 channels.
type Line = [f32; BLOCK];

/// Walks over `planes`, at the level of `isa`; `weights` is empty or `[blocks][KH][KW][16]`.
pub(super) fn walk<F: Fold>(
    isa: Isa,
    window: &Window,
    planes: Range<usize>,
    [input, weights]: [&[f32]; 2],
    store: &mut dyn Store,
    fold: F,
) -> Result<(), KernelError> {
    window.check(&planes, input)?;
    let filter = product(&[window.blocks, window.kernel[0], window.kernel[1], BLOCK]);
    need("weights", if weights.is_empty() { Some(0) } else { filter }, weights.len())?;
    // Accumulators fill half of the registers.
    match isa.level() {
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => {
            vectorize(isa, Walk::<F, __m512, 8> { window, planes, input, weights, store, fold, lanes: PhantomData })
        }
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => {
            vectorize(isa, Walk::<F, Pair, 6> { window, planes, input, weights, store, fold, lanes: PhantomData })
        }
        _ => vectorize(isa, Walk::<F, Line, 2> { window, planes, input, weights, store, fold, lanes: PhantomData }),
    }
    Ok(())
}

/// Built only after the slices are checked, for the level of `L`.
struct Walk<'a, F, L, const WIDE: usize> {
    window: &'a Window,
    planes: Range<usize>,
    input: &'a [f32],
    weights: &'a [f32],
    store: &'a mut dyn Store,
    fold: F,
    lanes: PhantomData<L>,
}

impl<F: Fold, L: Lanes, const WIDE: usize> Work for Walk<'_, F, L, WIDE> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        let w = self.window;
        let size = w.input[0] * w.input[1];
        let filter = w.kernel[0] * w.kernel[1];
        let mut buffer = [[0f32; BLOCK]; STRETCH];
        for plane in self.planes {
            let (n, block) = (plane / w.blocks, plane % w.blocks);
            let input = self.input.as_chunks::<BLOCK>().0.get(plane * size..(plane + 1) * size).unwrap_or_default();
            let weights = self.weights.as_chunks::<BLOCK>().0.get(block * filter..(block + 1) * filter);
            for y in 0..w.output[0] {
                let row = Row { w, input, weights: weights.unwrap_or_default(), y, taps: w.taps(0, y) };
                let mut x = 0;
                while x < w.output[1] {
                    let count = (w.output[1] - x).min(STRETCH);
                    let mut at = 0;
                    while at < count {
                        let to = &mut buffer[at..count];
                        at += match to.first_chunk_mut::<WIDE>() {
                            // SAFETY: a `Walk` is built for the level of `L`.
                            Some(to) if row.inner(x + at, WIDE) => unsafe { row.fold::<F, L, WIDE>(x + at, to) },
                            // SAFETY: as above.
                            _ => unsafe { row.pixel::<F, L>(x + at, &mut to[0]) },
                        };
                    }
                    self.fold.finish(w, y, x, &mut buffer[..count]);
                    let tile = Tile { n, y, x, c: block * BLOCK, xs: count, cs: BLOCK, stride: BLOCK };
                    self.store.store(&tile, buffer.as_flattened());
                    x += count;
                }
            }
        }
    }
}

/// One output row of one plane.
struct Row<'a> {
    w: &'a Window,
    /// The plane.
    input: &'a [Line],
    /// The filter of the channel block, or nothing.
    weights: &'a [Line],
    y: usize,
    /// Filter rows that lie inside the image.
    taps: Range<usize>,
}

impl Row<'_> {
    /// Whether `count` pixels from `x` on exist and see only the image.
    #[inline(always)]
    fn inner(&self, x: usize, count: usize) -> bool {
        let w = self.w;
        let reach = w.kernel[1].saturating_sub(1) * w.dilations[1];
        let last = (x + count - 1) * w.strides[1] + reach;
        x + count <= w.output[1] && x * w.strides[1] >= w.pads[1] && last < w.input[1] + w.pads[1]
    }

    /// The input line and the filter row of filter row `kh`; without a filter a line of zeros, to be read again and again.
    #[inline(always)]
    fn lines(&self, kh: usize) -> Option<(*const Line, *const Line)> {
        let (w, taps) = (self.w, self.w.kernel[1]);
        let above = (self.y * w.strides[0] + kh * w.dilations[0] - w.pads[0]) * w.input[1];
        let line = self.input.get(above..above + w.input[1])?;
        let weights = if self.weights.is_empty() { &ZERO[..] } else { self.weights.get(kh * taps..(kh + 1) * taps)? };
        Some((line.as_ptr(), weights.as_ptr()))
    }

    /// Folds all taps of the pixels `x .. x + X`; returns `X`.
    ///
    /// Safety: the level of `L` is present, and the pixels are [`inner`](Self::inner).
    #[inline(always)]
    unsafe fn fold<F: Fold, L: Lanes, const X: usize>(&self, x: usize, to: &mut [Line; X]) -> usize {
        let w = self.w;
        let ([_, step], [_, dilation]) = (w.strides, w.dilations);
        let weight_step = usize::from(!self.weights.is_empty());
        // SAFETY: the level is present.
        let mut acc = unsafe { [L::splat(F::START); X] };
        for kh in self.taps.clone() {
            let Some((line, mut weight)) = self.lines(kh) else { break };
            let mut pixel = line.wrapping_add(x * step - w.pads[1]);
            for _ in 0..w.kernel[1] {
                // SAFETY: there is a weight for each tap, and `inner` holds for all X pixels.
                unsafe {
                    let value = L::load(weight.cast());
                    for (p, acc) in acc.iter_mut().enumerate() {
                        *acc = F::take(*acc, L::load(pixel.wrapping_add(p * step).cast()), value);
                    }
                }
                weight = weight.wrapping_add(weight_step);
                pixel = pixel.wrapping_add(dilation);
            }
        }
        for (to, acc) in to.iter_mut().zip(&acc) {
            // SAFETY: a line has 16 elements.
            unsafe { acc.store(to.as_mut_ptr()) };
        }
        X
    }

    /// Folds the taps of pixel `x` that lie inside the image; returns 1.
    ///
    /// Safety: the level of `L` is present.
    #[inline(always)]
    unsafe fn pixel<F: Fold, L: Lanes>(&self, x: usize, to: &mut Line) -> usize {
        let w = self.w;
        let weight_step = usize::from(!self.weights.is_empty());
        let right = w.taps(1, x);
        // SAFETY: the level is present.
        let mut acc = unsafe { L::splat(F::START) };
        for kh in self.taps.clone() {
            let Some((line, weight)) = self.lines(kh) else { break };
            let mut weight = weight.wrapping_add(right.start * weight_step);
            let mut pixel =
                line.wrapping_add((x * w.strides[1] + right.start * w.dilations[1]).wrapping_sub(w.pads[1]));
            for _ in right.clone() {
                // SAFETY: `taps` gives only taps inside the image.
                acc = unsafe { F::take(acc, L::load(pixel.cast()), L::load(weight.cast())) };
                weight = weight.wrapping_add(weight_step);
                pixel = pixel.wrapping_add(w.dilations[1]);
            }
        }
        // SAFETY: a line has 16 elements.
        unsafe { acc.store(to.as_mut_ptr()) };
        1
    }
}

static ZERO: [Line; 1] = [[0.0; BLOCK]];
