//! The GRU cell over a sequence.
//!
//! ```text
//! gates in ONNX order z r h:     z, r = σ(xw[t] + h R_zr)
//! linear_before_reset == 0:      ĥ = tanh(xw_h + (r h) R_h)
//! otherwise:                     ĥ = tanh(xw_h + r (h R_h + b))         b = recurrent bias of h, not in xw
//! h' = (1 - z) ĥ + z h
//! ```
//!
//! R comes packed in two parts, because `R_h` may have to wait for the reset gate. Limits: the default activations. The rest is
//! said in `rnn`.

use super::isa::{Isa, Work, vectorize};
use super::math::{sigmoid, tanh};
use super::rnn::{Sequence, clipped, recur};
use super::{KernelError, need};

/// Variations of the cell.
#[derive(Debug, Clone, Copy, Default)]
pub struct GruOptions<'a> {
    /// Limit of what enters the activations of the gates.
    pub clip: Option<f32>,
    /// Multiplies by the reset gate after the product with `R_h`, not before.
    pub linear_before_reset: bool,
    /// `[hidden]`, the recurrent bias of h; read only with `linear_before_reset`.
    pub recurrent_bias: Option<&'a [f32]>,
}

/// Runs the sequence: `h` is read and replaced, `y` receives every h.
///
/// `xw` is `[steps][batch][3 * hidden]` with the biases added (all but `recurrent_bias`); `r_zr` is packed
/// `[hidden][2 * hidden]`, `r_h` `[hidden][hidden]`; `scratch` has `batch * 3 * hidden` elements.
#[allow(clippy::too_many_arguments, reason = "the operands of the operator")]
pub fn gru(
    isa: Isa,
    q: &Sequence,
    options: &GruOptions,
    xw: &[f32],
    r_zr: &[f32],
    r_h: &[f32],
    h: &mut [f32],
    mut y: Option<&mut [f32]>,
    scratch: &mut [f32],
) -> Result<(), KernelError> {
    q.check(3, xw, h, y.as_deref(), scratch)?;
    let bias = options.recurrent_bias.unwrap_or_default();
    need("recurrent_bias", Some(options.recurrent_bias.map_or(0, |_| q.hidden)), bias.len())?;
    q.clear_ends(&mut y);
    let n = q.hidden;
    let (gates, last) = scratch.split_at_mut(2 * n * q.batch);
    for s in 0..q.steps {
        recur(isa, q, 2 * n, h, r_zr, gates, 2 * n, 0)?;
        for b in 0..q.batch {
            let Some(t) = q.time(b, s) else { continue };
            let x = &xw[(t * q.batch + b) * 3 * n..][..2 * n];
            let gates = &mut gates[b * 2 * n..(b + 1) * 2 * n];
            vectorize(isa, Gates { gates, x, h: &h[b * n..(b + 1) * n], options });
        }
        if options.linear_before_reset {
            recur(isa, q, n, h, r_h, last, n, 0)?;
        } else {
            // The second half of the gates of each batch holds r h; rows lie 2n apart.
            recur_strided(isa, q, gates, r_h, last)?;
        }
        for b in 0..q.batch {
            let Some(t) = q.time(b, s) else { continue };
            let x = &xw[(t * q.batch + b) * 3 * n + 2 * n..][..n];
            let (z, r) = gates[b * 2 * n..(b + 1) * 2 * n].split_at(n);
            let (product, h) = (&mut last[b * n..(b + 1) * n], &mut h[b * n..(b + 1) * n]);
            vectorize(isa, Update { product, x, z, r, h, options });
            if let Some(y) = &mut y {
                y[q.at(t, b)..q.at(t, b) + n].copy_from_slice(h);
            }
        }
    }
    Ok(())
}

/// `last = (r h) R_h`, reading r h from behind z in the gates.
fn recur_strided(isa: Isa, q: &Sequence, gates: &[f32], r_h: &[f32], last: &mut [f32]) -> Result<(), KernelError> {
    use super::gemm::{Gemm, gemm};
    use super::tile::Tile;
    let n = q.hidden;
    let a = gates.get(n..).unwrap_or_default();
    let g = Gemm { row_stride: 2 * n, ..Gemm::rows(q.batch, n, n, a, r_h) };
    gemm(isa, &g, &mut |t: &Tile, acc: &[f32]| {
        for (i, values) in acc.chunks(t.stride).take(t.xs).enumerate() {
            let at = (t.x + i) * n + t.c;
            if let (Some(to), Some(from)) = (last.get_mut(at..at + t.cs), values.get(..t.cs)) {
                to.copy_from_slice(from);
            }
        }
    })
}

struct Gates<'a> {
    gates: &'a mut [f32],
    x: &'a [f32],
    h: &'a [f32],
    options: &'a GruOptions<'a>,
}

impl Work for Gates<'_> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        let clip = self.options.clip.unwrap_or(f32::INFINITY);
        self.gates.iter_mut().zip(self.x).for_each(|(g, x)| *g = sigmoid(clipped(*g + x, clip)));
        if !self.options.linear_before_reset {
            let (_, r) = self.gates.split_at_mut(self.h.len());
            r.iter_mut().zip(self.h).for_each(|(r, h)| *r *= h);
        }
    }
}

struct Update<'a> {
    product: &'a mut [f32],
    x: &'a [f32],
    z: &'a [f32],
    r: &'a [f32],
    h: &'a mut [f32],
    options: &'a GruOptions<'a>,
}

impl Work for Update<'_> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        let clip = self.options.clip.unwrap_or(f32::INFINITY);
        if self.options.linear_before_reset {
            if let Some(bias) = self.options.recurrent_bias {
                self.product.iter_mut().zip(bias).for_each(|(p, b)| *p += b);
            }
            self.product.iter_mut().zip(self.r).for_each(|(p, r)| *p *= r);
        }
        for ((h, z), (p, x)) in self.h.iter_mut().zip(self.z).zip(self.product.iter().zip(self.x)) {
            let new = tanh(clipped(p + x, clip));
            *h = (1.0 - z) * new + z * *h;
        }
    }
}
