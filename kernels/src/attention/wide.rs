//! Attention with warp groups: 64 queries a group, both products with `wgmma`, sums and softmax in f32.
//!
//! ```text
//! block j:  values j-1 are done │ products of keys j+1 begin │ of values j begin │ copies begin │ keys j+1 are done: their softmax
//! ```
//!
//! Scores come from queries and keys in shared memory. They lie in the registers of a warp just as the second product wants its first
//! operand, so powers are rounded and multiplied without a detour, with values from shared memory, along whose rows the sum does not
//! run. The second product of a block runs beneath the softmax of the next.
//!
//! - Pairs: two groups with four slots do not meet at each block. A group announces that it copied its part of the next block and has
//!   read what it overwrites, before its softmax; so the other may begin to multiply meanwhile.
//! - Teams: the groups above each other share keys and values. Where there are more groups than rows of 64 queries, several teams
//!   take blocks of keys in turns, each with its own slots and barrier; at the end the first adds up what all of them have.
//! - Shared memory: panels of 128 bytes, exchanged as [`crate::shared`] says, at multiples of 1024; queries, then for each team slots of
//!   keys and values.
//! - Limits: sm_90a; f16 and bf16; heads of multiples of 16, at most 128.
//!
//! Source of the idea: FlashAttention 3.

mod layout;
mod rounds;
mod teams;

use ptx::{Builder, Cmp, Shuffle, Sm, Type};

use crate::attention::wide::layout::Layout;
use crate::attention::wide::rounds::Run;
use crate::attention::wide::teams::Team;
use crate::attention::{Attention, AttentionVariant, FAMILY, Opening};
use crate::fragment::{GROUP, Input};
use crate::launch::{Grid, KernelError, Params, TileKernel};
use crate::shared::Placement;
use crate::source::{TileSource, Transport};
use crate::val::Val;
use crate::warpgroup::{ROW_BYTES, ROWS};

/// Registers that a thread may hold through a block of keys.
const MOST_HELD: u32 = 200;
/// Elements of a panel's row.
const PANEL: u32 = 64;

const fn variant(queries: u32, keys: u32, teams: u32, stages: u32) -> AttentionVariant {
    AttentionVariant { warps: queries / GROUP * teams, queries, keys, stages, wide: true }
}

pub const VARIANTS: &[AttentionVariant] = &[
    variant(128, 128, 1, 2),
    variant(128, 64, 1, 2),
    variant(128, 64, 1, 3),
    variant(128, 128, 1, 4),
    variant(128, 64, 1, 4),
    variant(64, 128, 1, 2),
    variant(64, 64, 1, 2),
    variant(64, 128, 2, 2),
    variant(64, 64, 2, 2),
    variant(64, 64, 3, 2),
];

/// Bytes of shared memory of a variant.
pub fn shared(problem: &Attention, variant: &AttentionVariant) -> u32 {
    let layout = Layout::of(problem, variant);
    let others = (layout.teams - 1) * layout.team_threads() * Layout::handed(problem) * 4;
    let results = layout.handover(problem, Sm::Sm90a) + others;
    (layout.query_bytes() + layout.teams * layout.ring()).max(results)
}

fn check(problem: &Attention, variant: &AttentionVariant, sm: Sm) -> Result<(), KernelError> {
    let refuse = |what, found, rule| Err(KernelError::Variant { family: FAMILY, what, found, rule });
    if sm != Sm::Sm90a {
        return Err(KernelError::Target { family: FAMILY, what: "a product of warp groups", least: 90, sm });
    }
    if !matches!(problem.input, Input::F16 | Input::Bf16) {
        return refuse("input bytes", problem.input.bytes(), "warp groups multiply f16 and bf16");
    }
    for size in [problem.depth, problem.width] {
        if size == 0 || size % GROUP != 0 || size > 128 {
            return refuse("size of a head", size, "it must be a multiple of 16, at most 128");
        }
    }
    let layout = Layout::of(problem, variant);
    if layout.queries % ROWS != 0 || layout.teams * layout.groups * 4 != variant.warps {
        return refuse("queries", layout.queries, "each team has a group of warps for every 64");
    }
    if layout.keys % 16 != 0 || !(16..=256).contains(&layout.keys) {
        return refuse("keys", layout.keys, "they must be a multiple of 16 up to 256");
    }
    // Scores, powers and results; the mask of a block.
    let held = layout.keys * 3 / 4 + problem.width / 2;
    let registers = held + if problem.mask.is_some() { layout.keys / 2 } else { 0 };
    if registers > MOST_HELD {
        return refuse("registers", registers, "more leave none for the copies");
    }
    if problem.chunk < 4 || variant.stages < 2 {
        return refuse("stages", variant.stages, "copies run ahead, in chunks of 4 bytes or more");
    }
    Ok(())
}

/// Emits the kernel.
pub fn emit(problem: &Attention, variant: &AttentionVariant, sm: Sm) -> Result<TileKernel, KernelError> {
    check(problem, variant, sm)?;
    let layout = Layout::of(problem, variant);
    let threads = variant.threads();
    let source = |rows, panels: u32, crossed, threads, depth| TileSource {
        rows,
        row_bytes: panels * ROW_BYTES,
        placement: Placement::Panels { rows },
        element: problem.input.bytes(),
        chunk: problem.chunk,
        crossed,
        depth,
        threads,
        transport: Transport::Async,
    };
    let apart = layout.keys * layout.teams;
    let of_team = layout.team_threads();
    let sources = [
        source(layout.queries, layout.depth, false, of_team, layout.depth * PANEL),
        source(layout.keys, layout.depth, true, of_team, apart),
        source(layout.keys, layout.width, true, of_team, apart),
    ];
    if !sources.iter().all(TileSource::is_even) {
        let rule = "the chunks of a tile must spread evenly over them";
        return Err(KernelError::Variant { family: FAMILY, what: "threads", found: of_team, rule });
    }
    let name = format!("attention_{}_{}x{}_{}", problem.input.name(), problem.depth, problem.width, variant.name());
    let mut builder = Builder::new(&name);
    let b = &mut builder;
    b.block([threads, 1, 1]);
    let mut params = Params::default();
    let mut open = Opening::new(b, &mut params, problem, variant)?;
    let warp = Val::Reg(open.thread).shr(b, 5).reg(b);
    let warp = Val::Reg(b.shfl(Shuffle::Idx, warp, 0_u32));
    let (team, within) = if layout.teams == 1 { (Val::Const(0), warp) } else { warp.div_rem(b, layout.groups * 4) };
    let group = within.shr(b, 2);
    let thread = team.mul(b, of_team);
    let thread = Val::Reg(open.thread).sub(b, thread).reg(b);
    let missing = KernelError::Epilogue { what: "operands", found: open.operands.len(), expected: 3 };
    let first = team.mul(b, layout.keys);
    let queries = open.queries(b, problem, sources[0], thread).ok_or(missing.clone())?;
    let of_team = (first, thread);
    let keys = open.blocks_from(b, 1, sources[1], problem.depth, of_team).ok_or(missing.clone())?;
    let values = open.blocks_from(b, 2, sources[2], problem.width, of_team).ok_or(missing)?;
    let team = Team { team, group, within, thread, first };
    let mut run = Run { problem, layout, keys, values, team };
    let first_row = open.first;
    let results = run.all(b, &open, queries, variant);
    let turn = layout.turn(problem, sm);
    let own = within.mul(b, GROUP);
    let at = [(first_row, Val::Const(0)), (own, Val::Const(0))];
    let (thread, base) = (open.thread, open.shared);
    let mut store = |b: &mut Builder| {
        turn.store(b, &mut params, &vec![results.clone()], (&problem.finish, &mut open.to), at, (thread, base))
    };
    match team.team {
        Val::Const(_) => store(b)?,
        Val::Reg(team) => {
            let is_first = b.setp(Cmp::Eq, Type::U32, team, 0_u32);
            b.if_then(is_first, store)?;
        }
    }
    let grid = Grid { tile_rows: variant.queries, tile_columns: turn.columns, group: 1, splits: 1, cluster: 1 };
    let shared = shared(problem, variant);
    Ok(TileKernel { entry: builder.finish(), roles: params.finish(), threads, shared, grid })
}
