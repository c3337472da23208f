//! Recurrent networks over a whole sequence: what they share, and the simple cell.
//!
//! ```text
//! simple:  h' = f(xw[t] + h R)            lstm and gru have files of their own
//!
//! caller, once:   xw = x W + biases, one matrix product over all steps
//! here, per step: scratch = h R (all batches in one product), then the cell, pointwise and vectorised
//! ```
//!
//! Batch b runs `lengths[b]` steps; step s reads time s, or in reverse time `length - 1 - s`. After its end a batch keeps its
//! state, and its outputs are zero. R is packed by [`pack_b`](super::pack::pack_b) as `[hidden][gates * hidden]`.
//! Traffic: R once for each step, which is the bound for small batches.

use super::gemm::{Gemm, gemm};
use super::isa::{Isa, Work, vectorize};
use super::math::{sigmoid, tanh};
use super::tile::Tile;
use super::{KernelError, need, product};

/// Sizes and direction.
#[derive(Debug, Clone, Copy)]
pub struct Sequence<'a> {
    /// Time steps.
    pub steps: usize,
    /// Batches.
    pub batch: usize,
    /// Size of the state.
    pub hidden: usize,
    /// Last step first.
    pub reverse: bool,
    /// Steps of each batch; all `steps` if absent. Values are clamped to `0..=steps`.
    pub lengths: Option<&'a [i64]>,
    /// Elements of the output from one time to the next; `batch * hidden` for one direction.
    pub y_stride: usize,
}

impl Sequence<'_> {
    /// Elements of the state of all batches.
    pub fn state_len(&self) -> Option<usize> {
        product(&[self.batch, self.hidden])
    }

    /// Copies a first state to where the steps replace it.
    pub fn begin(&self, from: &[f32], state: &mut [f32]) -> Result<(), KernelError> {
        let length = self.state_len();
        need("the first state", length, from.len())?;
        need("the state", length, state.len())?;
        let length = length.unwrap_or(0);
        if let (Some(state), Some(from)) = (state.get_mut(..length), from.get(..length)) {
            state.copy_from_slice(from);
        }
        Ok(())
    }

    /// Checks what all cells have in common.
    pub(super) fn check(
        &self,
        gates: usize,
        xw: &[f32],
        h: &[f32],
        y: Option<&[f32]>,
        scratch: &[f32],
    ) -> Result<(), KernelError> {
        need("xw", product(&[self.steps, self.batch, gates, self.hidden]), xw.len())?;
        need("h", self.state_len(), h.len())?;
        need("scratch", product(&[self.batch, gates, self.hidden]), scratch.len())?;
        need("lengths", Some(self.batch), self.lengths.map_or(self.batch, <[i64]>::len))?;
        let last = self.steps.saturating_sub(1).checked_mul(self.y_stride);
        let end = last.zip(self.state_len()).and_then(|(last, state)| last.checked_add(state));
        let end = if self.steps == 0 { Some(0) } else { end };
        need("y", y.map_or(Some(0), |_| end), y.map_or(0, <[f32]>::len))
    }

    /// Steps that batch `b` runs.
    fn length(&self, b: usize) -> usize {
        let given = self.lengths.and_then(|l| l.get(b)).map_or(self.steps, |&l| usize::try_from(l).unwrap_or(0));
        given.min(self.steps)
    }

    /// The time that batch `b` reads at step `s`.
    pub(super) fn time(&self, b: usize, s: usize) -> Option<usize> {
        let length = self.length(b);
        (s < length).then(|| if self.reverse { length - 1 - s } else { s })
    }

    /// Where output `(t, b)` starts.
    pub(super) fn at(&self, t: usize, b: usize) -> usize {
        t * self.y_stride + b * self.hidden
    }

    /// Zeroes the outputs past the end of each batch.
    pub(super) fn clear_ends(&self, y: &mut Option<&mut [f32]>) {
        let Some(y) = y else { return };
        for b in 0..self.batch {
            for t in self.length(b)..self.steps {
                let at = self.at(t, b);
                y.get_mut(at..at + self.hidden).unwrap_or_default().fill(0.0);
            }
        }
    }
}

/// `out[b * row + first + j] = Σ_k h[b, k] R[k, j]` for `j < n`.
#[allow(clippy::too_many_arguments, reason = "operands and the place of the result")]
pub(super) fn recur(
    isa: Isa,
    q: &Sequence,
    n: usize,
    h: &[f32],
    r_packed: &[f32],
    out: &mut [f32],
    row: usize,
    first: usize,
) -> Result<(), KernelError> {
    let g = Gemm::rows(q.batch, n, q.hidden, h, r_packed);
    gemm(isa, &g, &mut |t: &Tile, acc: &[f32]| {
        for (i, values) in acc.chunks(t.stride).take(t.xs).enumerate() {
            let at = (t.x + i) * row + first + t.c;
            if let (Some(to), Some(from)) = (out.get_mut(at..at + t.cs), values.get(..t.cs)) {
                to.copy_from_slice(from);
            }
        }
    })
}

/// The function of the simple cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// Hyperbolic tangent.
    Tanh,
    /// `max(x, 0)`.
    Relu,
    /// Logistic function.
    Sigmoid,
}

/// Runs the simple cell: `h` is read and replaced, `y` receives every state. `scratch` has `batch * hidden` elements.
#[allow(clippy::too_many_arguments, reason = "the operands of the operator")]
pub fn rnn(
    isa: Isa,
    q: &Sequence,
    activation: Activation,
    clip: Option<f32>,
    xw: &[f32],
    r_packed: &[f32],
    h: &mut [f32],
    mut y: Option<&mut [f32]>,
    scratch: &mut [f32],
) -> Result<(), KernelError> {
    q.check(1, xw, h, y.as_deref(), scratch)?;
    q.clear_ends(&mut y);
    let n = q.hidden;
    for s in 0..q.steps {
        recur(isa, q, n, h, r_packed, scratch, n, 0)?;
        for b in 0..q.batch {
            let Some(t) = q.time(b, s) else { continue };
            let from = (t * q.batch + b) * n;
            let (gate, state) = (&scratch[b * n..(b + 1) * n], &mut h[b * n..(b + 1) * n]);
            vectorize(isa, Cell { gate, x: &xw[from..from + n], state, activation, clip });
            if let Some(y) = &mut y {
                y[q.at(t, b)..q.at(t, b) + n].copy_from_slice(state);
            }
        }
    }
    Ok(())
}

struct Cell<'a> {
    gate: &'a [f32],
    x: &'a [f32],
    state: &'a mut [f32],
    activation: Activation,
    clip: Option<f32>,
}

impl Work for Cell<'_> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        let clip = self.clip.unwrap_or(f32::INFINITY);
        let sums = self.state.iter_mut().zip(self.gate).zip(self.x).map(|((h, g), x)| (h, clipped(g + x, clip)));
        match self.activation {
            Activation::Tanh => sums.for_each(|(h, v)| *h = tanh(v)),
            Activation::Relu => sums.for_each(|(h, v)| *h = if v < 0.0 { 0.0 } else { v }),
            Activation::Sigmoid => sums.for_each(|(h, v)| *h = sigmoid(v)),
        }
    }
}

/// `v` limited to `-clip..=clip`; NaN stays.
#[inline(always)]
pub(super) fn clipped(v: f32, clip: f32) -> f32 {
    let v = if v > clip { clip } else { v };
    if v < -clip { -clip } else { v }
}
