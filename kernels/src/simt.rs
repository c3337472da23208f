//! Matrix products in f32 without tensor cores: `C[z][m][n] = Σ over k of A[z][m][k] * B[z][k][n]`, by fused multiply-add.
//!
//! Each product is added in the order of k, so a result does not depend on the tile. A thread holds a tile of 4x4 blocks in
//! registers; a warp is 8 lanes down and 4 across, so that its reads of shared memory are whole lines or broadcasts.
//!
//! ```text
//! warp, 8x8 per thread:                          slot:  A [k][m]  rows + 4 floats apart
//!        0..4  4..8  8..12 12..16 │ 16.. (again)         B [k][n]  columns + 4 floats apart
//! 0..4   t0    t1    t2    t3     │
//! 4..8   t4    t5    t6    t7     │               two slots: one is read while the next is loaded to registers (an operand
//!  …                              │               contiguous along the sum, turned on the way) or copied by cp.async
//! 32..   again                    │
//! ```
//!
//! - Shared memory: `2 * (rows + 4 + columns + 4) * depth * 4` bytes.
//! - Traffic: A once per column of tiles, B once per row of tiles.
//! - Limits: chunks of 4 or 16 bytes; leads as in [`crate::source`]. Splits as in [`crate::gemm`].
//!
//! Source of the idea: register blocking as in MAGMA and maxas.

use ptx::{Builder, Class, Cmp, Form, Op, Reg, Sm, Space, Type, Vector};

use crate::fragment::Input;
use crate::launch::{Grid, KernelError, Params, TileKernel};
use crate::product::{Opening, Product, Side, share};
use crate::shared::Placement;
use crate::source::{Fill, TileSource, Transport};
use crate::val::Val;

const FAMILY: &str = "simt";
/// Lanes of a warp, down and across.
const LANES: [u32; 2] = [8, 4];
/// Floats that a thread reads at once.
const BLOCK: u32 = 4;
/// Floats between the rows of a slot beyond its extent.
const PADDING: u32 = 4;

/// How a product is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SimtVariant {
    pub rows: u32,
    pub columns: u32,
    pub depth: u32,
    /// Rows and columns of a thread, multiples of 4.
    pub thread: [u32; 2],
    /// CTAs that a multiprocessor must hold, which bounds the registers.
    pub ctas: Option<u32>,
    pub group: u32,
    pub splits: u32,
}

impl SimtVariant {
    pub const fn new([rows, columns, depth]: [u32; 3], thread: [u32; 2]) -> SimtVariant {
        SimtVariant { rows, columns, depth, thread, ctas: None, group: 8, splits: 1 }
    }

    const fn with_ctas(self, ctas: u32) -> SimtVariant {
        SimtVariant { ctas: Some(ctas), ..self }
    }

    const fn warps(&self) -> [u32; 2] {
        [self.rows / (LANES[0] * self.thread[0]), self.columns / (LANES[1] * self.thread[1])]
    }

    pub const fn threads(&self) -> u32 {
        self.warps()[0] * self.warps()[1] * 32
    }

    pub const fn grid(&self) -> Grid {
        Grid { tile_rows: self.rows, tile_columns: self.columns, group: self.group, splits: self.splits, cluster: 1 }
    }

    /// `128x128x16_8x8`: tile and a thread's part, then what is not usual.
    pub fn name(&self) -> String {
        let [down, across] = self.thread;
        let mut name = format!("{}x{}x{}_{down}x{across}", self.rows, self.columns, self.depth);
        if let Some(ctas) = self.ctas {
            name.push_str(&format!("_c{ctas}"));
        }
        if self.splits > 1 {
            name.push_str(&format!("_k{}", self.splits));
        }
        name
    }

    const fn pitches(&self) -> [u32; 2] {
        [(self.rows + PADDING) * 4, (self.columns + PADDING) * 4]
    }

    const fn slot(&self) -> u32 {
        (self.pitches()[0] + self.pitches()[1]) * self.depth
    }
}

pub const VARIANTS: &[SimtVariant] = &[
    SimtVariant::new([128, 128, 16], [8, 8]),
    SimtVariant::new([128, 128, 8], [8, 8]).with_ctas(2),
    SimtVariant::new([64, 128, 16], [8, 8]),
    SimtVariant::new([128, 64, 16], [8, 8]),
    SimtVariant::new([64, 64, 16], [8, 4]),
    SimtVariant::new([32, 64, 16], [4, 4]),
    SimtVariant::new([64, 32, 16], [4, 4]),
    SimtVariant::new([32, 32, 16], [4, 4]),
];

/// Emits the kernel.
pub fn emit(problem: &Product, variant: &SimtVariant, sm: Sm) -> Result<TileKernel, KernelError> {
    let problem = &Product { finish: problem.finish.at_most(BLOCK), ..problem.clone() };
    let sources = sources(problem, variant, sm)?;
    let mut b = Builder::new(&format!("simt_f32_{}", variant.name()));
    b.block([variant.threads(), 1, 1]);
    // The state of a gathered operand does not fit the bound.
    if let Some(ctas) = variant.ctas.filter(|_| problem.window.is_none()) {
        b.min_ctas(ctas);
    }
    let mut params = Params::default();
    let mut open = Opening::new(&mut b, &mut params, problem, &variant.grid())?;
    let tiles = open.depth.ceil_div(&mut b, variant.depth);
    let (first, count) = share(&mut b, tiles, variant.splits, open.cell.split);
    let first = first.mul(&mut b, variant.depth);
    let fills = open.fills(&mut b, &mut params, problem, sources, first);
    let threads = Threads::new(&mut b, variant, &open);
    let sums = run(&mut b, variant, sm, fills, count, &threads);
    store(&mut b, &mut params, sm, &mut open, &threads, &sums)?;
    Ok(TileKernel {
        entry: b.finish(),
        roles: params.finish(),
        threads: variant.threads(),
        shared: variant.slot() * 2,
        grid: variant.grid(),
    })
}

/// How the operands come, or why the variant does not fit.
pub fn sources(problem: &Product, variant: &SimtVariant, sm: Sm) -> Result<[TileSource; 2], KernelError> {
    let refuse = |what, found, rule| Err(KernelError::Variant { family: FAMILY, what, found, rule });
    if problem.input != Input::F32 {
        return refuse("input bytes", problem.input.bytes(), "the inputs must be f32");
    }
    if [problem.a, problem.b].iter().any(|s| s.chunk != 4 && s.chunk != 16) {
        return refuse("chunk", problem.a.chunk.min(problem.b.chunk), "it must be 4 or 16 bytes");
    }
    let [down, across] = variant.thread;
    if down % BLOCK != 0 || across % BLOCK != 0 || variant.threads() == 0 || !variant.depth.is_multiple_of(4) {
        return refuse("part of a thread", down.min(across), "parts are multiples of 4, of which warps make the tile");
    }
    let [pitch_a, pitch_b] = variant.pitches();
    let sources = [(problem.a, variant.rows, pitch_a), (problem.b, variant.columns, pitch_b)].map(
        |(side, outer, pitch): (Side, u32, u32)| {
            let (rows, row_bytes) = if side.crossed { (variant.depth, outer * 4) } else { (outer, variant.depth * 4) };
            let placement = if side.crossed { Placement::Rows { pitch } } else { Placement::Turned { pitch } };
            let is_async = side.crossed && sm.number() >= 80;
            TileSource {
                rows,
                row_bytes,
                placement,
                element: 4,
                chunk: side.chunk,
                crossed: side.crossed,
                depth: variant.depth,
                threads: variant.threads(),
                transport: if is_async { Transport::Async } else { Transport::Registers },
            }
        },
    );
    if !sources.iter().all(TileSource::is_even) {
        return refuse("threads", variant.threads(), "the chunks of a tile must spread evenly over them");
    }
    Ok(sources)
}

/// Where a thread stands.
pub struct Threads {
    /// Its first row and column in the tile.
    row: Val,
    column: Val,
    /// Address of the shared memory.
    shared: Reg,
}

impl Threads {
    fn new(b: &mut Builder, variant: &SimtVariant, open: &Opening) -> Threads {
        let thread = Val::Reg(open.thread);
        let (lane, warp) = (thread.and(b, 31), thread.shr(b, 5));
        let (lane_row, lane_column) = lane.div_rem(b, LANES[1]);
        let (warp_row, warp_column) = warp.div_rem(b, variant.warps()[1]);
        let place = |b: &mut Builder, warp: Val, lane: Val, d: usize| {
            let start = warp.mul(b, LANES[d] * variant.thread[d]);
            lane.mul(b, BLOCK).add(b, start)
        };
        let row = place(b, warp_row, lane_row, 0);
        let column = place(b, warp_column, lane_column, 1);
        Threads { row, column, shared: open.shared }
    }
}

/// Distance of a thread's blocks, in elements.
const fn stride(d: usize) -> u32 {
    LANES[d] * BLOCK
}

/// Adds up `count` tiles; `sums[row][column]`.
fn run(
    b: &mut Builder,
    variant: &SimtVariant,
    sm: Sm,
    [mut left, mut right]: [Box<dyn Fill>; 2],
    count: Val,
    threads: &Threads,
) -> Vec<Vec<Reg>> {
    let [rows, columns] = variant.thread;
    let at_b = variant.pitches()[0] * variant.depth;
    let mut row_of = |_| (0..columns).map(|_| b.mov(Type::F32, 0.0_f32)).collect();
    let sums: Vec<Vec<Reg>> = (0..rows).map(&mut row_of).collect();
    let mut set = |n: u32| [b.regs(Class::B32, n as usize), b.regs(Class::B32, n as usize)];
    let (from_a, from_b) = (set(rows), set(columns));
    let read_a = threads.row.mul(b, 4).add(b, threads.shared).reg(b);
    let read_b = threads.column.mul(b, 4).add(b, threads.shared).add(b, at_b).reg(b);
    let (slot, other) = (b.mov(Type::U32, 0_u32), b.mov(Type::U32, variant.slot()));
    let is_async = sm.number() >= 80;
    let base = Val::Reg(threads.shared);
    let begin = |b: &mut Builder, left: &mut dyn Fill, right: &mut dyn Fill, slot: Val, exists| {
        left.begin(b, slot, exists);
        let slot = slot.add(b, at_b);
        right.begin(b, slot, exists);
        if is_async {
            b.cp_async_commit();
        }
    };
    let arrive = |b: &mut Builder, left: &dyn Fill, right: &dyn Fill, slot: Val| {
        left.land(b, slot);
        let slot = slot.add(b, at_b);
        right.land(b, slot);
        if is_async {
            b.cp_async_wait(0);
        }
        b.barrier();
    };
    let fragments = |b: &mut Builder, slot: Reg, k: u32, turn: usize| {
        for (regs, start, pitch, d) in
            [(&from_a[turn], read_a, variant.pitches()[0], 0), (&from_b[turn], read_b, variant.pitches()[1], 1)]
        {
            let at = b.add(Type::U32, start, slot);
            for (block, four) in (0_u32..).zip(regs.chunks(BLOCK as usize)) {
                let address = ptx::Address::from((at, i64::from(k * pitch + block * stride(d) * 4)));
                b.emit(Form::new(Op::LdV4, (Space::Shared, Vector::V4, Type::F32)), [four.into(), address.into()]);
            }
        }
    };
    let exists = match count {
        Val::Const(_) => None,
        Val::Reg(count) => Some(b.setp(Cmp::Gt, Type::S32, count, 0_i32)),
    };
    begin(b, &mut *left, &mut *right, base, exists);
    let left_over = b.mov(Type::U32, count);
    let any = b.setp(Cmp::Gt, Type::S32, left_over, 0_i32);
    arrive(b, &*left, &*right, base);
    let (head, done) = (b.label("K_LOOP"), b.label("K_DONE"));
    b.bra_unless(any, done);
    fragments(b, slot, 0, 0);
    b.place(head);
    for k in 0..variant.depth {
        let turn = (k % 2) as usize;
        if k == 0 {
            let next = b.setp(Cmp::Gt, Type::S32, left_over, 1_i32);
            let fill = base.add(b, other);
            begin(b, &mut *left, &mut *right, fill, Some(next));
        }
        if k + 1 < variant.depth {
            fragments(b, slot, k + 1, 1 - turn);
        } else {
            let fill = base.add(b, other);
            arrive(b, &*left, &*right, fill);
            let read = b.mov(Type::U32, slot);
            b.mov_to(Type::U32, slot, other);
            b.mov_to(Type::U32, other, read);
            let next = b.setp(Cmp::Gt, Type::S32, left_over, 1_i32);
            b.guarded(next, |b| fragments(b, slot, 0, 1 - turn));
        }
        for (i, (row, x)) in sums.iter().zip(&from_a[turn]).enumerate() {
            let mut cells: Vec<(&Reg, &Reg)> = row.iter().zip(&from_b[turn]).collect();
            if i % 2 == 1 {
                cells.reverse();
            }
            for (sum, y) in cells {
                b.accumulate(Type::F32, *x, *y, *sum);
            }
        }
    }
    b.emit(Form::new(Op::Add, Type::S32), [left_over.into(), left_over.into(), (-1_i32).into()]);
    let again = b.setp(Cmp::Gt, Type::S32, left_over, 0_i32);
    b.bra_if(again, head);
    b.place(done);
    sums
}

/// Finishes blocks of four columns, straight from the registers.
fn store(
    b: &mut Builder,
    params: &mut Params,
    sm: Sm,
    open: &mut Opening,
    threads: &Threads,
    sums: &[Vec<Reg>],
) -> Result<(), KernelError> {
    let finish = open.finish.clone();
    let row = open.cell.row.add(b, threads.row);
    let column = open.cell.column.add(b, threads.column);
    for (i, values) in (0_u32..).zip(sums) {
        let row = row.add(b, i / BLOCK * stride(0) + i % BLOCK);
        for (j, values) in (0_u32..).zip(values.chunks(BLOCK as usize)) {
            for (k, values) in (0_u32..).zip(values.chunks(finish.vector() as usize)) {
                let column = column.add(b, j * stride(1) + k * finish.vector());
                finish.store(b, params, sm, &mut open.to, (row, column), values)?;
            }
        }
    }
    Ok(())
}
