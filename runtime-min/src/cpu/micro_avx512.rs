//! The register tile on AVX-512: 12 rows by 2 panels, 24 of the 32 registers accumulate.
//!
//! ```text
//! rows  1..=2: 8 panels   3..=6: 4 panels   7..=12: 2 panels     (fewer panels at the right edge: halves)
//! ```
//!
//! At least 8 independent chains keep two FMA ports of latency 4 busy. The formula and the contract are in `micro`.

use super::BLOCK;
use super::micro::{Acc, Run, TileFn};
use core::arch::x86_64::*;

pub(super) const ROWS: usize = 12;

/// The tile for `rows` in `1..=12`.
pub(super) fn tile(rows: usize, panels: usize) -> (usize, TileFn) {
    macro_rules! pick {
        ($rows:literal, $($np:literal),*) => {{
            $(if panels >= $np { return ($np, accumulate::<$rows, $np>); })*
            (1, accumulate::<$rows, 1>)
        }};
    }
    match rows {
        0 | 1 => pick!(1, 8, 4, 2),
        2 => pick!(2, 8, 4, 2),
        3 => pick!(3, 4, 2),
        4 => pick!(4, 4, 2),
        5 => pick!(5, 4, 2),
        6 => pick!(6, 4, 2),
        7 => pick!(7, 2),
        8 => pick!(8, 2),
        9 => pick!(9, 2),
        10 => pick!(10, 2),
        11 => pick!(11, 2),
        _ => pick!(12, 2),
    }
}

/// See [`TileFn`].
#[target_feature(enable = "avx512f")]
unsafe fn accumulate<const MR: usize, const NP: usize>(
    runs: &[Run],
    b: *const f32,
    panel: usize,
    acc: &mut Acc,
    fresh: bool,
) {
    const { assert!(MR * NP <= 24 && MR <= ROWS) };
    let mut c = [[_mm512_setzero_ps(); NP]; MR];
    if !fresh {
        for (r, row) in c.iter_mut().enumerate() {
            for (p, lane) in row.iter_mut().enumerate() {
                // SAFETY: MR * NP * 16 <= MAX_ACC.
                *lane = unsafe { _mm512_loadu_ps(acc.0.as_ptr().add((r * NP + p) * BLOCK)) };
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
        for (p, lane) in row.iter().enumerate() {
            // SAFETY: MR * NP * 16 <= MAX_ACC.
            unsafe { _mm512_storeu_ps(acc.0.as_mut_ptr().add((r * NP + p) * BLOCK), *lane) };
        }
    }
}

/// One k: `NP` lines of B, one broadcast for each row.
///
/// Safety: `a[r] + kk` and `b + p * panel .. + 16` can be read.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn step<const MR: usize, const NP: usize>(
    c: &mut [[__m512; NP]; MR],
    a: &[*const f32; MR],
    kk: usize,
    b: *const f32,
    panel: usize,
) {
    let mut lines = [_mm512_setzero_ps(); NP];
    for (p, line) in lines.iter_mut().enumerate() {
        // SAFETY: promised by the caller.
        *line = unsafe { _mm512_loadu_ps(b.add(p * panel)) };
        if MR <= 2 {
            // Few rows wait for B.
            // SAFETY: reads nothing.
            #[allow(unused_unsafe, reason = "safe in newer toolchains")]
            unsafe {
                _mm_prefetch::<_MM_HINT_T0>(b.wrapping_add(p * panel + 8 * BLOCK).cast());
            }
        }
    }
    for (row, from) in c.iter_mut().zip(a) {
        // SAFETY: promised by the caller.
        let value = _mm512_set1_ps(unsafe { *from.add(kk) });
        for (lane, line) in row.iter_mut().zip(&lines) {
            *lane = _mm512_fmadd_ps(value, *line, *lane);
        }
    }
}
