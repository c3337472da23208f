//! Matrix product: `C[m, n] = Σ_k A[m, k] * B[k, n]`, f32.
//!
//! ```text
//!            group of panels that fits the second-level cache beside the next
//!          ┌────┬────┬────┬────┐
//!          │ 16 │ 16 │ 16 │ 16 │  B, packed: [panel][K][16]
//!          └────┴────┴────┴────┘
//!   A ┌──┐ ┌─────────┬─────────┐
//!  12 │  │ │ one tile│  next   │  rows of A stay in the first-level cache while the panels of the group pass
//!     └──┘ └─────────┴─────────┘
//! ```
//!
//! K is not split: every output is one chain in the order of k, so no partial sums are kept and the result does not depend on
//! M, on the tile, or on how a caller divides the work. B streams from the second-level cache at one or two lines for each k;
//! while a group is multiplied, the next one is fetched there from memory, a few lines for every block of k.
//! With few rows the tile turns wide (M = 1: 1 by 128), which makes a matrix-vector product a pure stream over B.
//! Limits: k must be contiguous in blocks of 16; for other strides see [`pack_a`](super::pack::pack_a).
//! Idea: Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication", 2008, less the packing of A.

use super::isa::Isa;
use super::micro::{Acc, MAX_ROWS, Micro, Run, deliver};
use super::pack::{packed_b_len, span};
use super::tile::{Store, Tile};
use super::{BLOCK, KernelError, need};
use core::ops::Range;

/// The operands of one product.
///
/// `A[m, k]` is at `(k / 16) * block_stride + m * row_stride + k % 16`: plain rows have `block_stride == 16`,
/// channel-blocked activations have `row_stride == 16`.
#[derive(Debug, Clone, Copy)]
pub struct Gemm<'a> {
    /// Rows of A and C.
    pub m: usize,
    /// Columns of B and C.
    pub n: usize,
    /// Columns of A, rows of B.
    pub k: usize,
    /// A.
    pub a: &'a [f32],
    /// Elements between rows of A.
    pub row_stride: usize,
    /// Elements between blocks of 16 values of k.
    pub block_stride: usize,
    /// B as [`pack_b`](super::pack::pack_b) writes it.
    pub b: &'a [f32],
    /// What the tiles carry as `n`.
    pub batch: usize,
}

impl<'a> Gemm<'a> {
    /// A with dense rows.
    pub fn rows(m: usize, n: usize, k: usize, a: &'a [f32], b: &'a [f32]) -> Self {
        Self { m, n, k, a, row_stride: k, block_stride: BLOCK, b, batch: 0 }
    }
}

/// Computes C and hands it to `store`.
pub fn gemm(isa: Isa, g: &Gemm, store: &mut dyn Store) -> Result<(), KernelError> {
    gemm_part(isa, g, 0..g.m, 0..g.n.div_ceil(BLOCK), store)
}

/// Computes some rows and blocks of 16 columns of C.
pub fn gemm_part(
    isa: Isa,
    g: &Gemm,
    rows: Range<usize>,
    panels: Range<usize>,
    store: &mut dyn Store,
) -> Result<(), KernelError> {
    let rule = |holds: bool, rule| if holds { Ok(()) } else { Err(KernelError::Shape { rule }) };
    rule(rows.end <= g.m && panels.end <= g.n.div_ceil(BLOCK), "rows and columns lie inside the result")?;
    need("b", packed_b_len(g.k, g.n), g.b.len())?;
    let last_block = g.k.div_ceil(BLOCK);
    let last_width = g.k - last_block.saturating_sub(1) * BLOCK;
    need("a", span(&[(g.m, g.row_stride), (last_block, g.block_stride), (last_width, 1)]), g.a.len())?;
    if last_block > 1 {
        need("a", span(&[(g.m, g.row_stride), (last_block - 1, g.block_stride), (BLOCK, 1)]), g.a.len())?;
    }

    let micro = Micro::of(isa);
    let panel = g.k * BLOCK;
    let group = (GROUP_BYTES / panel.max(1).saturating_mul(size_of::<f32>())).max(2) & !1;
    let mut acc = Acc::new();
    for first in panels.clone().step_by(group) {
        let end = panels.end.min(first + group);
        let (mut m, last) = (rows.start, rows.end);
        let mut ahead = Ahead::of(g, last - m, micro.rows, end - first, end..panels.end.min(end + group));
        while m < last {
            let rows = micro.next_rows(last - m);
            let mut run = rows_run(g, m, rows);
            let mut p = first;
            while p < end {
                let (np, function) = micro.tile(rows, end - p);
                ahead.give(&mut run);
                // SAFETY: `need` proved that all of A and B lies inside the slices; `Isa` proves the level; rows <= micro.rows.
                unsafe { function(&[run], g.b.as_ptr().add(p * panel), panel, &mut acc, true) };
                let c = p * BLOCK;
                let cs = (np * BLOCK).min(g.n - c);
                let tile = Tile { n: g.batch, y: 0, x: m, c, xs: rows, cs, stride: np * BLOCK };
                deliver(store, tile, &acc, 0);
                p += np;
            }
            m += rows;
        }
    }
    Ok(())
}

/// Bytes of B that all rows pass over.
const GROUP_BYTES: usize = 1 << 18;
/// Most lines that a block of k fetches.
const MAX_LINES: usize = 8;

/// The next group of panels, fetched while one is multiplied.
struct Ahead {
    from: *const f32,
    /// Lines left.
    left: usize,
    /// Lines for every block of k.
    each: usize,
}

impl Ahead {
    /// `next` are the panels to fetch while `rows` rows pass over `panels` others. One tile of rows has no time for it.
    fn of(g: &Gemm, rows: usize, tile_rows: usize, panels: usize, next: Range<usize>) -> Self {
        let (blocks, tiles) = (g.k / BLOCK, rows.div_ceil(tile_rows));
        let left = if tiles < 2 { 0 } else { next.len() * g.k };
        let each = left.div_ceil((blocks * tiles * panels.div_ceil(2)).max(1)).min(MAX_LINES);
        Self { from: g.b.as_ptr().wrapping_add(next.start * g.k * BLOCK), left, each }
    }

    /// What the next tile fetches.
    fn give(&mut self, run: &mut Run) {
        let lines = (run.blocks * self.each).min(self.left);
        (run.ahead, run.lines) = (self.from, lines.checked_div(run.blocks).unwrap_or(0));
        self.from = self.from.wrapping_add(lines * BLOCK);
        self.left -= lines;
    }
}

/// All of k for rows `m .. m + rows`.
fn rows_run(g: &Gemm, m: usize, rows: usize) -> Run {
    let mut run = Run { blocks: g.k / BLOCK, tail: g.k % BLOCK, strides: [g.block_stride; MAX_ROWS], ..Run::EMPTY };
    for (r, row) in run.rows.iter_mut().take(rows).enumerate() {
        *row = g.a.as_ptr().wrapping_add((m + r) * g.row_stride);
    }
    run
}

#[cfg(test)]
mod tests {
    use super::super::isa::Isa;
    use super::super::noise::noise;
    use super::super::pack::{pack_a, pack_b, packed_a_len, packed_b_len};
    use super::*;

    fn check(m: usize, n: usize, k: usize, blocked: bool) {
        let (a, b) = (noise(m * k, 1), noise(k * n, 2));
        let mut packed = vec![f32::NAN; packed_b_len(k, n).unwrap_or(0)];
        assert_eq!(pack_b(k, n, &b, n, 1, &mut packed), Ok(()));
        let mut ablk = vec![f32::NAN; packed_a_len(m, k).unwrap_or(0)];
        assert_eq!(pack_a(m, k, &a, k, 1, &mut ablk), Ok(()));
        for isa in Isa::LEVELS.iter().filter_map(|&level| Isa::with_level(level)) {
            let mut c = vec![f32::NAN; m * n];
            let mut g = Gemm::rows(m, n, k, &a, &packed);
            if blocked {
                (g.a, g.row_stride, g.block_stride) = (&ablk, 16, 16 * m);
            }
            let mut store = |t: &Tile, acc: &[f32]| {
                for xi in 0..t.xs {
                    for ci in 0..t.cs {
                        let to = &mut c[(t.x + xi) * n + t.c + ci];
                        assert!(to.is_nan(), "written twice");
                        *to = acc[xi * t.stride + ci];
                    }
                }
            };
            assert_eq!(gemm(isa, &g, &mut store), Ok(()));
            for i in 0..m {
                for j in 0..n {
                    let want: f64 = (0..k).map(|x| a[i * k + x] as f64 * b[x * n + j] as f64).sum();
                    let got = c[i * n + j] as f64;
                    assert!(
                        (got - want).abs() <= 1e-6 * (1.0 + k as f64),
                        "{isa:?} {m}x{n}x{k} [{i},{j}] {got} {want}"
                    );
                }
            }
        }
    }

    #[test]
    fn odd_shapes() {
        for (m, n, k) in
            [(1, 1, 1), (1, 300, 70), (2, 33, 16), (3, 17, 5), (5, 129, 40), (6, 64, 31), (13, 48, 33), (25, 95, 100)]
        {
            check(m, n, k, false);
            check(m, n, k, true);
        }
        for m in 1..=27 {
            check(m, 50, 19, false);
        }
    }

    #[test]
    fn empty_sums_are_zero_and_empty_results_are_nothing() {
        check(3, 5, 0, false);
        check(0, 5, 3, false);
        check(3, 0, 5, false);
    }

    #[test]
    fn short_operands_are_refused() {
        let mut never = |_: &Tile, _: &[f32]| panic!("stored");
        let b = [0.0; 16 * 20];
        assert!(gemm(Isa::detect(), &Gemm::rows(2, 16, 20, &[0.0; 39], &b), &mut never).is_err());
        assert!(gemm(Isa::detect(), &Gemm::rows(2, 17, 20, &[0.0; 40], &b), &mut never).is_err());
    }
}
