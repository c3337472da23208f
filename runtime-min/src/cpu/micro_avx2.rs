//! The register tile on AVX2 with FMA: 6 rows by 1 panel, 12 of the 16 registers accumulate.
//!
//! ```text
//! rows  1: 4 panels   2: 2 panels   3..=6: 1 panel          a panel is two registers
//! ```
//!
//! The formula and the contract are in `micro`.

use super::BLOCK;
use super::micro::{Acc, Run, TileFn};
use core::arch::x86_64::*;

pub(super) const ROWS: usize = 6;
const LANES: usize = 8;

/// The tile for `rows` in `1..=6`.
pub(super) fn tile(rows: usize, panels: usize) -> (usize, TileFn) {
    match (rows, panels) {
        (0 | 1, 4..) => (4, accumulate::<1, 4>),
        (0 | 1, 2..) => (2, accumulate::<1, 2>),
        (0 | 1, _) => (1, accumulate::<1, 1>),
        (2, 2..) => (2, accumulate::<2, 2>),
        (2, _) => (1, accumulate::<2, 1>),
        (3, _) => (1, accumulate::<3, 1>),
        (4, _) => (1, accumulate::<4, 1>),
        (5, _) => (1, accumulate::<5, 1>),
        _ => (1, accumulate::<6, 1>),
    }
}

/// See [`TileFn`].
#[target_feature(enable = "avx2,fma")]
unsafe fn accumulate<const MR: usize, const NP: usize>(
    runs: &[Run],
    b: *const f32,
    panel: usize,
    acc: &mut Acc,
    fresh: bool,
) {
    const { assert!(MR * NP <= 6 && MR <= ROWS) };
    let mut c = [[[_mm256_setzero_ps(); 2]; NP]; MR];
    if !fresh {
        for (r, row) in c.iter_mut().enumerate() {
            for (p, lane) in row.as_flattened_mut().iter_mut().enumerate() {
                // SAFETY: MR * NP * 16 <= MAX_ACC.
                *lane = unsafe { _mm256_loadu_ps(acc.0.as_ptr().add(r * NP * BLOCK + p * LANES)) };
            }
        }
    }
    for run in runs {
        let mut a = [core::ptr::null::<f32>(); MR];
        for (r, row) in a.iter_mut().enumerate() {
            *row = run.rows[r];
        }
        // SAFETY: the caller promises that the run lies inside the panel.
        let mut bp = unsafe { b.add(run.b) };
        let mut ahead = run.ahead;
        for _ in 0..run.blocks {
            for _ in 0..run.lines {
                // SAFETY: reads nothing.
                #[allow(unused_unsafe, reason = "safe in newer toolchains")]
                unsafe {
                    _mm_prefetch::<_MM_HINT_T1>(ahead.cast());
                }
                ahead = ahead.wrapping_add(BLOCK);
            }
            for quarter in 0..4 {
                for kk in 0..4 {
                    // SAFETY: the caller promises 16 readable values for each row and 16 lines of B for each block.
                    unsafe { step(&mut c, &a, quarter * 4 + kk, bp.add((quarter * 4 + kk) * BLOCK), panel) };
                }
            }
            for (r, row) in a.iter_mut().enumerate() {
                *row = row.wrapping_add(run.strides[r]);
            }
            bp = bp.wrapping_add(BLOCK * BLOCK);
        }
        for kk in 0..run.tail {
            // SAFETY: as above, for `tail` values.
            unsafe { step(&mut c, &a, kk, bp.add(kk * BLOCK), panel) };
        }
    }
    for (r, row) in c.iter().enumerate() {
        for (p, lane) in row.as_flattened().iter().enumerate() {
            // SAFETY: MR * NP * 16 <= MAX_ACC.
            unsafe { _mm256_storeu_ps(acc.0.as_mut_ptr().add(r * NP * BLOCK + p * LANES), *lane) };
        }
    }
}

/// One k: `NP` lines of B in two halves, one broadcast for each row.
///
/// Safety: `a[r] + kk` and `b + p * panel .. + 16` can be read.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn step<const MR: usize, const NP: usize>(
    c: &mut [[[__m256; 2]; NP]; MR],
    a: &[*const f32; MR],
    kk: usize,
    b: *const f32,
    panel: usize,
) {
    for p in 0..NP {
        // SAFETY: promised by the caller.
        let low = unsafe { _mm256_loadu_ps(b.add(p * panel)) };
        // SAFETY: promised by the caller.
        let high = unsafe { _mm256_loadu_ps(b.add(p * panel + LANES)) };
        for (row, from) in c.iter_mut().zip(a) {
            // SAFETY: promised by the caller.
            let value = _mm256_set1_ps(unsafe { *from.add(kk) });
            row[p][0] = _mm256_fmadd_ps(value, low, row[p][0]);
            row[p][1] = _mm256_fmadd_ps(value, high, row[p][1]);
        }
    }
}
