//! Transposed convolution over channel-blocked input, `[N][C/16][D][H][W][16]`, any stride, dilation and padding.
//!
//! `out[n, o, y, x] = Σ_{kh, kw, i} in[n, i, (y + top - kh*dh) / sh, (x + left - kw*dw) / sw] * w[i, o, kh, kw]` over the taps
//! whose quotients are whole and inside, and so for the depth.
//!
//! ```text
//!   columns of one output row, sw = 2:   0 1 0 1 0 1 0 1      columns of equal phase see the same taps, at neighbouring
//!                                        ▓   ▓   ▓   ▓        pixels of the input: they make one register tile
//! ```
//!
//! Taps that no column of the tile can see are left out, so no multiply-add is wasted but at the border. The tiles of all phases
//! are put side by side before they are stored. Weights are `[OC/16][KD][KH][KW][IC/16][16 ic][16 oc]`.
//! Limits: one group; padded channels as in `conv`.

use super::conv::{ConvShape, Part, ZEROS};
use super::isa::Isa;
use super::micro::{Acc, MAX_RUNS, Micro, Run, deliver, group_panels};
use super::tile::{Store, Tile};
use super::{BLOCK, KernelError};
use core::ops::Range;

/// Most phases whose tiles are put side by side.
const SPREAD: usize = 4;
/// Elements of as many tiles.
const WIDE: usize = SPREAD * size_of::<Acc>() / size_of::<f32>();

/// Computes `part` of every image and hands it to `store`; tiles stay inside one output row, `c` is a multiple of 16. The sizes
/// are those of the operator: `input` is what it reads, `output` what it writes.
pub fn conv_transpose(
    isa: Isa,
    conv: &ConvShape,
    part: &Part,
    input: &[f32],
    weights: &[f32],
    store: &mut dyn Store,
) -> Result<(), KernelError> {
    conv.check(part, input, weights)?;
    let rule = |holds: bool, rule| if holds { Ok(()) } else { Err(KernelError::Shape { rule }) };
    rule(conv.groups == 1, "a transposed convolution has one group")?;
    rule(conv.strides.iter().all(|&s| s > 0), "strides are positive")?;
    let width = conv.output[2];
    if conv.batch == 0 || part.blocks.is_empty() || part.pixels.is_empty() || width == 0 {
        return Ok(());
    }
    let panel = conv.taps() * conv.in_blocks * BLOCK * BLOCK;
    let image = conv.in_blocks * conv.pixels() * BLOCK;
    let (runs, acc) = ([Run::EMPTY; MAX_RUNS], Acc::new());
    let wide = [0.0; WIDE];
    let mut pass = Pass { conv, micro: Micro::of(isa), weights, panel, runs, acc, wide };
    let step = group_panels(panel);
    for first in part.blocks.clone().step_by(step) {
        let blocks = first..part.blocks.end.min(first + step);
        for n in part.images.clone() {
            let plane = input.get(n * image..).unwrap_or_default();
            let mut pixel = part.pixels.start;
            while pixel < part.pixels.end {
                let (y, x) = (pixel / width, pixel % width);
                let columns = (width - x).min(part.pixels.end - pixel);
                pass.row(n, plane, y, x..x + columns, &blocks, store);
                pixel += columns;
            }
        }
    }
    Ok(())
}

/// What one call keeps while it walks over tiles.
struct Pass<'a> {
    conv: &'a ConvShape,
    micro: Micro,
    weights: &'a [f32],
    panel: usize,
    runs: [Run; MAX_RUNS],
    acc: Acc,
    wide: [f32; WIDE],
}

impl Pass<'_> {
    /// Columns of one output row, for all `blocks`.
    fn row(
        &mut self,
        n: usize,
        plane: &[f32],
        y: usize,
        columns: Range<usize>,
        blocks: &Range<usize>,
        store: &mut dyn Store,
    ) {
        let phases = self.conv.strides[2];
        let mut x = columns.start;
        while x < columns.end {
            let left = columns.end - x;
            let rows = self.micro.next_rows(left.div_ceil(phases));
            let xs = left.min(rows * phases);
            let mut block = blocks.start;
            while block < blocks.end {
                let np = self.micro.tile(rows, blocks.end - block).0;
                let (c, cs) = (block * BLOCK, np * BLOCK);
                for phase in 0..phases.min(xs) {
                    self.phase(plane, y, (x + phase, x + xs), rows, block..blocks.end);
                    for (r, values) in self.acc.0.chunks_exact(cs).take(rows).enumerate() {
                        let at = r * phases + phase;
                        if at >= xs {
                            break;
                        }
                        if phases > SPREAD {
                            deliver(store, Tile { n, y, x: x + at, c, xs: 1, cs, stride: cs }, &self.acc, r);
                        } else if let Some(to) = self.wide.get_mut(at * cs..(at + 1) * cs) {
                            to.copy_from_slice(values);
                        }
                    }
                }
                if phases <= SPREAD {
                    store.store(&Tile { n, y, x, c, xs, cs, stride: cs }, &self.wide);
                }
                block += np;
            }
            x += xs;
        }
    }

    /// Accumulates `rows` columns from `x` on, a stride apart; columns from `end` on are zeros.
    fn phase(&mut self, plane: &[f32], y: usize, (x, end): (usize, usize), rows: usize, blocks: Range<usize>) {
        let function = self.micro.tile(rows, blocks.len()).1;
        let b = self.weights.as_ptr().wrapping_add(blocks.start * self.panel);
        for chunk in 0..self.conv.taps().div_ceil(MAX_RUNS).max(1) {
            let count = self.fill(plane, y, (x, end), rows, chunk * MAX_RUNS);
            let runs = self.runs.get(..count).unwrap_or_default();
            // SAFETY: `check` proved the slices; `fill` points only into `plane` or to zeros; `Isa` proves the level.
            unsafe { function(runs, b, self.panel, &mut self.acc, chunk == 0) };
        }
    }

    /// Writes the runs of at most `MAX_RUNS` taps from `first` on; taps that see no column are left out. Returns their number.
    fn fill(&mut self, plane: &[f32], y: usize, (x, end): (usize, usize), rows: usize, first: usize) -> usize {
        let c = self.conv;
        let [_, height, width] = c.input;
        let size = c.pixels() * BLOCK;
        let at = [y / c.output[1].max(1), y % c.output[1].max(1)];
        let mut count = 0;
        for tap in first..c.taps().min(first + MAX_RUNS) {
            let reach = c.reach(tap);
            // The input's row along an axis, if the tap sees one.
            let seen_row = |d: usize| {
                let row = whole(at[d] + c.pads[d], reach[d], c.strides[d])?;
                usize::try_from(row).ok().filter(|row| *row < c.input[d])
            };
            let (Some(plane_at), Some(row)) = (seen_row(0), seen_row(1)) else { continue };
            let line = plane_at * height + row;
            let Some(column) = whole(x + c.pads[2], reach[2], c.strides[2]) else { continue };
            let Some(run) = self.runs.get_mut(count) else { continue };
            let mut seen = false;
            for (r, (row, stride)) in run.rows.iter_mut().zip(&mut run.strides).take(rows).enumerate() {
                let at = usize::try_from(column + r as i64).ok().filter(|&at| at < width && x + r * c.strides[2] < end);
                *row = at.map_or(ZEROS.as_ptr(), |at| plane.as_ptr().wrapping_add((line * width + at) * BLOCK));
                *stride = if at.is_some() { size } else { 0 };
                seen |= at.is_some();
            }
            run.b = tap * c.in_blocks * BLOCK * BLOCK;
            run.blocks = c.in_blocks;
            run.tail = 0;
            count += usize::from(seen);
        }
        count
    }
}

/// `(from - distance) / stride` where that is whole.
fn whole(from: usize, distance: usize, stride: usize) -> Option<i64> {
    let difference = from as i64 - distance as i64;
    let stride = stride as i64;
    (difference.rem_euclid(stride) == 0).then(|| difference.div_euclid(stride))
}
