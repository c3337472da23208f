//! Matrix products and convolutions with warp groups: as [`crate::gemm`], for the tensor cores of sm_90a.
//!
//! ```text
//!            n ─►  tile_columns
//!        ┌─────────────────┐      slots: [A tile | B tile] of 64 terms, filled by all threads with cp.async
//!   m    │ group 0 (4 warps)│     each group: rows/64 instructions of 64 x columns x 16 a step
//!   ▼    ├─────────────────┤
//!        │ group 1         │
//!        └─────────────────┘
//! ```
//!
//! - Traffic, splits, order of CTAs: as in [`crate::gemm`]; the loop is [`crate::warpgroup`], the way out [`crate::turn`].
//! - Limits: sm_90a; f16 and bf16; operands contiguous along the sum, copied in chunks of at least 4 bytes.

use ptx::{Builder, Sm};

use crate::cluster::{self, Parts};
use crate::launch::{Grid, KernelError, Params, TileKernel};
use crate::product::{Opening, Product, Side, share};
use crate::shared::{Placement, SharedTile};
use crate::source::{TileSource, Transport};
use crate::turn::Turn;
use crate::val::Val;
use crate::warpgroup::{Groups, ROW_BYTES, ROWS, THREADS};

const FAMILY: &str = "wide";

/// How it is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WideVariant {
    pub rows: u32,
    pub columns: u32,
    /// Warp groups down and across.
    pub groups: [u32; 2],
    pub stages: u32,
    /// Tiles whose products may be under way when the next one's begin.
    pub lag: u32,
    /// Row tiles that run together.
    pub group: u32,
    pub splits: u32,
}

impl WideVariant {
    pub const fn new([rows, columns]: [u32; 2], groups: [u32; 2], stages: u32) -> WideVariant {
        WideVariant { rows, columns, groups, stages, lag: 1, group: 8, splits: 1 }
    }

    /// The same without lag: for several CTAs on a multiprocessor, whose products fill each other's gaps.
    pub const fn prompt(self) -> WideVariant {
        WideVariant { lag: 0, ..self }
    }

    pub const fn threads(&self) -> u32 {
        self.groups[0] * self.groups[1] * THREADS
    }

    /// Bytes of shared memory of the slots.
    pub const fn shared(&self) -> u32 {
        (self.rows + self.columns) * ROW_BYTES * self.stages
    }

    /// `w128x128_2x1_4_p_k2`: tile, warp groups, stages, then what is not usual: no lag, splits.
    pub fn name(&self) -> String {
        let [down, across] = self.groups;
        let mut name = format!("w{}x{}_{down}x{across}_{}", self.rows, self.columns, self.stages);
        if self.lag == 0 {
            name.push_str("_p");
        }
        if self.splits > 1 {
            name.push_str(&format!("_k{}", self.splits));
        }
        name
    }
}

/// Variants for inputs of two bytes.
pub const VARIANTS: &[WideVariant] = &[
    WideVariant::new([128, 256], [2, 1], 4),
    WideVariant::new([256, 128], [2, 1], 4),
    WideVariant::new([128, 128], [2, 1], 3),
    WideVariant::new([128, 128], [2, 1], 3).prompt(),
    WideVariant::new([128, 128], [1, 1], 3),
    WideVariant::new([256, 64], [2, 1], 4),
    WideVariant::new([128, 64], [2, 1], 4),
    WideVariant::new([128, 64], [2, 1], 4).prompt(),
    WideVariant::new([64, 256], [1, 2], 5),
    WideVariant::new([64, 128], [1, 1], 4),
    WideVariant::new([64, 128], [1, 1], 4).prompt(),
    WideVariant::new([64, 64], [1, 1], 6),
    WideVariant::new([64, 64], [1, 1], 4).prompt(),
    WideVariant::new([128, 32], [2, 1], 5),
    WideVariant::new([64, 32], [1, 1], 6),
    WideVariant::new([64, 16], [1, 1], 8),
];

/// Emits the kernel.
pub fn emit(problem: &Product, variant: &WideVariant, sm: Sm) -> Result<TileKernel, KernelError> {
    let WideVariant { rows, columns, groups, stages, lag, group, splits } = *variant;
    let (input, threads) = (problem.input, variant.threads());
    let plan = Groups { family: FAMILY, input, tile: [rows, columns], groups, stages, lag };
    plan.check(sm)?;
    let refuse = |what, found, rule| Err(KernelError::Variant { family: FAMILY, what, found, rule });
    let sides = [(problem.a, rows), (problem.b, columns)];
    if let Some((side, _)) = sides.iter().find(|(side, _)| side.crossed || side.chunk < 4) {
        return refuse("bytes of a copy", side.chunk, "operands must be contiguous along the sum, in at least 4 bytes");
    }
    let depth = ROW_BYTES / input.bytes();
    let [from_a, from_b] = sides.map(|(side, rows)| source(&side, rows, (input.bytes(), depth), threads));
    if ![from_a, from_b].iter().all(TileSource::is_even) {
        return refuse("threads", threads, "the chunks of a tile must spread evenly over them");
    }
    let clustered = cluster::takes(sm, splits);
    let grid =
        Grid { tile_rows: rows, tile_columns: columns, group, splits, cluster: if clustered { splits } else { 1 } };
    let mut builder = Builder::new(&format!("{FAMILY}_{}_{}", input.name(), variant.name()));
    let b = &mut builder;
    b.block([threads, 1, 1]);
    if clustered {
        b.cluster([1, 1, splits]);
    }
    let mut params = Params::default();
    let mut open = Opening::new(b, &mut params, problem, &grid)?;
    let tiles = open.depth.ceil_div(b, depth);
    let (first, count) = share(b, tiles, splits, open.cell.split);
    let first = first.mul(b, depth);
    let fills = open.fills(b, &mut params, problem, [from_a, from_b], first);
    let (thread, base) = (open.thread, open.shared);
    let sums = plan.run(b, fills, count, (thread, base));
    let corner = plan.corner(b, thread);
    let at = (open.cell.row, open.cell.column);
    let finish = (&open.finish, &mut open.to);
    let spacing = ROWS;
    let mut shared = plan.shared();
    if clustered {
        let lane = Val::Reg(thread).and(b, 31);
        let parts = Parts { rows, columns, threads, splits, spacing };
        shared = shared.max(parts.shared());
        parts.keep(b, &sums, corner, (lane, base));
        parts.finish(b, &mut params, sm, finish, at, (thread, base, open.cell.split))?;
    } else {
        let turn = Turn { columns: columns / groups[1], spacing, sm };
        shared = shared.max(turn.shared(threads / 32));
        turn.store(b, &mut params, &sums, finish, [at, corner], (thread, base))?;
    }
    Ok(TileKernel { entry: builder.finish(), roles: params.finish(), threads, shared, grid })
}

/// The copies of an operand's tile of `rows` rows.
fn source(side: &Side, rows: u32, (element, depth): (u32, u32), threads: u32) -> TileSource {
    TileSource {
        rows,
        row_bytes: ROW_BYTES,
        placement: Placement::Exchanged(SharedTile { rows, row_bytes: ROW_BYTES }),
        element,
        chunk: side.chunk,
        crossed: false,
        depth,
        threads,
        transport: Transport::Async,
    }
}
