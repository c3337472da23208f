//! Batched matrix products over strided operands: what a contraction's call comes to.
//!
//! ```text
//! for every batch index:   C[m, n] = Σ_k A[m, k] * B[k, n]        A, B: offset + batch strides + row and column strides
//! ```
//!
//! B is packed ahead, or packed anew for every batch into the workspace; so is an A whose k is not contiguous. Tiles carry the
//! row-major number of the batch as `n`.

use super::super::crew::{Cut, Role};
use super::gemm::{Gemm, gemm_part};
use super::isa::Isa;
use super::pack::{pack_a, pack_b, packed_a_len, packed_b_len};
use super::tile::Store;
use super::{BLOCK, KernelError};
use core::ops::Range;

/// One batch dim: its extent, and the elements between its entries in A and B (0: the same for all).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    /// Entries.
    pub extent: usize,
    /// Elements between entries of A.
    pub a: i64,
    /// Elements between entries of B.
    pub b: i64,
}

/// A strided matrix: the slice it lies in, where it starts, and the elements between neighbours along both dims.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a> {
    /// All of the buffer.
    pub data: &'a [f32],
    /// First element.
    pub offset: i64,
    /// Along m for A, along k for B.
    pub rows: i64,
    /// Along k for A, along n for B.
    pub columns: i64,
}

/// The second operand.
#[derive(Debug, Clone, Copy)]
pub enum Second<'a> {
    /// As [`pack_b`] writes it, the same for every batch.
    Packed(&'a [f32]),
    /// To be packed.
    Strided(Matrix<'a>),
}

/// What one call computes: threads divide the work by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// Batches, counted row-major.
    pub batches: Range<usize>,
    /// Rows of every batch.
    pub rows: Range<usize>,
    /// Blocks of 16 columns of every batch.
    pub panels: Range<usize>,
}

impl Share {
    /// A part of a cut of a product of these sizes.
    pub fn of(cut: &Cut, part: usize, batch: &[Batch], (m, n): (usize, usize)) -> Share {
        let count = batch.iter().fold(1usize, |acc, d| acc.saturating_mul(d.extent));
        Share {
            batches: cut.range(Role::N, part, count),
            rows: cut.range(Role::X, part, m),
            panels: cut.range(Role::C, part, n.div_ceil(BLOCK)),
        }
    }
}

/// Batch dims a product may have.
const MAX_BATCH: usize = 16;

/// Computes a share of all products and hands them to `store`. `workspace` holds the packed B (if it is strided), then the packed A (if
/// its k is not contiguous).
#[allow(clippy::too_many_arguments, reason = "the parts of one product, and where it is done")]
pub fn product(
    isa: Isa,
    share: &Share,
    batch: &[Batch],
    (m, n, k): (usize, usize, usize),
    a: Matrix<'_>,
    b: Second<'_>,
    workspace: &mut [f32],
    store: &mut dyn Store,
) -> Result<(), KernelError> {
    let count = batch.iter().try_fold(1usize, |acc, d| acc.checked_mul(d.extent));
    let count = count.ok_or(KernelError::Shape { rule: "the number of batches fits usize" })?;
    if batch.len() > MAX_BATCH {
        return Err(KernelError::Shape { rule: "at most 16 batch dims" });
    }
    if m == 0 || n == 0 {
        return Ok(());
    }
    let b_len = match b {
        Second::Packed(_) => Some(0),
        Second::Strided(_) => packed_b_len(k, n),
    };
    let a_len = if a.columns == 1 || k <= 1 { Some(0) } else { packed_a_len(m, k) };
    let short = KernelError::Shape { rule: "the workspace holds the packed operands" };
    let (b_space, rest) = b_len.and_then(|l| workspace.split_at_mut_checked(l)).ok_or(short)?;
    let (a_space, _) = a_len.and_then(|l| rest.split_at_mut_checked(l)).ok_or(short)?;
    if share.batches.end > count {
        return Err(KernelError::Shape { rule: "the share lies inside the batch" });
    }
    for index in share.batches.clone() {
        let (mut rest, mut a_at, mut b_at) = (index, a.offset, 0i64);
        for dim in batch.iter().rev() {
            let entry = (rest % dim.extent) as i64;
            rest /= dim.extent;
            a_at += entry * dim.a;
            b_at += entry * dim.b;
        }
        let packed_b = match b {
            Second::Packed(data) => data,
            Second::Strided(matrix) => {
                let data = from(matrix.data, matrix.offset + b_at)?;
                pack_b(k, n, data, stride(matrix.rows)?, stride(matrix.columns)?, b_space)?;
                &*b_space
            }
        };
        let data = from(a.data, a_at)?;
        let (data, row_stride, block_stride) = if a_space.is_empty() {
            (data, stride(a.rows)?, BLOCK)
        } else {
            pack_a(m, k, data, stride(a.rows)?, stride(a.columns)?, a_space)?;
            (&*a_space, BLOCK, BLOCK * m)
        };
        let g = Gemm { m, n, k, a: data, row_stride, block_stride, b: packed_b, batch: index };
        gemm_part(isa, &g, share.rows.clone(), share.panels.clone(), store)?;
    }
    Ok(())
}

fn from(data: &[f32], at: i64) -> Result<&[f32], KernelError> {
    let at = usize::try_from(at).ok().and_then(|at| data.get(at..));
    at.ok_or(KernelError::Shape { rule: "every matrix starts inside its buffer" })
}

fn stride(elements: i64) -> Result<usize, KernelError> {
    usize::try_from(elements).map_err(|_| KernelError::Shape { rule: "strides are not negative" })
}

#[cfg(test)]
mod tests {
    use super::super::tile::Tile;
    use super::*;

    /// Two batches of a 3x2 by 2x2 product, with B (and A) transposed in memory if asked for.
    fn check(transposed_a: bool, transposed_b: bool) {
        let a: Vec<f32> = (0..12).map(|v| v as f32).collect();
        let b: Vec<f32> = (0..8).map(|v| (v * v) as f32).collect();
        let (ar, ac) = if transposed_a { (1, 3) } else { (2, 1) };
        let (br, bc) = if transposed_b { (1, 2) } else { (2, 1) };
        let mut found = vec![0f32; 12];
        let mut store = |t: &Tile, acc: &[f32]| {
            for x in 0..t.xs {
                for c in 0..t.cs.min(2) {
                    found[t.n * 6 + (t.x + x) * 2 + t.c + c] = acc[x * t.stride + c];
                }
            }
        };
        let batch = [Batch { extent: 2, a: 6, b: 4 }];
        let first = Matrix { data: &a, offset: 0, rows: ar, columns: ac };
        let second = Second::Strided(Matrix { data: &b, offset: 0, rows: br, columns: bc });
        let mut workspace = vec![0f32; 256];
        for half in
            [Share { batches: 0..2, rows: 0..1, panels: 0..1 }, Share { batches: 0..2, rows: 1..3, panels: 0..1 }]
        {
            product(Isa::detect(), &half, &batch, (3, 2, 2), first, second, &mut workspace, &mut store).unwrap();
        }
        for t in 0..2 {
            for m in 0..3i64 {
                for n in 0..2i64 {
                    let dot: f32 = (0..2i64)
                        .map(|k| a[(t * 6 + m * ar + k * ac) as usize] * b[(t * 4 + k * br + n * bc) as usize])
                        .sum();
                    assert_eq!(found[(t * 6 + m * 2 + n) as usize], dot);
                }
            }
        }
    }

    #[test]
    fn every_orientation_gives_the_product() {
        check(false, false);
        check(false, true);
        check(true, false);
        check(true, true);
    }
}
