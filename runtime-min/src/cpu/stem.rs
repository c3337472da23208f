//! Convolution over plain `[N][IC][H][W]` input with few channels: the first layer of an image network.
//!
//! ```text
//! scratch: one image with its zero border      [IC][H + pads][W + pads]
//! a run of k is one filter row:                 pixel r reads scratch[ic][y*sh + kh*dh][x*sw ..][0 .. KW]
//! weights [OC/16][IC][KH][KW][16 oc]
//! ```
//!
//! The border is copied once, so every tap of every pixel is in range and KW neighbouring values are one run of k. With a
//! horizontal dilation each tap is a run of its own. Output tiles are those of `conv`.
//! Limits: one group; a depth of 1; scratch of [`Stem::scratch_len`] elements.

use super::conv::{ConvShape, Part, deliver_pixels};
use super::isa::Isa;
use super::micro::{Acc, MAX_ROWS, MAX_RUNS, Micro, Run, group_panels};
use super::tile::Store;
use super::{BLOCK, KernelError, need, product};

/// Sizes of a stem: those of a convolution with `in_blocks` and `groups` unused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stem {
    /// Input channels.
    pub in_channels: usize,
    /// All other sizes; `in_blocks` and `groups` are ignored.
    pub conv: ConvShape,
}

impl Stem {
    /// Height and width of the padded image: what the last tap of the last pixel needs, and at least the whole input.
    fn padded(&self) -> Option<[usize; 2]> {
        let c = &self.conv;
        let mut size = [0; 2];
        for (k, size) in size.iter_mut().enumerate() {
            let axis = k + 1;
            let last = c.output[axis].saturating_sub(1).checked_mul(c.strides[axis])?;
            let reach = c.kernel[axis].saturating_sub(1).checked_mul(c.dilations[axis])?;
            *size = last.checked_add(reach)?.checked_add(1)?;
        }
        Some(size)
    }

    /// Elements of scratch.
    pub fn scratch_len(&self) -> Option<usize> {
        let [height, width] = self.padded()?;
        product(&[self.in_channels, height, width])
    }

    fn check(&self, part: &Part, input: &[f32], weights: &[f32], scratch: &[f32]) -> Result<(), KernelError> {
        let c = &self.conv;
        let rule = |holds: bool, rule| if holds { Ok(()) } else { Err(KernelError::Shape { rule }) };
        let sizes = [c.input, c.output, c.kernel, c.strides, c.dilations, c.pads];
        rule(sizes.as_flattened().iter().all(|&v| v < 1 << 24), "spatial sizes are below 2^24")?;
        rule(product(&c.output).is_some_and(|size| part.pixels.end <= size), "pixels lie inside the output")?;
        rule(part.blocks.end <= c.out_blocks, "blocks lie inside the output")?;
        rule(part.images.end <= c.batch, "images lie inside the batch")?;
        rule([c.input, c.output, c.kernel].iter().all(|size| size[0] == 1), "a stem has a depth of 1")?;
        need("input", product(&[c.batch, self.in_channels, c.input[1], c.input[2]]), input.len())?;
        need("weights", product(&[c.out_blocks, self.in_channels, c.kernel[1], c.kernel[2], BLOCK]), weights.len())?;
        need("scratch", self.scratch_len(), scratch.len())
    }
}

/// Computes `part` of every image and hands it to `store`.
pub fn conv_stem(
    isa: Isa,
    stem: &Stem,
    part: &Part,
    input: &[f32],
    weights: &[f32],
    scratch: &mut [f32],
    store: &mut dyn Store,
) -> Result<(), KernelError> {
    stem.check(part, input, weights, scratch)?;
    let Some(padded) = stem.padded() else { return Ok(()) };
    if part.blocks.is_empty() || part.pixels.is_empty() {
        return Ok(());
    }
    let c = &stem.conv;
    let micro = Micro::of(isa);
    let panel = stem.in_channels * c.taps() * BLOCK;
    let step = group_panels(panel);
    let mut runs = [Run::EMPTY; MAX_RUNS];
    let mut acc = Acc::new();
    let list = RunList::new(stem, padded);
    for n in part.images.clone() {
        copy_padded(stem, padded, n, input, scratch);
        for first in part.blocks.clone().step_by(step) {
            let end = part.blocks.end.min(first + step);
            let mut pixel = part.pixels.start;
            while pixel < part.pixels.end {
                let rows = micro.next_rows(part.pixels.end - pixel);
                let corners = list.corners(pixel);
                let mut count = list.fill(scratch, &corners, 0, &mut runs);
                let mut block = first;
                while block < end {
                    let (np, function) = micro.tile(rows, end - block);
                    let b = weights.as_ptr().wrapping_add(block * panel);
                    for chunk in 0..list.count.div_ceil(MAX_RUNS).max(1) {
                        if list.count > MAX_RUNS {
                            count = list.fill(scratch, &corners, chunk * MAX_RUNS, &mut runs);
                        }
                        let runs = runs.get(..count).unwrap_or_default();
                        // SAFETY: the padded image holds every tap of every pixel; `check` proved the slices.
                        unsafe { function(runs, b, panel, &mut acc, chunk == 0) };
                    }
                    deliver_pixels(store, &acc, c.output[2], n, pixel, rows, block * BLOCK, np * BLOCK);
                    block += np;
                }
                pixel += rows;
            }
        }
    }
    Ok(())
}

/// How k is cut into runs.
struct RunList<'a> {
    stem: &'a Stem,
    padded: [usize; 2],
    /// Neighbouring taps in one run.
    width: usize,
    /// Number of runs.
    count: usize,
}

impl<'a> RunList<'a> {
    fn new(stem: &'a Stem, padded: [usize; 2]) -> Self {
        let [_, kh, kw] = stem.conv.kernel;
        let width = if stem.conv.dilations[2] == 1 { kw } else { 1 };
        Self { stem, padded, width, count: stem.in_channels * kh * kw / width.max(1) }
    }

    /// Where tap (0, 0) of each pixel lies in one padded channel.
    fn corners(&self, pixel: usize) -> [usize; MAX_ROWS] {
        let c = &self.stem.conv;
        let (mut y, mut x) = (pixel / c.output[2], pixel % c.output[2]);
        let mut corners = [0; MAX_ROWS];
        for corner in &mut corners {
            *corner = y * c.strides[1] * self.padded[1] + x * c.strides[2];
            x += 1;
            if x == c.output[2] {
                (y, x) = (y + 1, 0);
            }
        }
        corners
    }

    /// Writes at most `MAX_RUNS` runs from `first` on; returns their number.
    fn fill(&self, image: &[f32], corners: &[usize; MAX_ROWS], first: usize, runs: &mut [Run; MAX_RUNS]) -> usize {
        let c = &self.stem.conv;
        let count = self.count.min(first + MAX_RUNS) - first;
        let across = c.kernel[2] / self.width.max(1);
        let (mut right, row) = (first % across.max(1), first / across.max(1));
        let (mut down, mut channel) = (row % c.kernel[1].max(1), row / c.kernel[1].max(1));
        for (index, run) in runs.iter_mut().take(count).enumerate() {
            let row = channel * self.padded[0] + down * c.dilations[1];
            let base = image.as_ptr().wrapping_add(row * self.padded[1] + right * c.dilations[2]);
            for (slot, corner) in run.rows.iter_mut().zip(corners) {
                *slot = base.wrapping_add(*corner);
            }
            run.strides = [BLOCK; MAX_ROWS];
            run.b = (first + index) * self.width * BLOCK;
            run.blocks = self.width / BLOCK;
            run.tail = self.width % BLOCK;
            right += 1;
            if right == across {
                (right, down) = (0, down + 1);
            }
            if down == c.kernel[1] {
                (down, channel) = (0, channel + 1);
            }
        }
        count
    }
}

/// Copies image `n` into `scratch` with its border.
fn copy_padded(stem: &Stem, padded: [usize; 2], n: usize, input: &[f32], scratch: &mut [f32]) {
    let c = &stem.conv;
    let [_, height, width] = c.input;
    let [_, top, left] = c.pads;
    let lines = scratch.chunks_exact_mut(padded[1].max(1)).take(stem.in_channels * padded[0]);
    for (index, line) in lines.enumerate() {
        let (channel, y) = (index / padded[0], (index % padded[0]).wrapping_sub(top));
        line.fill(0.0);
        if y >= height || left >= line.len() {
            continue;
        }
        let source = ((n * stem.in_channels + channel) * height + y) * width;
        let count = width.min(line.len() - left);
        if let (Some(to), Some(from)) = (line.get_mut(left..left + count), input.get(source..source + count)) {
            to.copy_from_slice(from);
        }
    }
}
