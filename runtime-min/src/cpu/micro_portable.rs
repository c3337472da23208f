//! The register tile in plain Rust: fixed-size arrays that the compiler turns into whatever vectors the target has.
//!
//! ```text
//! x86-64 (SSE2, 16 registers of 4): 2 rows by 16      AArch64 (NEON, 32 registers of 4): 6 rows by 16, fused
//! ```
//!
//! Fused multiply-add is used only where it is an instruction of the base target. The formula and the contract are in `micro`.

use super::BLOCK;
use super::micro::{Acc, Run, TileFn};

const FUSED: bool = cfg!(target_arch = "aarch64");
pub(super) const ROWS: usize = if FUSED { 6 } else { 2 };

/// The tile for `rows` in `1..=ROWS`.
pub(super) fn tile(rows: usize, _panels: usize) -> (usize, TileFn) {
    let function: TileFn = match rows {
        0 | 1 => accumulate::<1>,
        2 => accumulate::<2>,
        #[cfg(target_arch = "aarch64")]
        3 => accumulate::<3>,
        #[cfg(target_arch = "aarch64")]
        4 => accumulate::<4>,
        #[cfg(target_arch = "aarch64")]
        5 => accumulate::<5>,
        _ => accumulate::<ROWS>,
    };
    (1, function)
}

/// See [`TileFn`].
unsafe fn accumulate<const MR: usize>(runs: &[Run], b: *const f32, _panel: usize, acc: &mut Acc, fresh: bool) {
    let mut c = [[0f32; BLOCK]; MR];
    if !fresh {
        for (row, from) in c.iter_mut().zip(acc.0.as_chunks::<BLOCK>().0) {
            *row = *from;
        }
    }
    for run in runs {
        let mut a = [core::ptr::null::<f32>(); MR];
        for (r, row) in a.iter_mut().enumerate() {
            *row = run.rows[r];
        }
        let mut bp = b.wrapping_add(run.b);
        for block in 0..=run.blocks {
            let count = if block < run.blocks { BLOCK } else { run.tail };
            for kk in 0..count {
                // SAFETY: the caller promises 16 values of B for each k.
                let line = unsafe { *bp.add(kk * BLOCK).cast::<[f32; BLOCK]>() };
                for (row, from) in c.iter_mut().zip(&a) {
                    // SAFETY: the caller promises `count` readable values for each row.
                    let value = unsafe { *from.add(kk) };
                    for (lane, weight) in row.iter_mut().zip(&line) {
                        *lane = if FUSED { value.mul_add(*weight, *lane) } else { value * *weight + *lane };
                    }
                }
            }
            for (r, row) in a.iter_mut().enumerate() {
                *row = row.wrapping_add(run.strides[r]);
            }
            bp = bp.wrapping_add(BLOCK * BLOCK);
        }
    }
    for (row, to) in c.iter().zip(acc.0.as_chunks_mut::<BLOCK>().0) {
        *to = *row;
    }
}
