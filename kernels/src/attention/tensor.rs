//! Attention on tensor cores: 16 queries a warp, `mma.sync` for both products, sums and softmax in f32.
//!
//! The sums of the first product lie in the registers of a warp just as the second wants its first operand, so powers are rounded
//! to the operands' type and multiplied without a detour. Tiles have rows of a power of two bytes; what is beyond is zero.

use ptx::{Builder, Class, Cmp, Form, Op, Reg, Sm, Type};

use crate::attention::softmax::{Softmax, rescale};
use crate::attention::{Attention, AttentionVariant, FAMILY, Opening, finished, tile};
use crate::fragment::{Fragments, GROUP, Input, Part, multiply_row};
use crate::launch::{Grid, KernelError, Params, TileKernel};
use crate::shared::{Placement, SharedTile};
use crate::source::{Fill, TileSource};
use crate::turn::Turn;
use crate::val::Val;

/// Registers that a thread may hold through a block of keys, and what they are called.
const MOST_HELD: u32 = 150;
const HELD: &str = "registers";

const fn variant(warps: u32, keys: u32, stages: u32) -> AttentionVariant {
    AttentionVariant { warps, queries: warps * GROUP, keys, stages, wide: false }
}

pub const VARIANTS: &[AttentionVariant] = &[
    variant(1, 64, 2),
    variant(2, 64, 2),
    variant(4, 64, 2),
    variant(8, 64, 2),
    variant(1, 32, 3),
    variant(2, 32, 3),
    variant(4, 32, 3),
    variant(1, 128, 2),
    variant(2, 128, 2),
    variant(4, 128, 2),
];

/// Bytes of shared memory of a variant.
pub fn shared(problem: &Attention, variant: &AttentionVariant) -> u32 {
    let [q, k, v] = tiles(problem, variant);
    let results = variant.queries * (stored_columns(problem) + 8) * 4;
    (q.bytes() + variant.stages * (k.bytes() + v.bytes())).max(results)
}

/// Columns of the result with which whole rows are stored.
fn stored_columns(problem: &Attention) -> u32 {
    problem.width.next_power_of_two()
}

fn tiles(problem: &Attention, variant: &AttentionVariant) -> [SharedTile; 3] {
    let row = |elements: u32| (elements * 2).next_power_of_two();
    [
        SharedTile { rows: variant.queries, row_bytes: row(problem.depth) },
        SharedTile { rows: variant.keys, row_bytes: row(problem.depth) },
        SharedTile { rows: variant.keys, row_bytes: row(problem.width) },
    ]
}

fn check(problem: &Attention, variant: &AttentionVariant, sm: Sm) -> Result<(), KernelError> {
    let refuse = |what, found, rule| Err(KernelError::Variant { family: FAMILY, what, found, rule });
    if sm.number() < 80 {
        return Err(KernelError::Target { family: FAMILY, what: problem.input.name(), least: 80, sm });
    }
    if !matches!(problem.input, Input::F16 | Input::Bf16) {
        return refuse("input bytes", problem.input.bytes(), "tensor cores take f16 and bf16 here");
    }
    for size in [problem.depth, problem.width] {
        if size == 0 || size % GROUP != 0 || size > 128 {
            return refuse("size of a head", size, "it must be a multiple of 16, at most 128");
        }
    }
    // Scores, results and queries; the mask of a block.
    let held = (variant.keys + problem.width) / 2 + problem.depth / 4;
    let registers = held + if problem.mask.is_some() { variant.keys / 2 } else { 0 };
    if registers > MOST_HELD {
        return refuse(HELD, registers, "more leave none for the products");
    }
    if problem.chunk < 4 || variant.stages < 2 {
        return refuse("stages", variant.stages, "copies run ahead, in chunks of 4 bytes or more");
    }
    Ok(())
}

/// Emits the kernel.
pub fn emit(problem: &Attention, variant: &AttentionVariant, sm: Sm) -> Result<TileKernel, KernelError> {
    check(problem, variant, sm)?;
    let [q_tile, k_tile, v_tile] = tiles(problem, variant);
    let threads = variant.threads();
    let source = |tile_of: SharedTile, crossed| {
        let rows = (tile_of.rows, tile_of.row_bytes);
        tile(problem.input, rows, Placement::Exchanged(tile_of), crossed, threads, (problem.chunk, sm))
    };
    let sources = [source(q_tile, false), source(k_tile, true), source(v_tile, true)];
    if !sources.iter().all(TileSource::is_even) {
        let rule = "the chunks of a tile must spread evenly over them";
        return Err(KernelError::Variant { family: FAMILY, what: "threads", found: threads, rule });
    }
    let name = format!("attention_{}_{}x{}_{}", problem.input.name(), problem.depth, problem.width, variant.name());
    let mut b = Builder::new(&name);
    b.block([threads, 1, 1]);
    let mut params = Params::default();
    let mut open = Opening::new(&mut b, &mut params, problem, variant)?;
    let missing = KernelError::Epilogue { what: "operands", found: open.operands.len(), expected: 3 };
    let queries = open.queries(&mut b, problem, sources[0], open.thread).ok_or(missing.clone())?;
    let keys = open.blocks(&mut b, 1, sources[1], problem.depth).ok_or(missing.clone())?;
    let values = open.blocks(&mut b, 2, sources[2], problem.width).ok_or(missing)?;
    let mut run = Run { problem, variant, q_tile, k_tile, v_tile, keys, values };
    let sums = run.all(&mut b, &open, queries);
    let turn = Turn { columns: stored_columns(problem), spacing: GROUP, sm };
    let warp = Val::Reg(open.thread).shr(&mut b, 5).mul(&mut b, GROUP);
    let at = [(open.first, Val::Const(0)), (warp, Val::Const(0))];
    turn.store(&mut b, &mut params, &vec![sums], (&problem.finish, &mut open.to), at, (open.thread, open.shared))?;
    let grid =
        Grid { tile_rows: variant.queries, tile_columns: stored_columns(problem), group: 1, splits: 1, cluster: 1 };
    let shared = shared(problem, variant);
    Ok(TileKernel { entry: b.finish(), roles: params.finish(), threads, shared, grid })
}

struct Run<'a, F> {
    problem: &'a Attention,
    variant: &'a AttentionVariant,
    q_tile: SharedTile,
    k_tile: SharedTile,
    v_tile: SharedTile,
    keys: F,
    values: F,
}

impl<F: Fill> Run<'_, F> {
    fn slot(&self) -> u32 {
        self.k_tile.bytes() + self.v_tile.bytes()
    }

    fn begin(&mut self, b: &mut Builder, slot: Val, exists: Option<Reg>) {
        self.keys.begin(b, slot, exists);
        let after = slot.add(b, self.k_tile.bytes());
        self.values.begin(b, after, exists);
        b.cp_async_commit();
    }

    /// The finished results: for every 8 columns four registers.
    fn all(&mut self, b: &mut Builder, open: &Opening, mut queries: F) -> Vec<Vec<Reg>> {
        let (problem, variant) = (self.problem, self.variant);
        let thread = Val::Reg(open.thread);
        let (warp, lane) = (thread.shr(b, 5), thread.and(b, 31));
        let first_row = warp.mul(b, GROUP);
        let base = Val::Reg(open.shared);
        queries.begin(b, base, None);
        b.cp_async_commit();
        let count = open.count(b, variant).reg(b);
        let ring = base.add(b, self.q_tile.bytes());
        for stage in 0..variant.stages - 1 {
            let exists = b.setp(Cmp::Gt, Type::S32, count, stage);
            let slot = ring.add(b, stage * self.slot());
            self.begin(b, slot, Some(exists));
        }
        let lane_reg = lane.reg(b);
        let part = |tile, crossed, at, start, groups, steps| Part {
            tile,
            crossed,
            at,
            start,
            groups,
            steps,
            input: problem.input,
        };
        let (depth_steps, key_steps) = (problem.depth / GROUP, variant.keys / GROUP);
        let q = Fragments::new(b, part(self.q_tile, false, 0, first_row, 1, depth_steps), lane_reg);
        let k = Fragments::new(b, part(self.k_tile, false, 0, Val::Const(0), key_steps, depth_steps), lane_reg);
        let at = self.k_tile.bytes();
        let v =
            Fragments::new(b, part(self.v_tile, true, at, Val::Const(0), problem.width / GROUP, key_steps), lane_reg);
        b.cp_async_wait(variant.stages - 1);
        b.barrier();
        let mut q_parts = Vec::new();
        for step in 0..depth_steps {
            let regs = vec![b.regs(Class::B32, 4)];
            q.load_into(b, open.shared, step, &regs);
            q_parts.push(regs.concat());
        }
        let first_query = open.first.add(b, first_row);
        let softmax = Softmax::new(b, &open.masks, first_query, variant.keys, lane);
        let four = |b: &mut Builder| -> Vec<Reg> { (0..4).map(|_| b.mov(Type::F32, 0.0_f32)).collect() };
        let out: Vec<Vec<Reg>> = (0..problem.width / 8).map(|_| four(b)).collect();
        let scores: Vec<Vec<Reg>> = (0..variant.keys / 8).map(|_| four(b)).collect();
        let ring_start = ring.reg(b);
        let read = b.mov(Type::U32, ring_start);
        let ahead = ring.add(b, (variant.stages - 1) * self.slot());
        let fill = b.mov(Type::U32, ahead);
        let end = ring.add(b, variant.stages * self.slot()).reg(b);
        let left = b.mov(Type::U32, count);
        let key = b.mov(Type::U32, 0_u32);
        let (head, done) = (b.label("KEYS"), b.label("KEYS_DONE"));
        let any = b.setp(Cmp::Gt, Type::S32, left, 0_i32);
        b.bra_unless(any, done);
        b.place(head);
        let masked = softmax.load(b, key);
        b.cp_async_wait(variant.stages - 2);
        b.barrier();
        let exists = b.setp(Cmp::Gt, Type::S32, left, variant.stages - 1);
        self.begin(b, fill.into(), Some(exists));
        for reg in scores.iter().flatten() {
            b.mov_to(Type::F32, *reg, 0.0_f32);
        }
        k.load(b, read, 0, 0);
        for (step, q) in (0..depth_steps).zip(&q_parts) {
            let turn = (step % 2) as usize;
            if step + 1 < depth_steps {
                k.load(b, read, step + 1, 1 - turn);
            }
            multiply_row(b, problem.input, &scores, q, (&k, turn));
        }
        v.load(b, read, 0, 0);
        let factors = softmax.update(b, &scores, key, &masked);
        rescale(b, &out, factors);
        let pair = if problem.input == Input::F16 { Type::F16x2 } else { Type::Bf16x2 };
        for (step, blocks) in (0..key_steps).zip(scores.chunks(2)) {
            let turn = (step % 2) as usize;
            if step + 1 < key_steps {
                v.load(b, read, step + 1, 1 - turn);
            }
            let powers: Vec<Reg> =
                blocks.iter().flat_map(|four| four.chunks(2)).map(|two| b.cvt_pair(pair, two[0], two[1])).collect();
            multiply_row(b, problem.input, &out, &powers, (&v, turn));
        }
        for slot in [read, fill] {
            b.emit(Form::new(Op::Add, Type::U32), [slot.into(), slot.into(), self.slot().into()]);
            let wrapped = b.setp(Cmp::Eq, Type::U32, slot, end);
            b.guarded(wrapped, |b| b.mov_to(Type::U32, slot, ring_start));
        }
        b.emit(Form::new(Op::Add, Type::U32), [key.into(), key.into(), variant.keys.into()]);
        b.emit(Form::new(Op::Add, Type::S32), [left.into(), left.into(), (-1_i32).into()]);
        let again = b.setp(Cmp::Gt, Type::S32, left, 0_i32);
        b.bra_if(again, head);
        b.place(done);
        b.barrier();
        let inverses = softmax.inverses(b);
        let mut results: Vec<Vec<Reg>> = Vec::new();
        for four in &out {
            let values = four.iter().enumerate().map(|(n, value)| finished(b, problem, *value, inverses[n / 2]));
            results.push(values.collect());
        }
        let zero = b.mov(Type::F32, 0.0_f32);
        results.resize((stored_columns(problem) / 8) as usize, vec![zero; 4]);
        results
    }
}
