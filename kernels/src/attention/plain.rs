//! Attention in f32 without tensor cores: 16 lanes a row of scores, each with some rows, keys and columns of the result.
//!
//! ```text
//! lane % 16 → keys x, x + 16, … of a block       columns v * x … of the result, v at once
//! lane / 16, warp → queries y, y + 2 * warps, …
//! ```
//!
//! Powers go through shared memory, from the lanes of a row to the same lanes. Copies: one block ahead.

use ptx::{Builder, Cmp, Form, Op, Reg, Sm, Space, Type, Vector};

use crate::attention::{Attention, AttentionVariant, FAMILY, Opening, Row, finished, tile};
use crate::fragment::Input;
use crate::launch::{Grid, KernelError, Params, TileKernel};
use crate::shared::Placement;
use crate::source::{Fill, TileSource, Transport};
use crate::val::Val;

/// Registers of a block on its way, where copies go through them.
const MOST_STAGED: u32 = 64;
/// Lanes of a row.
const LANES: u32 = 16;

const fn variant(warps: u32, rows: u32, keys: u32) -> AttentionVariant {
    AttentionVariant { warps, queries: warps * 2 * rows, keys, stages: 2, wide: false }
}

pub const VARIANTS: &[AttentionVariant] = &[
    variant(4, 4, 64),
    variant(4, 2, 64),
    variant(8, 4, 64),
    variant(4, 4, 32),
    variant(4, 2, 32),
    variant(8, 2, 32),
    variant(2, 2, 32),
    variant(4, 1, 64),
];

/// How the tiles lie.
#[derive(Clone, Copy)]
struct Layout {
    depth: u32,
    width: u32,
    /// Bytes between rows.
    depth_pitch: u32,
    width_pitch: u32,
    power_pitch: u32,
    queries: u32,
    keys: u32,
}

impl Layout {
    fn of(problem: &Attention, variant: &AttentionVariant) -> Layout {
        let (depth, width) = (problem.depth.next_power_of_two(), problem.width.next_power_of_two());
        Layout {
            depth,
            width,
            depth_pitch: depth * 4 + 16,
            width_pitch: width * 4,
            power_pitch: variant.keys * 4 + 16,
            queries: variant.queries,
            keys: variant.keys,
        }
    }

    fn slot(&self) -> u32 {
        self.keys * (self.depth_pitch + self.width_pitch)
    }

    /// Queries, powers, then the blocks.
    fn powers(&self) -> u32 {
        self.queries * self.depth_pitch
    }

    fn ring(&self) -> u32 {
        self.powers() + self.queries * self.power_pitch
    }
}

/// Bytes of shared memory of a variant.
pub fn shared(problem: &Attention, variant: &AttentionVariant) -> u32 {
    let layout = Layout::of(problem, variant);
    layout.ring() + variant.stages * layout.slot()
}

/// Emits the kernel.
pub fn emit(problem: &Attention, variant: &AttentionVariant, sm: Sm) -> Result<TileKernel, KernelError> {
    let refuse = |what, found, rule| Err(KernelError::Variant { family: FAMILY, what, found, rule });
    if problem.input != Input::F32 || !matches!(problem.chunk, 4 | 16) {
        return refuse("chunk", problem.chunk, "operands are f32, copied in chunks of 4 or 16 bytes");
    }
    for size in [problem.depth, problem.width] {
        if size == 0 || size % LANES != 0 || size > 128 {
            return refuse("size of a head", size, "it must be a multiple of 16, at most 128");
        }
    }
    let together = together(problem);
    let problem = &Attention { finish: problem.finish.at_most(together), ..problem.clone() };
    let layout = Layout::of(problem, variant);
    let threads = variant.threads();
    let source = |rows, row: u32, pitch, crossed| {
        let placement = Placement::Rows { pitch };
        tile(problem.input, (rows, row * 4), placement, crossed, threads, (problem.chunk, sm))
    };
    let sources = [
        source(variant.queries, layout.depth, layout.depth_pitch, false),
        source(variant.keys, layout.depth, layout.depth_pitch, true),
        source(variant.keys, layout.width, layout.width_pitch, true),
    ];
    if !sources.iter().all(TileSource::is_even) {
        return refuse("threads", threads, "the chunks of a tile must spread evenly over them");
    }
    let staged = |s: &TileSource| if s.transport == Transport::Registers { s.per_thread() * s.chunk / 4 } else { 0 };
    let registers = staged(&sources[1]) + staged(&sources[2]);
    if registers > MOST_STAGED {
        return refuse("staged registers", registers, "without asynchronous copies a block is held by 64 registers");
    }
    let name = format!("attention_f32_{}x{}_{}", problem.depth, problem.width, variant.name());
    let mut b = Builder::new(&name);
    b.block([threads, 1, 1]);
    let mut params = Params::default();
    let mut open = Opening::new(&mut b, &mut params, problem, variant)?;
    let missing = KernelError::Epilogue { what: "operands", found: open.operands.len(), expected: 3 };
    let queries = open.queries(&mut b, problem, sources[0], open.thread).ok_or(missing.clone())?;
    let keys = open.blocks(&mut b, 1, sources[1], problem.depth).ok_or(missing.clone())?;
    let values = open.blocks(&mut b, 2, sources[2], problem.width).ok_or(missing)?;
    let mut run = Run { problem, variant, layout, is_async: sm.number() >= 80, keys, values };
    let results = run.all(&mut b, &open, queries);
    let finish = &problem.finish;
    for (row, parts) in &results {
        for (column, values) in parts {
            for (k, values) in (0_u32..).zip(values.chunks(finish.vector() as usize)) {
                let column = column.add(&mut b, k * finish.vector());
                finish.store(&mut b, &mut params, sm, &mut open.to, (*row, column), values)?;
            }
        }
    }
    let grid = Grid { tile_rows: variant.queries, tile_columns: problem.width, group: 1, splits: 1, cluster: 1 };
    let shared = shared(problem, variant);
    Ok(TileKernel { entry: b.finish(), roles: params.finish(), threads, shared, grid })
}

/// Columns of the result that lie together in a lane.
fn together(problem: &Attention) -> u32 {
    let per_lane = problem.width / LANES;
    [4, 2].into_iter().find(|v| per_lane % v == 0).unwrap_or(1)
}

struct Run<'a, F> {
    problem: &'a Attention,
    variant: &'a AttentionVariant,
    layout: Layout,
    is_async: bool,
    keys: F,
    values: F,
}

/// A row of the result with runs of columns, each from one on.
type Results = Vec<(Val, Vec<(Val, Vec<Reg>)>)>;

impl<F: Fill> Run<'_, F> {
    fn begin(&mut self, b: &mut Builder, slot: Val, exists: Option<Reg>) {
        self.keys.begin(b, slot, exists);
        let after = slot.add(b, self.layout.keys * self.layout.depth_pitch);
        self.values.begin(b, after, exists);
        if self.is_async {
            b.cp_async_commit();
        }
    }

    fn land(&self, b: &mut Builder, slot: Val) {
        self.keys.land(b, slot);
        let after = slot.add(b, self.layout.keys * self.layout.depth_pitch);
        self.values.land(b, after);
        if self.is_async {
            b.cp_async_wait(0);
        }
    }

    fn all(&mut self, b: &mut Builder, open: &Opening, mut queries: F) -> Results {
        let (problem, variant, layout) = (self.problem, self.variant, self.layout);
        let (x, y) = {
            let (y, x) = Val::Reg(open.thread).div_rem(b, LANES);
            (x, y)
        };
        let distance = variant.warps * 2;
        let count_rows = variant.queries / distance;
        let base = Val::Reg(open.shared);
        let ring = base.add(b, layout.ring());
        let count = open.count(b, variant).reg(b);
        let some = b.setp(Cmp::Gt, Type::S32, count, 0_i32);
        queries.begin(b, base, None);
        self.begin(b, ring, Some(some));
        queries.land(b, base);
        self.land(b, ring);
        b.barrier();
        let query = open.first.add(b, y);
        let rows: Vec<_> = (0..count_rows)
            .map(|i| {
                let query = query.add(b, i * distance);
                (query, open.masks.row(b, query), Row::new(b))
            })
            .collect();
        let regs = |b: &mut Builder, count: u32| -> Vec<Vec<Reg>> {
            (0..count_rows).map(|_| (0..count).map(|_| b.mov(Type::F32, 0.0_f32)).collect()).collect()
        };
        let out = regs(b, problem.width / LANES);
        let scores = regs(b, variant.keys / LANES);
        let query_at = y.mul(b, layout.depth_pitch).add(b, base).reg(b);
        let power_row = y.mul(b, layout.power_pitch).add(b, base).add(b, layout.powers());
        let power_at = x.mul(b, 4).add(b, power_row).reg(b);
        let power_row = power_row.reg(b);
        let key_at = x.mul(b, layout.depth_pitch).reg(b);
        let value_at = x.mul(b, together(self.problem) * 4).add(b, layout.keys * layout.depth_pitch).reg(b);
        let ring = ring.reg(b);
        let (read, fill) = (b.mov(Type::U32, ring), b.add(Type::U32, ring, layout.slot()));
        let fill = b.mov(Type::U32, fill);
        let left = b.mov(Type::U32, count);
        let key = b.mov(Type::U32, x);
        let (head, done) = (b.label("KEYS"), b.label("KEYS_DONE"));
        b.bra_unless(some, done);
        b.place(head);
        let next = b.setp(Cmp::Gt, Type::S32, left, 1_i32);
        self.begin(b, fill.into(), Some(next));
        let columns: Vec<Val> = (0..variant.keys / LANES).map(|j| Val::Reg(key).add(b, j * LANES)).collect();
        for reg in scores.iter().flatten() {
            b.mov_to(Type::F32, *reg, 0.0_f32);
        }
        let from_keys = b.add(Type::U32, key_at, read);
        for d in (0..i64::from(problem.depth)).step_by(4) {
            let of = |b: &mut Builder, start: Reg, step: u32, count: usize| -> Vec<Vec<Reg>> {
                let at = |k: usize| (start, k as i64 * i64::from(step) + d * 4);
                (0..count).map(|k| b.ld_vector(Space::Shared, Type::F32, Vector::V4, at(k))).collect()
            };
            let left = of(b, query_at, distance * layout.depth_pitch, count_rows as usize);
            let right = of(b, from_keys, LANES * layout.depth_pitch, columns.len());
            for (sums, q) in scores.iter().zip(&left) {
                for (sum, k) in sums.iter().zip(&right) {
                    q.iter().zip(k).for_each(|(q, k)| b.accumulate(Type::F32, *q, *k, *sum));
                }
            }
        }
        for (i, ((_, mask_row, row), own)) in rows.iter().zip(&scores).enumerate() {
            let masked = open.masks.load(b, mask_row, &columns);
            for (n, score) in own.iter().enumerate() {
                open.masks.apply(b, *score, (mask_row, columns[n]), masked.get(n));
            }
            let factor = row.update(b, own, LANES);
            for value in &out[i] {
                let scaled = b.mul(Type::F32, *value, factor);
                b.mov_to(Type::F32, *value, scaled);
            }
            for (n, power) in own.iter().enumerate() {
                let at = i as i64 * i64::from(distance * layout.power_pitch) + n as i64 * i64::from(LANES * 4);
                b.st(Space::Shared, Type::F32, (power_at, at), *power);
            }
        }
        b.warp_barrier();
        let from_values = b.add(Type::U32, value_at, read);
        for t in (0..i64::from(variant.keys)).step_by(4) {
            let powers: Vec<Vec<Reg>> = (0..i64::from(count_rows))
                .map(|i| {
                    let at = (power_row, i * i64::from(distance * layout.power_pitch) + t * 4);
                    b.ld_vector(Space::Shared, Type::F32, Vector::V4, at)
                })
                .collect();
            for k in 0..4 {
                let values = self.values_of(b, from_values, t + k as i64);
                for (sums, powers) in out.iter().zip(&powers) {
                    sums.iter().zip(&values).for_each(|(sum, v)| b.accumulate(Type::F32, powers[k], *v, *sum));
                }
            }
        }
        self.land(b, fill.into());
        b.barrier();
        let before = b.mov(Type::U32, read);
        b.mov_to(Type::U32, read, fill);
        b.mov_to(Type::U32, fill, before);
        b.emit(Form::new(Op::Add, Type::U32), [key.into(), key.into(), variant.keys.into()]);
        b.emit(Form::new(Op::Add, Type::S32), [left.into(), left.into(), (-1_i32).into()]);
        let again = b.setp(Cmp::Gt, Type::S32, left, 0_i32);
        b.bra_if(again, head);
        b.place(done);
        let first = x.mul(b, together(self.problem));
        let mut results = Vec::new();
        for ((query, _, row), sums) in rows.iter().zip(&out) {
            let inverse = row.inverse(b, LANES);
            let values: Vec<Reg> = sums.iter().map(|value| finished(b, problem, *value, inverse)).collect();
            let mut parts = Vec::new();
            for (k, part) in (0_u32..).zip(values.chunks(together(self.problem) as usize)) {
                parts.push((first.add(b, k * LANES * together(self.problem)), part.to_vec()));
            }
            results.push((*query, parts));
        }
        results
    }

    /// A lane's columns of a row of values.
    fn values_of(&self, b: &mut Builder, from: Reg, row: i64) -> Vec<Reg> {
        let together = together(self.problem);
        let mut out = Vec::new();
        for k in 0..i64::from(self.problem.width / LANES / together) {
            let at = (from, row * i64::from(self.layout.width_pitch) + k * i64::from(LANES * together * 4));
            match Vector::of(together as usize) {
                Some(vector) if together > 1 => out.extend(b.ld_vector(Space::Shared, Type::F32, vector, at)),
                _ => out.push(b.ld(Space::Shared, Type::F32, at)),
            }
        }
        out
    }
}
