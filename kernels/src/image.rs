//! The gathered operand of a convolution: row `m` of the matrix is a pixel of the result, term `k` a channel of a tap.
//!
//! ```text
//! A[m][k] = x[n][p*stride_h + r*dilation_h - pad_h][q*stride_w + s*dilation_w - pad_w][c]
//!           m = (n*P + p)*Q + q        k = (r*S + s)*C + c        outside the image: zero
//! ```
//!
//! The data is `[N][H][W][C]`, C padded so that chunks divide it; the weights `[O][R][S][C]` are a plain matrix. A thread copies
//! the same chunk of every slot: it keeps its tap and channel, one for all of its rows, and per row the corner of the window.
//! - Traffic: a pixel is read once per tap and column of tiles, mostly from the caches.
//! - Several groups are batch indices: their channels lie one after the other in a pixel, their columns in the result.
//! - Limits: two spatial dims (one is two, the first of extent 1); N*H*W below 2^31, bytes of a window's reach below 2^31.
//!
//! Source of the idea: implicit GEMM as in cuDNN and CUTLASS.

use ptx::{Builder, Cmp, Form, Op, Reg, Type};

use crate::launch::{Params, Role, divide_rem};
use crate::source::{Chunk, Fill, Spread, TileSource, land, send, spread};
use crate::val::Val;

/// What is code of a convolution's window. Extents and pads are arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Window {
    /// Channels of the data in memory that a sum has, padding included.
    pub channels: u32,
    pub kernel: [u32; 2],
    pub strides: [u32; 2],
    pub dilations: [u32; 2],
    /// Groups of channels, one for each batch index.
    pub groups: u32,
}

impl Window {
    /// Channels of a pixel in memory.
    pub const fn pitch(&self) -> u32 {
        self.channels * self.groups
    }

    /// Terms of the sum.
    pub const fn depth(&self) -> u32 {
        self.channels * self.kernel[0] * self.kernel[1]
    }
}

/// A position that no window makes part of an image.
const OUTSIDE: u32 = 1 << 30;

/// The copies of one thread.
#[derive(Debug)]
pub struct ImageLoader {
    source: TileSource,
    window: Window,
    rows: Vec<Row>,
    active: Option<Reg>,
    /// Tap and channel of the thread's chunk in the next slot.
    tap: [Reg; 2],
    channel: Reg,
    /// Height and width of the data.
    extents: [Reg; 2],
}

/// A chunk with the corner of its pixel's window: address, and position in the data.
#[derive(Debug)]
struct Row {
    chunk: Chunk,
    pointer: Reg,
    corner: [Reg; 2],
}

/// Which rows of the matrix, and where its sum begins.
#[derive(Clone, Copy, Debug)]
pub struct Pixels {
    pub base: Reg,
    pub start: Val,
    pub rows: Val,
    pub first: Val,
    pub thread: Reg,
}

impl ImageLoader {
    pub fn new(b: &mut Builder, params: &mut Params, source: TileSource, window: Window, place: Pixels) -> ImageLoader {
        let extents = [0, 1].map(|d| params.u32(b, Role::Extent(d)).reg(b));
        let pads = [0, 1].map(|d| params.u32(b, Role::Pad(d)).reg(b));
        let pixels = (params.u32(b, Role::Pixels), params.divisor(b, Role::PixelsDivisor));
        let across = (params.u32(b, Role::ResultWidth), params.divisor(b, Role::ResultWidthDivisor));
        let Spread { chunks, column, active, .. } = spread(b, &source, place.thread);
        let last = place.rows.sub(b, 1);
        let pixel_bytes = window.pitch() * source.element;
        let mut rows = Vec::new();
        for (chunk, row) in chunks {
            let m = place.start.add(b, row).min(b, last);
            let exists = place.start.add(b, row).less(b, place.rows);
            let (n, pixel) = divide_rem(b, m, pixels.0, pixels.1);
            let (p, q) = divide_rem(b, pixel, across.0, across.1);
            let mut corner = |d: usize, at: Val| {
                let start = at.mul(b, window.strides[d]).reg(b);
                b.sub(Type::S32, start, pads[d])
            };
            let corner = [corner(0, p), corner(1, q)];
            let line = b.mad(Type::S32, n, extents[0], corner[0]);
            let index = b.mad(Type::S32, line, extents[1], corner[1]);
            let pointer = b.mad_wide(Type::S32, index, pixel_bytes, place.base);
            // A row beyond the last is outside of every image.
            let corner = [b.selp(Type::U32, corner[0], OUTSIDE, exists), corner[1]];
            rows.push(Row { chunk, pointer, corner });
        }
        let along = column.mul(b, source.chunk / source.element);
        let term = place.first.add(b, along);
        let (tap, channel) = term.div_rem(b, window.channels);
        let (r, s) = tap.div_rem(b, window.kernel[1]);
        let tap = [b.mov(Type::U32, r), b.mov(Type::U32, s)];
        let channel = b.mov(Type::U32, channel);
        ImageLoader { source, window, rows, active, tap, channel, extents }
    }

    /// To the same chunk of the next slot.
    fn advance(&self, b: &mut Builder) {
        let (channels, width) = (self.window.channels, self.window.kernel[1]);
        let (taps, rest) = (self.source.depth / channels, self.source.depth % channels);
        let add = |b: &mut Builder, to: Reg, value: u32| {
            if value > 0 {
                b.emit(Form::new(Op::Add, Type::U32), [to.into(), to.into(), value.into()]);
            }
        };
        let carry = |b: &mut Builder, from: Reg, limit: u32, to: Reg| {
            let over = b.setp(Cmp::Ge, Type::U32, from, limit);
            b.guarded(over, |b| {
                b.emit(Form::new(Op::Sub, Type::U32), [from.into(), from.into(), limit.into()]);
                add(b, to, 1);
            });
        };
        let [r, s] = self.tap;
        add(b, self.channel, rest);
        if rest > 0 {
            carry(b, self.channel, channels, s);
        }
        add(b, s, taps);
        if taps < width {
            carry(b, s, width, r);
        } else {
            let (down, across) = Val::Reg(s).div_rem(b, width);
            b.emit(Form::new(Op::Add, Type::U32), [r.into(), r.into(), down.into()]);
            b.mov_to(Type::U32, s, across);
        }
    }
}

impl Fill for ImageLoader {
    fn begin(&mut self, b: &mut Builder, slot: Val, exists: Option<Reg>) {
        let window = self.window;
        let reach = [0, 1].map(|d| Val::Reg(self.tap[d]).mul(b, window.dilations[d]).reg(b));
        let pixel = b.mad(Type::U32, reach[0], self.extents[1], reach[1]);
        let channel = Val::Reg(self.channel).mul(b, self.source.element);
        let offset = b.mad(Type::U32, pixel, window.pitch() * self.source.element, channel);
        let past = (!window.depth().is_multiple_of(self.source.depth))
            .then(|| b.setp(Cmp::Lt, Type::U32, self.tap[0], window.kernel[0]));
        for row in &self.rows {
            let inside = [0, 1].map(|d| {
                let at = b.add(Type::U32, row.corner[d], reach[d]);
                b.setp(Cmp::Lt, Type::U32, at, self.extents[d])
            });
            let mut valid = b.and(Type::Pred, inside[0], inside[1]);
            if let Some(past) = past {
                valid = b.and(Type::Pred, valid, past);
            }
            let bytes = b.selp(Type::U32, self.source.chunk, 0_u32, valid);
            let wide = b.cvt(Type::S64, Type::S32, offset);
            let from = b.add(Type::S64, row.pointer, wide);
            send(b, &self.source, (self.active, exists), &row.chunk, (from, slot), Some(bytes));
        }
        self.advance(b);
    }

    fn land(&self, b: &mut Builder, slot: Val) {
        for row in &self.rows {
            land(b, &self.source, self.active, &row.chunk, slot);
        }
    }
}
