//! The register tile that matrix products and convolutions share.
//!
//! ```text
//! acc[r][p*16 + j] += Σ over runs, blocks, kk:  rows[r][block * strides[r] + kk] * b[run.b + p*panel + (block*16 + kk)*16 + j]
//!
//!              panel 0      panel 1
//!   rows[0] ─► [16 lanes]   [16 lanes]      one broadcast of A feeds all panels,
//!   rows[1] ─► [16 lanes]   [16 lanes]      one load of B feeds all rows
//!     ⋮
//! ```
//!
//! Row pointers are arbitrary, so a tile may cross image rows, and a pixel outside the image reads a block of zeros with stride 0.
//! Each output is one f32 chain in the order of k, whatever the tile: results do not depend on tiling or on threads (only on
//! whether the level has fused multiply-add). Memory traffic for each k: `MR` broadcasts and `NP` lines of B for `MR * NP` FMAs.
//! Idea: indirection pointers instead of im2col (Dukhan, "The Indirect Convolution Algorithm", 2019).

use super::BLOCK;
use super::isa::Isa;
#[cfg(target_arch = "x86_64")]
use super::isa::Level;
use super::tile::{Store, Tile};

/// Most rows of a tile on any level.
pub(super) const MAX_ROWS: usize = 12;
/// Most accumulators of a tile on any level.
const MAX_ACC: usize = 24 * BLOCK;
/// Most runs given to one call; longer lists are split, the accumulators staying in [`Acc`].
pub(super) const MAX_RUNS: usize = 32;
/// Panels of one group stay in the second-level cache while all rows pass over them: bytes.
pub(super) const GROUP_BYTES: usize = 1 << 20;

/// A stretch of k that every row walks in equal steps.
#[derive(Clone, Copy)]
pub(super) struct Run {
    /// First element of each row.
    pub rows: [*const f32; MAX_ROWS],
    /// Elements from one block of 16 to the next.
    pub strides: [usize; MAX_ROWS],
    /// Offset in each panel.
    pub b: usize,
    /// Whole blocks of 16.
    pub blocks: usize,
    /// Values of k after the last whole block.
    pub tail: usize,
    /// What later tiles read, and how many lines of it each block of k brings into the second-level cache.
    pub ahead: *const f32,
    /// See `ahead`; 0 where nothing follows.
    pub lines: usize,
}

impl Run {
    pub(super) const EMPTY: Run = Run {
        rows: [core::ptr::null(); MAX_ROWS],
        strides: [0; MAX_ROWS],
        b: 0,
        blocks: 0,
        tail: 0,
        ahead: core::ptr::null(),
        lines: 0,
    };
}

/// Accumulators in memory: `[row][panel][16]`.
#[repr(align(64))]
pub(super) struct Acc(pub [f32; MAX_ACC]);

impl Acc {
    pub(super) const fn new() -> Self {
        Self([0.0; MAX_ACC])
    }
}

/// `(runs, b, panel, acc, fresh)`; `fresh` starts from zero instead of from `acc`.
///
/// Safety: the level is present; every element the formula above names can be read; `acc` holds `rows * panels * 16` values.
pub(super) type TileFn = unsafe fn(&[Run], *const f32, usize, &mut Acc, bool);

/// The tiles of one level.
#[derive(Clone, Copy)]
pub(super) struct Micro {
    /// Most rows.
    pub rows: usize,
    tile: fn(usize, usize) -> (usize, TileFn),
}

impl Micro {
    pub(super) fn of(isa: Isa) -> Self {
        match isa.level() {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => Self { rows: super::micro_avx512::ROWS, tile: super::micro_avx512::tile },
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => Self { rows: super::micro_avx2::ROWS, tile: super::micro_avx2::tile },
            _ => Self { rows: super::micro_portable::ROWS, tile: super::micro_portable::tile },
        }
    }

    /// The tile of `rows` rows and at most `panels` panels: its panels, and the function.
    pub(super) fn tile(self, rows: usize, panels: usize) -> (usize, TileFn) {
        (self.tile)(rows, panels)
    }

    /// Rows of the next tile, so that `left` rows split into tiles of nearly equal size.
    pub(super) fn next_rows(self, left: usize) -> usize {
        left.div_ceil(left.div_ceil(self.rows).max(1))
    }
}

/// How many panels of `panel` elements make a group, at least one register tile.
pub(super) fn group_panels(panel: usize) -> usize {
    let bytes = panel.max(1).saturating_mul(size_of::<f32>());
    (GROUP_BYTES / bytes).max(2) & !1
}

/// Hands `rows` rows of accumulators to `store`, from row `skip` on.
pub(super) fn deliver(store: &mut dyn Store, tile: Tile, acc: &Acc, skip: usize) {
    if let Some(values) = acc.0.get(skip * tile.stride..) {
        store.store(&tile, values);
    }
}
