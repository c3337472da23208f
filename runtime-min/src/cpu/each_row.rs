//! Row kernels over a dense tensor: each row is copied into scratch, worked on, and handed out as one tile.

use super::isa::Isa;
use super::rows::{layer_norm_row, log_softmax_row, rms_norm_row, softmax_row};
use super::tile::{Store, Tile};
use super::{KernelError, need, product};
use core::ops::Range;

/// What happens to a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RowWork {
    /// See [`softmax_row`].
    Softmax,
    /// See [`log_softmax_row`].
    LogSoftmax,
    /// See [`layer_norm_row`].
    LayerNorm {
        /// Added to the variance.
        eps: f32,
    },
    /// See [`rms_norm_row`].
    RmsNorm {
        /// Added to the mean square.
        eps: f32,
    },
}

/// Works on some of `rows` rows of `length` elements; tiles carry the number of the row as `n` and the elements as channels.
pub fn each_row(
    isa: Isa,
    work: RowWork,
    some: Range<usize>,
    (rows, length): (usize, usize),
    x: &[f32],
    scratch: &mut [f32],
    store: &mut dyn Store,
) -> Result<(), KernelError> {
    need("x", product(&[rows, length]), x.len())?;
    let found = scratch.len();
    let row = scratch.get_mut(..length).ok_or(KernelError::Length { what: "scratch", expected: length, found })?;
    if length == 0 {
        return Ok(());
    }
    for (n, from) in x.chunks_exact(length).enumerate().take(rows.min(some.end)).skip(some.start) {
        row.copy_from_slice(from);
        match work {
            RowWork::Softmax => softmax_row(isa, row),
            RowWork::LogSoftmax => log_softmax_row(isa, row),
            RowWork::LayerNorm { eps } => layer_norm_row(isa, row, eps, None, None)?,
            RowWork::RmsNorm { eps } => rms_norm_row(isa, row, eps, None)?,
        }
        store.store(&Tile { n, y: 0, x: 0, c: 0, xs: 1, cs: length, stride: length }, row);
    }
    Ok(())
}
