//! Matrix products on tensor cores: `C[z][m][n] = Σ over k of A[z][m][k] * B[z][k][n]`, sums in f32.
//!
//! A CTA computes a tile of C from slots of shared memory that `cp.async` fills several tiles ahead; warps share the tile.
//!
//! ```text
//!            n ─►  tile_columns                     slots:  [A tile | B tile]  [A | B]  [A | B]  [A | B]
//!        ┌────────┬────────┐                                    read ▲             being filled ▲
//!   m    │ warp 0 │ warp 1 │   each warp: rows/16 x columns/8
//!   │    ├────────┼────────┤   products of 16x8x16 a step,
//!   ▼    │ warp 2 │ warp 3 │   fragments of the next step loaded
//!        └────────┴────────┘   while this one multiplies
//! ```
//!
//! - Shared memory: `stages * (rows + columns) * depth * bytes`, chunks exchanged ([`crate::shared`]); afterwards the warps pass
//!   their sums through it 16 rows at a time, to store whole rows.
//! - Traffic: A is read once per column of tiles, B once per row of tiles; groups of row tiles run together for the L2 cache.
//! - Limits: depth at least 1; leads below 2^30 elements; tf32 needs both operands contiguous along the sum. On sm_75, f16 by
//!   m16n8k8, copies through registers, two slots.
//! - Splits of the sum: the CTAs of a cluster add their parts in shared memory ([`crate::cluster`]); where there are no clusters, each
//!   stores its part as f32 to the workspace `[split][z][m][n]`, and [`crate::split`] adds them in the same order.
//!
//! Source of the idea: the multistage pipeline of CUTLASS 2.

use ptx::{Builder, Sm};

use crate::cluster::{self, Parts};
use crate::fragment::{GROUP, Input};
use crate::launch::{Grid, KernelError, Params, TileKernel};
use crate::pipeline::Pipeline;
use crate::product::{Opening, Product, Side, share};
use crate::shared::{Placement, SharedTile};
use crate::source::{TileSource, Transport};
use crate::val::Val;

const FAMILY: &str = "gemm";

/// How it is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GemmVariant {
    pub rows: u32,
    pub columns: u32,
    /// Terms of the sum in a slot.
    pub depth: u32,
    pub warps: [u32; 2],
    pub stages: u32,
    /// Row tiles that run together.
    pub group: u32,
    pub splits: u32,
}

impl GemmVariant {
    pub const fn new(tile: [u32; 3], warps: [u32; 2], stages: u32) -> GemmVariant {
        let [rows, columns, depth] = tile;
        GemmVariant { rows, columns, depth, warps, stages, group: 8, splits: 1 }
    }

    pub const fn threads(&self) -> u32 {
        self.warps[0] * self.warps[1] * 32
    }

    pub const fn grid(&self) -> Grid {
        Grid { tile_rows: self.rows, tile_columns: self.columns, group: self.group, splits: self.splits, cluster: 1 }
    }

    /// `128x128x32-2x2-4`: tile, warps, stages, then what is not usual.
    pub fn name(&self) -> String {
        let [down, across] = self.warps;
        let mut name = format!("{}x{}x{}_{down}x{across}_{}", self.rows, self.columns, self.depth, self.stages);
        if self.splits > 1 {
            name.push_str(&format!("_k{}", self.splits));
        }
        name
    }
}

/// Variants for inputs of two bytes; of four, the depth is half.
pub const VARIANTS: &[GemmVariant] = &[
    GemmVariant::new([256, 128, 32], [4, 2], 4),
    GemmVariant::new([128, 256, 32], [2, 4], 4),
    GemmVariant::new([128, 128, 32], [2, 2], 4),
    GemmVariant::new([128, 128, 64], [2, 4], 3),
    GemmVariant::new([128, 128, 32], [2, 4], 4),
    GemmVariant::new([128, 64, 32], [2, 2], 4),
    GemmVariant::new([64, 128, 32], [2, 2], 4),
    GemmVariant::new([64, 64, 64], [2, 2], 4),
    GemmVariant::new([64, 32, 64], [2, 1], 5),
    GemmVariant::new([32, 64, 64], [1, 2], 5),
    GemmVariant::new([32, 32, 64], [1, 2], 6),
    GemmVariant::new([16, 64, 64], [1, 4], 6),
    GemmVariant::new([16, 128, 64], [1, 4], 5),
];

/// Emits the kernel.
pub fn emit(problem: &Product, variant: &GemmVariant, sm: Sm) -> Result<TileKernel, KernelError> {
    let (plan, [from_a, from_b]) = pipeline(problem, variant, sm)?;
    let mut b = Builder::new(&format!("gemm_{}_{}", problem.input.name(), variant.name()));
    b.block([variant.threads(), 1, 1]);
    let image = problem.window.is_some() && variant.threads() == 128;
    if problem.input == Input::Tf32 && variant.depth == 64 && (image || sm == Sm::Sm120a && variant.threads() < 128) {
        // Shared memory leaves no room for four of these; told nothing, some assemblers keep to registers for four and spill.
        b.min_ctas(2);
    }
    let mut params = Params::default();
    let clustered = cluster::takes(sm, variant.splits);
    let grid = Grid { cluster: if clustered { variant.splits } else { 1 }, ..variant.grid() };
    if clustered {
        b.cluster([1, 1, grid.cluster]);
    }
    let mut open = Opening::new(&mut b, &mut params, problem, &grid)?;
    let tiles = open.depth.ceil_div(&mut b, plan.depth);
    let (first, count) = share(&mut b, tiles, variant.splits, open.cell.split);
    let first = first.mul(&mut b, plan.depth);
    let fills = open.fills(&mut b, &mut params, problem, [from_a, from_b], first);
    let threads = (open.thread, open.shared);
    let sums = plan.run(&mut b, fills, count, threads);
    let at = (open.cell.row, open.cell.column);
    let finish = (&open.finish, &mut open.to);
    let mut shared = plan.shared();
    if clustered {
        let Opening { thread, shared: base, .. } = open;
        let lane = Val::Reg(thread).and(&mut b, 31);
        let corner = plan.corner(&mut b, thread);
        let parts = Parts {
            rows: variant.rows,
            columns: variant.columns,
            threads: variant.threads(),
            splits: variant.splits,
            spacing: GROUP,
        };
        shared = shared.max(parts.shared());
        parts.keep(&mut b, &sums, corner, (lane, base));
        parts.finish(&mut b, &mut params, sm, finish, at, (thread, base, open.cell.split))?;
    } else {
        let corner = plan.corner(&mut b, threads.0);
        plan.turn().store(&mut b, &mut params, &sums, finish, [at, corner], threads)?;
    }
    Ok(TileKernel { entry: b.finish(), roles: params.finish(), threads: variant.threads(), shared, grid })
}

/// The problem and the variant, resolved for a target.
fn pipeline(problem: &Product, variant: &GemmVariant, sm: Sm) -> Result<(Pipeline, [TileSource; 2]), KernelError> {
    let bytes = problem.input.bytes();
    let depth = variant.depth * 2 / bytes;
    let is_async = |side: &Side| sm.number() >= 80 && side.chunk >= 4;
    let source = |side: &Side, outer: u32| {
        let (rows, row_bytes) = if side.crossed { (depth, outer * bytes) } else { (outer, depth * bytes) };
        TileSource {
            rows,
            row_bytes,
            placement: Placement::Exchanged(SharedTile { rows, row_bytes }),
            element: bytes,
            chunk: side.chunk,
            crossed: side.crossed,
            depth,
            threads: variant.threads(),
            transport: if is_async(side) { Transport::Async } else { Transport::Registers },
        }
    };
    let sources = [source(&problem.a, variant.rows), source(&problem.b, variant.columns)];
    let registers = sources.iter().any(|s| s.transport == Transport::Registers);
    let tile = |n: usize| SharedTile { rows: sources[n].rows, row_bytes: sources[n].row_bytes };
    let pipeline = Pipeline {
        family: FAMILY,
        input: problem.input,
        tile: [variant.rows, variant.columns],
        depth,
        warps: variant.warps,
        stages: if registers { 2 } else { variant.stages },
        a: (tile(0), problem.a.crossed),
        b: (tile(1), problem.b.crossed),
        sm,
    };
    pipeline.check()?;
    if !sources.iter().all(TileSource::is_even) {
        let rule = "the chunks of a tile must spread evenly over them";
        return Err(KernelError::Variant { family: FAMILY, what: "threads", found: variant.threads(), rule });
    }
    Ok((pipeline, sources))
}
