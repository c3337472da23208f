//! Depthwise convolutions, channels last: every channel of the result is a window over one channel of the data, sums in f32.
//!
//! ```text
//! y[n][p][q][c] = Σ over r, s of x[n][p*stride_h + r*dilation_h - pad_h][q*stride_w + s*dilation_w - pad_w][c / multiplier] * w[r][s][c]
//!
//!              q ─►                         a CTA: threads over channels (fastest), then across, then down
//!        ┌──────┬──────┬──────┐             a thread: `lanes` neighbouring channels of a block of pixels,
//!   p    │ 2x4  │ 2x4  │ 2x4  │               whose windows overlap: a row of the data is loaded once, in 16 bytes
//!   ▼    ├──────┼──────┼──────┤               a pixel, and serves all rows of the block that it is in the window of
//!        │ 2x4  │ 2x4  │ 2x4  │
//! ```
//!
//! - Traffic: data once (halos between CTAs again, from the L2 cache), results once, weights from the L1 cache.
//! - Registers: `lanes` sums a pixel; the weights of one row of the window, of all rows where the window is small.
//! - Limits: channels are code and divisible by `lanes`, these by the multiplier; N*H*W and N*P*Q below 2^31; up to
//!   [`MOST_PRODUCTS`] products in the body, for blocks of one row in a row of the window.
//!
//! Source of the idea: register blocking of direct convolutions.

use ptx::{Builder, Cmp, Fetch, Form, LoadCache, Op, ParamRole, Reg, Sm, Special, Type, Vector};

use crate::finish::{Destination, Finish};
use crate::fragment::Input;
use crate::image::Window;
use crate::launch::{KernelError, Params, Role, Tensor, divide_rem};
use crate::val::{Val, address};

const FAMILY: &str = "depthwise";
/// Most multiply-adds that are written out.
pub const MOST_PRODUCTS: u32 = 3200;
/// Taps from which on blocks of one row walk over the rows of the window in a loop.
const LOOPED: u32 = 25;
/// Taps up to which all weights stay in registers.
const KEPT: u32 = 9;

/// What is to be computed.
#[derive(Clone, Debug, PartialEq)]
pub struct Depthwise {
    pub input: Input,
    /// Channels of the result.
    pub columns: u32,
    /// Channels of the result a channel of the data.
    pub multiplier: u32,
    pub window: Window,
    pub finish: Finish,
}

/// How it is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DepthwiseVariant {
    /// Rows and columns of the result's pixels of a thread.
    pub block: [u32; 2],
    /// Neighbouring channels of a thread.
    pub lanes: u32,
    /// Threads of a CTA down and across the image.
    pub threads: [u32; 2],
    /// Most threads of a CTA along the channels.
    pub across: u32,
}

impl DepthwiseVariant {
    pub const fn new(block: [u32; 2], lanes: u32, threads: [u32; 2], across: u32) -> DepthwiseVariant {
        DepthwiseVariant { block, lanes, threads, across }
    }

    /// `2x4x8_8x4_8`: block and lanes, threads down and across, most along the channels.
    pub fn name(&self) -> String {
        let ([rows, columns], [down, across]) = (self.block, self.threads);
        format!("{rows}x{columns}x{}_{down}x{across}_{}", self.lanes, self.across)
    }

    /// Threads along the channels: the most that divide the work evenly.
    pub fn channel_threads(&self, columns: u32) -> u32 {
        let chunks = columns / self.lanes;
        (1..=self.across.min(chunks)).rev().find(|t| chunks.is_multiple_of(*t)).unwrap_or(1)
    }

    pub fn cta(&self, columns: u32) -> u32 {
        self.channel_threads(columns) * self.threads[0] * self.threads[1]
    }

    /// Pixels of a CTA down and across.
    pub const fn tile(&self) -> [u32; 2] {
        [self.block[0] * self.threads[0], self.block[1] * self.threads[1]]
    }
}

/// Variants; those whose lanes do not divide the channels, or are more than 16 bytes, are not for a problem.
pub const VARIANTS: &[DepthwiseVariant] = &[
    DepthwiseVariant::new([2, 4], 8, [4, 4], 8),
    DepthwiseVariant::new([2, 4], 8, [8, 4], 8),
    DepthwiseVariant::new([2, 4], 4, [8, 4], 8),
    DepthwiseVariant::new([4, 2], 8, [2, 8], 8),
    DepthwiseVariant::new([2, 2], 8, [4, 8], 8),
    DepthwiseVariant::new([2, 7], 4, [4, 1], 32),
    DepthwiseVariant::new([2, 7], 4, [7, 1], 16),
    DepthwiseVariant::new([4, 4], 4, [4, 4], 8),
    DepthwiseVariant::new([7, 1], 4, [1, 7], 16),
    DepthwiseVariant::new([2, 2], 4, [4, 8], 8),
    DepthwiseVariant::new([1, 4], 8, [8, 4], 8),
    DepthwiseVariant::new([1, 4], 4, [8, 4], 8),
    DepthwiseVariant::new([1, 7], 8, [7, 1], 16),
    DepthwiseVariant::new([1, 7], 4, [7, 1], 16),
    DepthwiseVariant::new([1, 7], 8, [7, 2], 16),
    DepthwiseVariant::new([1, 2], 8, [4, 4], 8),
    DepthwiseVariant::new([1, 2], 4, [4, 8], 8),
    DepthwiseVariant::new([1, 1], 8, [4, 4], 8),
    DepthwiseVariant::new([1, 1], 4, [4, 8], 8),
    DepthwiseVariant::new([1, 2], 2, [4, 8], 8),
    DepthwiseVariant::new([1, 2], 1, [4, 8], 8),
    DepthwiseVariant::new([1, 1], 2, [4, 8], 8),
    DepthwiseVariant::new([1, 1], 1, [4, 8], 8),
];

/// A kernel and how many CTAs it takes.
#[derive(Clone, Debug, PartialEq)]
pub struct DepthwiseKernel {
    pub entry: ptx::Entry,
    /// Of the entry's parameters, in order.
    pub roles: Vec<Role>,
    /// Pixels of a CTA down and across, and CTAs along the channels.
    pub tile: [u32; 2],
    pub channel_tiles: u32,
}

/// What every thread of the kernel works with.
struct Body<'a> {
    problem: &'a Depthwise,
    block: [u32; 2],
    lanes: u32,
    /// Position of the block's window in the data, height and width of the data.
    corner: [Reg; 2],
    extents: [Reg; 2],
    sums: Vec<Vec<Reg>>,
}

/// Where a row of the data and of the window begins.
struct Pointers {
    data: Reg,
    weights: Reg,
}

fn check(problem: &Depthwise, variant: &DepthwiseVariant) -> Result<(), KernelError> {
    let refuse = |what, found, rule| Err(KernelError::Variant { family: FAMILY, what, found, rule });
    let lanes = variant.lanes;
    if !problem.columns.is_multiple_of(lanes) {
        return refuse("channels of a thread", lanes, "they must divide the channels");
    }
    if !lanes.is_power_of_two() || lanes * problem.input.bytes() > 16 {
        return refuse("channels of a thread", lanes, "they must be a power of two in at most 16 bytes");
    }
    if problem.multiplier == 0 || !lanes.is_multiple_of(problem.multiplier) {
        return refuse("channels of a thread", lanes, "the multiplier must divide them");
    }
    let [rows, columns] = variant.block;
    if rows * columns * lanes > 64 || rows * columns == 0 {
        return refuse("sums of a thread", rows * columns * lanes, "they must fit into 64 registers");
    }
    let [height, width] = problem.window.kernel;
    let written = if looped(problem, variant) { 1 } else { height };
    if rows * columns * lanes * written * width > MOST_PRODUCTS {
        return refuse("products", rows * columns * lanes * written * width, "that is too long a body");
    }
    if problem.finish.vector() != lanes {
        return refuse("channels of a thread", lanes, "they are finished together");
    }
    if !(1..=1024).contains(&variant.cta(problem.columns)) {
        return refuse("threads", variant.cta(problem.columns), "there may be 1024 at most");
    }
    Ok(())
}

const fn looped(problem: &Depthwise, variant: &DepthwiseVariant) -> bool {
    let [height, width] = problem.window.kernel;
    variant.block[0] == 1 && height * width > LOOPED
}

/// Emits the kernel.
pub fn emit(problem: &Depthwise, variant: &DepthwiseVariant, sm: Sm) -> Result<DepthwiseKernel, KernelError> {
    check(problem, variant)?;
    let window = problem.window;
    let mut builder = Builder::new(&format!("depthwise_{}_{}", problem.input.name(), variant.name()));
    let b = &mut builder;
    let across = variant.channel_threads(problem.columns);
    let threads = variant.cta(problem.columns);
    b.block([threads, 1, 1]);
    if variant.block[0] * variant.block[1] * variant.lanes <= 16 {
        // Else some assemblers stop at 64 registers and spill.
        b.min_ctas(1);
    }
    let mut params = Params::default();
    let data = params.pointer(b, Role::Pointer(Tensor::Read(0)), ParamRole::Data);
    let weights = params.pointer(b, Role::Pointer(Tensor::Read(1)), ParamRole::Weights);
    let extents = [0, 1].map(|d| params.u32(b, Role::Extent(d)).reg(b));
    let pads = [0, 1].map(|d| params.u32(b, Role::Pad(d)).reg(b));
    let result = [params.u32(b, Role::ResultHeight), params.u32(b, Role::ResultWidth)];
    let tiles = [1, 0].map(|d| (params.u32(b, Role::Tiles(d)), params.divisor(b, Role::TilesDivisor(d))));

    let channel_tiles = problem.columns / variant.lanes / across;
    let (tile, channel) = Val::Reg(b.special(Special::CtaidX)).div_rem(b, channel_tiles);
    let (tile, tile_q) = divide_rem(b, tile, tiles[0].0, tiles[0].1);
    let (n, tile_p) = divide_rem(b, tile, tiles[1].0, tiles[1].1);
    let (thread, along) = Val::Reg(b.special(Special::TidX)).div_rem(b, across);
    let (down, right) = thread.div_rem(b, variant.threads[1]);
    let column = channel.mul(b, across).add(b, along).mul(b, variant.lanes);
    let first = [(tile_p, down), (tile_q, right)];
    let first = [0, 1].map(|d: usize| {
        let (tile, within) = first[d];
        tile.mul(b, variant.threads[d]).add(b, within).mul(b, variant.block[d])
    });
    let inside = [0, 1].map(|d: usize| first[d].less(b, result[d]));
    let inside = b.and(Type::Pred, inside[0], inside[1]);
    b.guarded_not(inside, Builder::exit);

    let corner = [0, 1].map(|d: usize| {
        let start = first[d].mul(b, window.strides[d]).reg(b);
        b.sub(Type::S32, start, pads[d])
    });
    let finish = problem.finish.clone();
    let columns = Val::Const(problem.columns);
    let mut to = finish.destination(b, &mut params, &[], (Val::Const(u32::MAX), columns))?;
    let pixel_bytes = window.channels * problem.input.bytes();
    let n = n.reg(b);
    let line = b.mad(Type::S32, n, extents[0], corner[0]);
    let index = b.mad(Type::S32, line, extents[1], corner[1]);
    let start = b.mad_wide(Type::S32, index, pixel_bytes, data);
    let of_data = column.div_rem(b, problem.multiplier).0;
    let pointers =
        Pointers { data: address(b, start, of_data, problem.input.bytes()), weights: address(b, weights, column, 4) };
    let row_bytes = b.mul_wide(Type::U32, extents[1], pixel_bytes);
    let sums = zeros(b, variant.block[0] * variant.block[1], variant.lanes);
    let body = Body { problem, block: variant.block, lanes: variant.lanes, corner, extents, sums };
    if looped(problem, variant) {
        body.walk(b, &pointers, row_bytes)
    } else {
        body.unrolled(b, &pointers, row_bytes)
    }
    let place = Place { n: n.into(), first, result, column };
    body.store(b, &mut params, sm, &mut to, &place)?;
    Ok(DepthwiseKernel { entry: builder.finish(), roles: params.finish(), tile: variant.tile(), channel_tiles })
}

fn zeros(b: &mut Builder, pixels: u32, lanes: u32) -> Vec<Vec<Reg>> {
    (0..pixels).map(|_| (0..lanes).map(|_| b.mov(Type::F32, 0.0_f32)).collect()).collect()
}

/// Where results go: image, first row and column, extents of the result, first channel.
struct Place {
    n: Val,
    first: [Val; 2],
    result: [Val; 2],
    column: Val,
}

impl Body<'_> {
    /// All rows of the data that the block's windows touch, one after the other.
    fn unrolled(&self, b: &mut Builder, pointers: &Pointers, row_bytes: Reg) {
        let Window { kernel: [height, width], strides: [stride, _], dilations: [dilation, _], .. } =
            self.problem.window;
        let kept: Vec<Vec<Vec<Reg>>> = if height * width <= KEPT {
            (0..height).map(|r| self.weights(b, pointers.weights, r)).collect()
        } else {
            Vec::new()
        };
        let last = (self.block[0] - 1) * stride + (height - 1) * dilation;
        let mut at = pointers.data;
        let mut from = 0;
        for y in 0..=last {
            let uses: Vec<(u32, u32)> = (0..self.block[0])
                .flat_map(|i| (0..height).map(move |r| (i, r)))
                .filter(|(i, r)| i * stride + r * dilation == y)
                .collect();
            if uses.is_empty() {
                continue;
            }
            at = if y == from { at } else { b.mad(Type::U64, row_bytes, u64::from(y - from), at) };
            from = y;
            let row = Val::Reg(self.corner[0]).add(b, y).reg(b);
            let pixels = self.pixels(b, at, row);
            for (i, r) in uses {
                let loaded = if kept.is_empty() { self.weights(b, pointers.weights, r) } else { Vec::new() };
                let weights = kept.get(r as usize).unwrap_or(&loaded);
                self.multiply(b, i, &pixels, weights);
            }
        }
    }

    /// The rows of the window in a loop; the block has one row.
    fn walk(&self, b: &mut Builder, pointers: &Pointers, row_bytes: Reg) {
        let Window { kernel: [height, width], dilations: [dilation, _], .. } = self.problem.window;
        let data = b.mov(Type::U64, pointers.data);
        let weights = b.mov(Type::U64, pointers.weights);
        let row = b.mov(Type::U32, self.corner[0]);
        let step = b.mul(Type::U64, row_bytes, u64::from(dilation));
        let weight_row = u64::from(width * self.problem.columns * 4);
        b.for_loop(Type::U32, 0_u32, height, 1_u32, |b, _| {
            let pixels = self.pixels(b, data, row);
            let taps = self.weights(b, weights, 0);
            self.multiply(b, 0, &pixels, &taps);
            b.emit(Form::new(Op::Add, Type::U64), [data.into(), data.into(), step.into()]);
            b.emit(Form::new(Op::Add, Type::U64), [weights.into(), weights.into(), weight_row.into()]);
            b.emit(Form::new(Op::Add, Type::U32), [row.into(), row.into(), dilation.into()]);
        });
    }

    /// The block's pixels of a row of the data, by their distance from the corner; none where no window looks.
    fn pixels(&self, b: &mut Builder, at: Reg, row: Reg) -> Vec<Option<Vec<Reg>>> {
        let Window { channels, kernel: [_, width], strides: [_, stride], dilations: [_, dilation], .. } =
            self.problem.window;
        let inside_row = b.setp(Cmp::Lt, Type::U32, row, self.extents[0]);
        let pixel_bytes = i64::from(channels * self.problem.input.bytes());
        let last = (self.block[1] - 1) * stride + (width - 1) * dilation;
        let used = |x: u32| (0..self.block[1]).any(|j| (0..width).any(|s| j * stride + s * dilation == x));
        let load = |x: u32| {
            used(x).then(|| {
                let column = Val::Reg(self.corner[1]).add(b, x);
                let inside = column.less(b, self.extents[1]);
                let inside = b.and(Type::Pred, inside, inside_row);
                let raw = load(
                    b,
                    self.problem.input,
                    self.lanes / self.problem.multiplier,
                    inside,
                    (at, i64::from(x) * pixel_bytes),
                );
                (x, raw)
            })
        };
        // All loads of a row begin before the first is waited for.
        let raw: Vec<_> = (0..=last).map(load).collect();
        raw.into_iter().map(|raw| raw.map(|(_, raw)| widened(b, self.problem.input, &raw))).collect()
    }

    /// The taps of a row of the window.
    fn weights(&self, b: &mut Builder, base: Reg, row: u32) -> Vec<Vec<Reg>> {
        let width = self.problem.window.kernel[1];
        let per = self.lanes.min(4);
        let vector = Vector::of(per as usize).unwrap_or(Vector::One);
        let tap = |s: u32| {
            let start = i64::from((row * width + s) * self.problem.columns * 4);
            let parts = (0..i64::from(self.lanes / per))
                .map(|k| b.ld_cached(LoadCache::Nc, Fetch::Default, Type::F32, vector, (base, start + k * 16)));
            parts.collect::<Vec<_>>().concat()
        };
        (0..width).map(tap).collect()
    }

    /// Adds a row of the window for a row of the block.
    fn multiply(&self, b: &mut Builder, i: u32, pixels: &[Option<Vec<Reg>>], weights: &[Vec<Reg>]) {
        let Window { strides: [_, stride], dilations: [_, dilation], .. } = self.problem.window;
        for (s, tap) in (0_u32..).zip(weights) {
            for j in 0..self.block[1] {
                let pixel = pixels.get((j * stride + s * dilation) as usize).and_then(Option::as_ref);
                let sums = self.sums.get((i * self.block[1] + j) as usize);
                let (Some(pixel), Some(sums)) = (pixel, sums) else { continue };
                for (lane, (sum, weight)) in sums.iter().zip(tap).enumerate() {
                    if let Some(x) = pixel.get(lane / self.problem.multiplier as usize) {
                        b.accumulate(Type::F32, *x, *weight, *sum);
                    }
                }
            }
        }
    }

    /// Finishes the pixels that exist.
    fn store(
        &self,
        b: &mut Builder,
        params: &mut Params,
        sm: Sm,
        to: &mut Destination,
        place: &Place,
    ) -> Result<(), KernelError> {
        let finish = self.problem.finish.clone();
        let line = place.n.mul(b, place.result[0]).add(b, place.first[0]);
        let start = line.mul(b, place.result[1]).add(b, place.first[1]);
        let mut row = start;
        for (k, sums) in (0_u32..).zip(&self.sums) {
            let (i, j) = (k / self.block[1], k % self.block[1]);
            if k > 0 && j == 0 {
                row = row.add(b, place.result[1]);
            }
            let inside_down = place.first[0].add(b, i).less(b, place.result[0]);
            let inside_across = place.first[1].add(b, j).less(b, place.result[1]);
            let inside = b.and(Type::Pred, inside_down, inside_across);
            let at = (row.add(b, j), place.column);
            finish.store_if(b, params, sm, to, (inside, at), sums)?;
        }
        Ok(())
    }
}

/// Neighbouring elements in as few registers as hold them, zero unless `inside`.
fn load(b: &mut Builder, input: Input, lanes: u32, inside: Reg, at: (Reg, i64)) -> Vec<Reg> {
    let bytes = lanes * input.bytes();
    let (ty, count) = if bytes == 2 { (Type::B16, 1) } else { (Type::B32, bytes / 4) };
    let regs: Vec<Reg> = (0..count).map(|_| b.mov(ty, 0_u32)).collect();
    let vector = Vector::of(regs.len()).unwrap_or(Vector::V4);
    let op = if vector == Vector::V4 { Op::LdCachedV4 } else { Op::LdCached };
    let form = Form::new(op, (LoadCache::Nc, Fetch::Default, vector, ty));
    let into = match regs.as_slice() {
        [one] => (*one).into(),
        many => many.into(),
    };
    b.guarded(inside, |b| b.emit(form, [into, ptx::Address::from(at).into()]));
    regs
}

/// Elements as f32.
fn widened(b: &mut Builder, input: Input, raw: &[Reg]) -> Vec<Reg> {
    let half = |b: &mut Builder, half: Reg| b.cvt(Type::F32, Type::F16, half);
    match input {
        Input::Tf32 | Input::F32 => raw.to_vec(),
        Input::F16 => match raw {
            [one] if one.class.bits() == 16 => vec![half(b, *one)],
            words => words
                .iter()
                .flat_map(|word| b.unpack(*word))
                .collect::<Vec<_>>()
                .into_iter()
                .map(|h| half(b, h))
                .collect(),
        },
        Input::Bf16 => match raw {
            [one] if one.class.bits() == 16 => {
                let wide = b.cvt(Type::U32, Type::U16, *one);
                vec![b.shl(Type::B32, wide, 16_u32)]
            }
            words => {
                let both = |word: &Reg| [b.shl(Type::B32, *word, 16_u32), b.and(Type::B32, *word, 0xFFFF_0000_u32)];
                words.iter().flat_map(both).collect()
            }
        },
    }
}
