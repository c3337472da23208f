//! Direct convolution over channel-blocked input, `[N][C/16][D][H][W][16]`, any stride, dilation, padding and group.
//!
//! `out[n, o, y, x] = Σ_{kh, kw, i} in[n, i, y*sh + kh*dh - top, x*sw + kw*dw - left] * w[o, i, kh, kw]`, and so for the depth
//!
//! ```text
//!   12 pixels in reading order (a tile may cross rows)          one run of k for each tap (kd, kh, kw):
//!   ┌───────────────┐   for each tap: 12 pointers,              ICg/16 blocks of 16 input channels,
//!   │     ▓▓▓▓▓▓▓▓▓▓│   outside the image: to zeros             weights [OC/16][KH][KW][ICg/16][16 ic][16 oc]
//!   │▓▓             │                    ×  2 blocks of 16 output channels
//!   └───────────────┘
//! ```
//!
//! 2-D is a depth of 1, 1-D a height of 1 besides. A 1x1 convolution is the same with one tap. Taps that no pixel of the tile can see are left out. Padded channels of the input
//! must be zero; those of the output come out zero because padded weights are. The weights of a group of output blocks stay in
//! the second-level cache while all pixels pass over them.
//! Limits: channels of one group are a multiple of 16 on both sides (one group: zero padded to it). A weight that is infinite or
//! NaN does not poison the border pixels that the tap leaves out.
//! Idea: Dukhan, "The Indirect Convolution Algorithm", 2019; channel blocks as oneDNN and Georganas et al., 2018.

use super::super::crew::{Cut, Role};
use super::isa::Isa;
use super::micro::{Acc, MAX_ROWS, MAX_RUNS, Micro, Run, deliver, group_panels};
use super::tile::{Store, Tile};
use super::{BLOCK, KernelError, need, product};
use core::ops::Range;

/// Sizes of a convolution over channel blocks. `end` pads follow from the output size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvShape {
    /// Images.
    pub batch: usize,
    /// Input channels / 16, all groups.
    pub in_blocks: usize,
    /// Output channels / 16, all groups.
    pub out_blocks: usize,
    /// Groups.
    pub groups: usize,
    /// Input depth, height and width.
    pub input: [usize; 3],
    /// Output depth, height and width.
    pub output: [usize; 3],
    /// Filter depth, height and width.
    pub kernel: [usize; 3],
    /// Steps in depth, down and right.
    pub strides: [usize; 3],
    /// Distances between taps.
    pub dilations: [usize; 3],
    /// Zeros in front, above and to the left.
    pub pads: [usize; 3],
}

/// The part of the output that one call computes: threads divide the work by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Images.
    pub images: Range<usize>,
    /// Pixels of one image in reading order.
    pub pixels: Range<usize>,
    /// Output channel blocks.
    pub blocks: Range<usize>,
}

impl ConvShape {
    /// Everything.
    pub fn whole(&self) -> Part {
        let pixels = 0..self.rows().saturating_mul(self.output[2]);
        Part { images: 0..self.batch, pixels, blocks: 0..self.out_blocks }
    }

    /// A part of a cut.
    pub fn part(&self, cut: &Cut, part: usize) -> Part {
        let (height, width) = (self.rows(), self.output[2]);
        let (rows, pixels) = (cut.range(Role::Y, part, height), cut.range(Role::X, part, height.saturating_mul(width)));
        // Columns are cut only where there is one row.
        let (start, end) = (rows.start.saturating_mul(width), rows.end.saturating_mul(width));
        Part {
            images: cut.range(Role::N, part, self.batch),
            pixels: start.max(pixels.start)..end.min(pixels.end),
            blocks: cut.range(Role::C, part, self.out_blocks),
        }
    }

    /// Rows of all depths of an output image.
    pub(super) fn rows(&self) -> usize {
        self.output[0].saturating_mul(self.output[1])
    }

    /// Pixels of an input image.
    pub(super) fn pixels(&self) -> usize {
        self.input[0] * self.input[1] * self.input[2]
    }

    pub(super) fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1] * self.kernel[2]
    }

    /// How far a tap lies from the first.
    pub(super) fn reach(&self, tap: usize) -> [usize; 3] {
        let [_, height, width] = self.kernel;
        let at = [tap / width / height, tap / width % height, tap % width];
        core::array::from_fn(|d| at[d] * self.dilations[d])
    }

    pub(super) fn check(&self, part: &Part, input: &[f32], weights: &[f32]) -> Result<(), KernelError> {
        let rule = |holds: bool, rule| if holds { Ok(()) } else { Err(KernelError::Shape { rule }) };
        rule(self.groups >= 1, "groups >= 1")?;
        rule(self.in_blocks.is_multiple_of(self.groups), "groups divide the input blocks")?;
        rule(self.out_blocks.is_multiple_of(self.groups), "groups divide the output blocks")?;
        let sizes = [self.input, self.output, self.kernel, self.strides, self.dilations, self.pads];
        rule(sizes.as_flattened().iter().all(|&v| v < 1 << 24), "spatial sizes are below 2^24")?;
        rule(product(&self.output).is_some_and(|size| part.pixels.end <= size), "pixels lie inside the output")?;
        rule(part.blocks.end <= self.out_blocks, "blocks lie inside the output")?;
        rule(part.images.end <= self.batch, "images lie inside the batch")?;
        let [depth, height, width] = self.input;
        need("input", product(&[self.batch, self.in_blocks, depth, height, width, BLOCK]), input.len())?;
        let ([depth, height, width], blocks) = (self.kernel, self.in_blocks / self.groups);
        need("weights", product(&[self.out_blocks, depth, height, width, blocks, BLOCK, BLOCK]), weights.len())
    }
}

pub(super) static ZEROS: [f32; BLOCK] = [0.0; BLOCK];

/// Computes `part` of every image and hands it to `store`; tiles stay inside one output row, `c` is a multiple of 16.
pub fn conv(
    isa: Isa,
    conv: &ConvShape,
    part: &Part,
    input: &[f32],
    weights: &[f32],
    store: &mut dyn Store,
) -> Result<(), KernelError> {
    conv.check(part, input, weights)?;
    if conv.batch == 0 || part.blocks.is_empty() || part.pixels.is_empty() {
        return Ok(());
    }
    let micro = Micro::of(isa);
    let depth = conv.in_blocks / conv.groups;
    let panel = conv.taps() * depth * BLOCK * BLOCK;
    let group_in = depth * conv.pixels() * BLOCK;
    let group_out = (conv.out_blocks / conv.groups).max(1);
    let image = group_in * conv.groups;
    let step = group_panels(panel);
    let mut pass = Pass { conv, micro, weights, panel, depth, runs: [Run::EMPTY; MAX_RUNS], acc: Acc::new() };
    let mut first = part.blocks.start;
    while first < part.blocks.end {
        let group = first / group_out;
        let end = part.blocks.end.min((group + 1) * group_out).min(first + step);
        for n in part.images.clone() {
            let plane = input.get(n * image + group * group_in..).unwrap_or_default();
            let mut pixel = part.pixels.start;
            while pixel < part.pixels.end {
                let rows = micro.next_rows(part.pixels.end - pixel);
                pass.tile(n, plane, pixel, rows, first..end, store);
                pixel += rows;
            }
        }
        first = end;
    }
    Ok(())
}

/// What one call keeps while it walks over tiles.
struct Pass<'a> {
    conv: &'a ConvShape,
    micro: Micro,
    weights: &'a [f32],
    panel: usize,
    depth: usize,
    runs: [Run; MAX_RUNS],
    acc: Acc,
}

impl Pass<'_> {
    /// `rows` pixels from `pixel` on, for all `blocks`; `plane` is the first input channel block of the group.
    fn tile(
        &mut self,
        n: usize,
        plane: &[f32],
        pixel: usize,
        rows: usize,
        blocks: Range<usize>,
        store: &mut dyn Store,
    ) {
        let corners = self.corners(pixel, rows);
        let taps = self.conv.taps();
        let mut count = self.fill(plane, &corners, rows, 0);
        let mut block = blocks.start;
        while block < blocks.end {
            let (np, function) = self.micro.tile(rows, blocks.end - block);
            let b = self.weights.as_ptr().wrapping_add(block * self.panel);
            for chunk in 0..taps.div_ceil(MAX_RUNS).max(1) {
                if taps > MAX_RUNS {
                    count = self.fill(plane, &corners, rows, chunk * MAX_RUNS);
                }
                let runs = self.runs.get(..count).unwrap_or_default();
                // SAFETY: `check` proved the slices; `fill` points only into `plane` or to zeros; `Isa` proves the level.
                unsafe { function(runs, b, self.panel, &mut self.acc, chunk == 0) };
            }
            self.deliver(n, pixel, rows, block, np, store);
            block += np;
        }
    }

    /// Input position of the first tap for each pixel; wraps below zero.
    fn corners(&self, pixel: usize, rows: usize) -> [[usize; 3]; MAX_ROWS] {
        let mut corners = [[0; 3]; MAX_ROWS];
        let [_, height, width] = self.conv.output.map(|size| size.max(1));
        let mut at = [pixel / width / height, pixel / width % height, pixel % width];
        for corner in corners.iter_mut().take(rows) {
            *corner = core::array::from_fn(|d| (at[d] * self.conv.strides[d]).wrapping_sub(self.conv.pads[d]));
            at[2] += 1;
            if at[2] == width {
                (at[1], at[2]) = (at[1] + 1, 0);
            }
            if at[1] == height {
                (at[0], at[1]) = (at[0] + 1, 0);
            }
        }
        corners
    }

    /// Writes the runs of at most `MAX_RUNS` taps from `first` on; taps that see no pixel are left out. Returns their number.
    fn fill(&mut self, plane: &[f32], corners: &[[usize; 3]; MAX_ROWS], rows: usize, first: usize) -> usize {
        let [depth, height, width] = self.conv.input;
        let size = self.conv.pixels() * BLOCK;
        let mut count = 0;
        for tap in first..self.conv.taps().min(first + MAX_RUNS) {
            let [behind, down, right] = self.conv.reach(tap);
            let Some(run) = self.runs.get_mut(count) else { break };
            let mut seen = false;
            let slots = run.rows.iter_mut().zip(&mut run.strides);
            for ((row, stride), corner) in slots.zip(corners).take(rows) {
                let (y, x) = (corner[1].wrapping_add(down), corner[2].wrapping_add(right));
                let z = corner[0].wrapping_add(behind);
                let inside = z < depth && y < height && x < width;
                let offset = if inside { ((z * height + y) * width + x) * BLOCK } else { 0 };
                *row = if inside { plane.as_ptr().wrapping_add(offset) } else { ZEROS.as_ptr() };
                *stride = if inside { size } else { 0 };
                seen |= inside;
            }
            run.b = tap * self.depth * BLOCK * BLOCK;
            run.blocks = self.depth;
            run.tail = 0;
            count += usize::from(seen);
        }
        count
    }

    /// Cuts the tile at the ends of output rows.
    fn deliver(&self, n: usize, pixel: usize, rows: usize, block: usize, np: usize, store: &mut dyn Store) {
        deliver_pixels(store, &self.acc, self.conv.output[2], n, pixel, rows, block * BLOCK, np * BLOCK);
    }
}

/// Hands over `rows` pixels in reading order of an image `width` wide, one tile for each image row touched.
#[allow(clippy::too_many_arguments, reason = "plain coordinates of one tile")]
pub(super) fn deliver_pixels(
    store: &mut dyn Store,
    acc: &Acc,
    width: usize,
    n: usize,
    pixel: usize,
    rows: usize,
    c: usize,
    cs: usize,
) {
    let mut done = 0;
    while done < rows && width > 0 {
        let (y, x) = ((pixel + done) / width, (pixel + done) % width);
        let xs = (rows - done).min(width - x);
        deliver(store, Tile { n, y, x, c, xs, cs, stride: cs }, acc, done);
        done += xs;
    }
}
