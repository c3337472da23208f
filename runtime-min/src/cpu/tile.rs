//! Where finished accumulators go.
//!
//! ```text
//!            c ─────────► c + cs           acc[xi * stride + ci]  is the value of column x + xi, channel c + ci
//!   x      ┌─────────────┐
//!   │      │             │ ┄┄┄ stride ≥ cs: what lies between cs and stride is padding, not a result
//!   ▼      │             │
//!   x + xs └─────────────┘
//! ```
//!
//! A convolution or a pool reports batch `n`, output row `y`, output columns `x..`; a matrix product reports its row as `x`, its
//! column as `c`, `y = 0`, and `n` as the caller named it. Every output element is reported exactly once; order is not promised.
//! The store is called through `dyn`, so kernels are compiled once; a store that wants wide vectors calls
//! [`vectorize`](super::isa::vectorize) itself.

/// The place of one block of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tile {
    /// Batch.
    pub n: usize,
    /// Output row.
    pub y: usize,
    /// First output column (first row of a matrix product).
    pub x: usize,
    /// First channel (first column of a matrix product).
    pub c: usize,
    /// Number of columns.
    pub xs: usize,
    /// Number of channels.
    pub cs: usize,
    /// Distance in `acc` between neighbouring columns.
    pub stride: usize,
}

/// Takes finished values: adds bias, activates, writes.
pub trait Store {
    /// Takes one tile; `acc` has at least `(xs - 1) * stride + cs` elements.
    fn store(&mut self, tile: &Tile, acc: &[f32]);
}

impl<F: FnMut(&Tile, &[f32])> Store for F {
    fn store(&mut self, tile: &Tile, acc: &[f32]) {
        self(tile, acc)
    }
}
