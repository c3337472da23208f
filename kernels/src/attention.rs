//! Attention in one kernel: `softmax(scale * q k' under a mask) v` for every batch index and head.
//!
//! A CTA takes a block of queries of one head; keys and values stream through shared memory in blocks. Scores never leave the
//! registers: with each block the largest score of a row and the sum of its powers are brought up to date, and what was added up
//! before is scaled.
//!
//! ```text
//!          keys ─►  block 0   block 1   block 2        m = max(m, scores)     p = exp(scores - m)
//! queries ┌──────┐ ┌───────┐ ┌───────┐ ┌───────┐       a = exp(m before - m)
//!   16 of │ q    │ │scores │ │       │ │       │       sum = a * sum + Σ p    out = a * out + p v
//!  a warp └──────┘ └───────┘ └───────┘ └───────┘       at the end: out / sum
//! ```
//!
//! - Operands are read by strides as they lie, so queries, keys and values may be parts of one product; the mask too, with strides of 0
//!   along what it repeats. The result goes through the epilogue to any view.
//! - Traffic: queries and results once, keys and values once a block of queries, mostly from the L2 cache.
//! - Limits: depth and width multiples of 16, at most 128; one key head for each query head.
//!
//! Families: [`tensor`] for f16 and bf16 on tensor cores (sm_80 on), [`wide`] for them with warp groups (sm_90a), [`plain`] for f32 in
//! f32 everywhere.
//!
//! Source of the idea: FlashAttention 2; sums and the largest score as in "Online normalizer calculation for softmax".

pub mod plain;
mod softmax;
pub mod tensor;
pub mod wide;

use ptx::{Builder, Cmp, Ftz, ParamRole, Reg, Shuffle, Sm, Space, Special, Type};

use crate::finish::{Destination, Finish};
use crate::fragment::Input;
use crate::launch::{KernelError, Params, Role, Tensor, batch_coordinates, tensor_base};
use crate::product::Matrix;
use crate::shared::Placement;
use crate::source::{Loader, Place, TileSource, Transport};
use crate::val::{Val, address};

pub(crate) const FAMILY: &str = "attention";

/// What is to be computed. Rows (queries), depth (keys) and strides are arguments.
#[derive(Clone, Debug, PartialEq)]
pub struct Attention {
    pub input: Input,
    pub batch_dims: u32,
    /// Elements of a query and of a value.
    pub depth: u32,
    pub width: u32,
    /// Bytes that may be copied at once, from all three operands.
    pub chunk: u32,
    pub scale: f32,
    pub mask: Option<Mask>,
    /// Whether a key takes part only for queries that do not stand before it, by so many as an argument says.
    pub causal: bool,
    pub zero_empty: bool,
    pub finish: Finish,
}

/// The mask as it lies in memory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mask {
    /// Added to scores.
    F32,
    F16,
    Bf16,
    /// Bytes; where they are 0 the score is this.
    Bool {
        fill: f32,
    },
}

/// How it is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttentionVariant {
    pub warps: u32,
    /// Queries of a CTA.
    pub queries: u32,
    /// Keys of a block.
    pub keys: u32,
    pub stages: u32,
    /// Whether warp groups multiply straight from shared memory.
    pub wide: bool,
}

impl AttentionVariant {
    pub const fn threads(&self) -> u32 {
        self.warps * 32
    }

    /// `w64x64_4_2`: `w` for warp groups, then queries, keys, warps, stages.
    pub fn name(&self) -> String {
        let prefix = if self.wide { "w" } else { "" };
        format!("{prefix}{}x{}_{}_{}", self.queries, self.keys, self.warps, self.stages)
    }
}

/// An attention's parameters in registers.
pub(crate) struct Opening {
    pub rows: Val,
    pub keys: Val,
    /// The first query of the CTA.
    pub first: Val,
    /// Queries, keys, values.
    pub operands: Vec<Matrix>,
    pub masks: Masks,
    pub to: Destination,
    pub thread: Reg,
    /// Address of the shared memory.
    pub shared: Reg,
}

/// What scores are subject to.
pub(crate) struct Masks {
    mask: Option<(Mask, Reg, [Val; 2])>,
    past: Option<Val>,
    rows: Val,
    keys: Val,
    scale: f32,
}

/// A row of a thread: its query, and where its part of the mask begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MaskRow {
    query: Val,
    pointer: Option<Reg>,
}

impl Opening {
    pub fn new(
        b: &mut Builder,
        params: &mut Params,
        problem: &Attention,
        variant: &AttentionVariant,
    ) -> Result<Opening, KernelError> {
        let rows = params.u32(b, Role::Rows);
        let keys = params.u32(b, Role::Depth);
        let past = problem.causal.then(|| params.u32(b, Role::Past));
        let (head, block) = (Val::Reg(b.special(Special::CtaidX)), Val::Reg(b.special(Special::CtaidY)));
        let coordinates = batch_coordinates(b, params, problem.batch_dims, head);
        let bytes = problem.input.bytes();
        let operands = (0..3)
            .map(|n| {
                let tensor = Tensor::Read(n);
                let base = tensor_base(b, params, tensor, ParamRole::Data, &coordinates, bytes);
                Matrix { base, lead: params.lead(b, tensor) }
            })
            .collect();
        let mask = problem.mask.map(|mask| {
            let tensor = Tensor::Read(3);
            let base = tensor_base(b, params, tensor, ParamRole::Data, &coordinates, mask.bytes());
            let mut stride = |role| {
                let wide = params.u64(b, role);
                let elements: Val = b.cvt(Type::U32, Type::U64, wide).into();
                elements.mul(b, mask.bytes())
            };
            let strides = [stride(Role::Lead(tensor)), stride(Role::BatchStride(tensor, problem.batch_dims))];
            (mask, base, strides)
        });
        let width = Val::Const(problem.width);
        let to = problem.finish.destination(b, params, &coordinates, (rows, width))?;
        let thread = b.special(Special::TidX);
        let shared = b.dynamic_shared(if variant.wide { 1024 } else { 128 });
        let shared = b.mov(Type::U32, shared);
        let first = block.mul(b, variant.queries);
        let masks = Masks { mask, past, rows, keys, scale: problem.scale };
        Ok(Opening { rows, keys, first, operands, masks, to, thread, shared })
    }

    /// The copies of the queries, by threads that are numbered so.
    pub fn queries(&self, b: &mut Builder, problem: &Attention, source: TileSource, thread: Reg) -> Option<Loader> {
        let Matrix { base, lead } = *self.operands.first()?;
        let place = Place {
            base,
            lead,
            start: self.first,
            extent: self.rows,
            first: Val::Const(0),
            depth: Val::Const(problem.depth),
            thread,
        };
        Some(Loader::new(b, source, place))
    }

    /// The copies of blocks of keys (1) or values (2), the extent of whose rows is given.
    pub fn blocks(&self, b: &mut Builder, operand: usize, source: TileSource, extent: u32) -> Option<Loader> {
        self.blocks_from(b, operand, source, extent, (Val::Const(0), self.thread))
    }

    /// The same from a key on, where the threads that copy are numbered so.
    pub fn blocks_from(
        &self,
        b: &mut Builder,
        operand: usize,
        source: TileSource,
        extent: u32,
        (first, thread): (Val, Reg),
    ) -> Option<Loader> {
        let Matrix { base, lead } = *self.operands.get(operand)?;
        let place =
            Place { base, lead, start: Val::Const(0), extent: Val::Const(extent), first, depth: self.keys, thread };
        Some(Loader::new(b, source, place))
    }

    /// How many blocks of keys some query of the CTA looks at.
    pub fn count(&self, b: &mut Builder, variant: &AttentionVariant) -> Val {
        let keys = match self.masks.past {
            Some(past) => {
                let end = self.first.add(b, variant.queries);
                end.add(b, past).min(b, self.keys)
            }
            None => self.keys,
        };
        keys.ceil_div(b, variant.keys)
    }
}

/// A tile whose rows are queries (along which the sum runs) or, `crossed`, keys.
pub(crate) fn tile(
    input: Input,
    (rows, row_bytes): (u32, u32),
    placement: Placement,
    crossed: bool,
    threads: u32,
    (chunk, sm): (u32, Sm),
) -> TileSource {
    let transport = if sm.number() >= 80 && chunk >= 4 { Transport::Async } else { Transport::Registers };
    let depth = if crossed { rows } else { row_bytes / input.bytes() };
    TileSource { rows, row_bytes, placement, element: input.bytes(), chunk, crossed, depth, threads, transport }
}

impl Mask {
    pub const fn bytes(self) -> u32 {
        match self {
            Mask::F32 => 4,
            Mask::F16 | Mask::Bf16 => 2,
            Mask::Bool { .. } => 1,
        }
    }

    fn load(self, b: &mut Builder, at: Reg) -> Reg {
        match self {
            Mask::F32 => b.ld(Space::Global, Type::F32, at),
            Mask::F16 => {
                let half = b.ld(Space::Global, Type::B16, at);
                b.cvt(Type::F32, Type::F16, half)
            }
            Mask::Bf16 => {
                let half = b.ld(Space::Global, Type::B16, at);
                let zero = b.mov(Type::B16, 0_u32);
                b.pack(&[zero, half])
            }
            Mask::Bool { .. } => b.ld(Space::Global, Type::U8, at),
        }
    }
}

impl Masks {
    /// A row of scores, by its query; one beyond the last reads the last one's mask.
    pub fn row(&self, b: &mut Builder, query: Val) -> MaskRow {
        let pointer = self.mask.map(|(_, base, [down, _])| {
            let last = self.rows.sub(b, 1);
            let row = query.min(b, last);
            address(b, base, row, down)
        });
        MaskRow { query, pointer }
    }

    /// The end of the keys that take part for a query.
    fn end(&self, b: &mut Builder, query: Val) -> Reg {
        let end = match self.past {
            Some(past) => query.add(b, past).add(b, 1).min(b, self.keys),
            None => self.keys,
        };
        end.reg(b)
    }

    /// What the mask holds for some keys of a row.
    pub fn load(&self, b: &mut Builder, row: &MaskRow, keys: &[Val]) -> Vec<Reg> {
        let (Some((mask, _, [_, across])), Some(pointer)) = (self.mask, row.pointer) else { return Vec::new() };
        let last = self.keys.sub(b, 1);
        let mut one = |key: &Val| {
            let key = key.min(b, last);
            let at = address(b, pointer, key, across);
            mask.load(b, at)
        };
        keys.iter().map(&mut one).collect()
    }

    /// Makes a score of a sum of products.
    pub fn apply(&self, b: &mut Builder, sum: Reg, (row, key): (&MaskRow, Val), masked: Option<&Reg>) {
        let never = f32::NEG_INFINITY;
        match (self.mask, masked) {
            (Some((Mask::Bool { fill }, ..)), Some(masked)) => {
                let takes_part = b.setp(Cmp::Ne, Type::U32, *masked, 0_u32);
                let score = b.mul(Type::F32, sum, self.scale);
                let kept = b.selp(Type::F32, score, fill, takes_part);
                b.mov_to(Type::F32, sum, kept);
            }
            (Some(_), Some(masked)) => {
                let score = b.mad(Type::F32, sum, self.scale, *masked);
                b.mov_to(Type::F32, sum, score);
            }
            _ => {
                let score = b.mul(Type::F32, sum, self.scale);
                b.mov_to(Type::F32, sum, score);
            }
        }
        if let Some(past) = self.past {
            let last = row.query.add(b, past).reg(b);
            let key = key.reg(b);
            let visible = b.setp(Cmp::Le, Type::U32, key, last);
            let kept = b.selp(Type::F32, sum, never, visible);
            b.mov_to(Type::F32, sum, kept);
        }
        let inside = key.less(b, self.keys);
        let kept = b.selp(Type::F32, sum, never, inside);
        b.mov_to(Type::F32, sum, kept);
    }
}

/// The largest score of a row so far, and the sum of its powers: this thread's part.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub largest: Reg,
    pub sum: Reg,
}

impl Row {
    pub fn new(b: &mut Builder) -> Row {
        Row { largest: b.mov(Type::F32, f32::NEG_INFINITY), sum: b.mov(Type::F32, 0.0_f32) }
    }

    /// Turns the scores of a row into powers; yields by what earlier results are to be scaled. The row lies over `lanes` lanes.
    pub fn update(&self, b: &mut Builder, scores: &[Reg], lanes: u32) -> Reg {
        let mut top = self.largest;
        for score in scores {
            top = b.max(Type::F32, top, *score);
        }
        top = across(b, top, lanes, |b, x, y| b.max(Type::F32, x, y));
        // Where nothing takes part yet, nothing is subtracted.
        let some = b.setp(Cmp::Ne, Type::F32, top, f32::NEG_INFINITY);
        let origin = b.selp(Type::F32, top, 0.0_f32, some);
        let factor = power(b, self.largest, origin);
        b.mov_to(Type::F32, self.largest, top);
        let sum = b.mul(Type::F32, self.sum, factor);
        b.mov_to(Type::F32, self.sum, sum);
        for score in scores {
            let value = power(b, *score, origin);
            b.mov_to(Type::F32, *score, value);
            let sum = b.add(Type::F32, self.sum, value);
            b.mov_to(Type::F32, self.sum, sum);
        }
        factor
    }

    /// One over the sum of the whole row, and whether the row has one.
    pub fn inverse(&self, b: &mut Builder, lanes: u32) -> (Reg, Reg) {
        let total = across(b, self.sum, lanes, |b, x, y| b.add(Type::F32, x, y));
        let has = b.setp(Cmp::Gt, Type::F32, total, 0.0_f32);
        (b.rcp(Type::F32, total), has)
    }
}

/// `exp(x - origin)`.
fn power(b: &mut Builder, x: Reg, origin: Reg) -> Reg {
    let below = b.sub(Type::F32, x, origin);
    let scaled = b.mul(Type::F32, below, std::f32::consts::LOG2_E);
    b.ex2_approx(Ftz::No, scaled)
}

/// A reduction over neighbouring lanes, which all have the result.
fn across(b: &mut Builder, mut value: Reg, lanes: u32, combine: impl Fn(&mut Builder, Reg, Reg) -> Reg) -> Reg {
    let mut distance = lanes / 2;
    while distance > 0 {
        let other = b.shfl(Shuffle::Bfly, value, distance);
        value = combine(b, value, other);
        distance /= 2;
    }
    value
}

/// A finished element.
pub(crate) fn finished(b: &mut Builder, problem: &Attention, value: Reg, (inverse, has): (Reg, Reg)) -> Reg {
    let value = b.mul(Type::F32, value, inverse);
    if problem.zero_empty { b.selp(Type::F32, value, 0.0_f32, has) } else { value }
}
