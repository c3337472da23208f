//! Depthwise convolution (one filter for each channel) over channel blocks.
//!
//! `out[n, c, y, x] = Σ_{kh, kw} in[n, c, y*sh + kh*dh - top, x*sw + kw*dw - left] * w[c, kh, kw]`
//!
//! ```text
//!   8 (AVX2: 6) pixels × 16 channels in registers; each tap: one line of weights, a line of input for each pixel
//! ```
//!
//! Traffic: the input once for each filter row (from the first-level cache), the output once. Weights are
//! `[C/16][KH][KW][16]`, see [`pack_depthwise_weights`](super::pack::pack_depthwise_weights).
//! Limits: channel multiplier 1; padded channels come out as zero because padded weights are.

use super::isa::Isa;
use super::lanes::Lanes;
use super::tile::Store;
use super::window::{Fold, Window, walk};
use super::{BLOCK, KernelError, need, product};
use core::ops::Range;

/// Computes `planes` and hands them to `store`.
pub fn depthwise(
    isa: Isa,
    window: &Window,
    planes: Range<usize>,
    input: &[f32],
    weights: &[f32],
    store: &mut dyn Store,
) -> Result<(), KernelError> {
    need("weights", product(&[window.blocks, window.kernel[0], window.kernel[1], BLOCK]), weights.len())?;
    walk(isa, window, planes, [input, weights], store, Taps)
}

#[derive(Clone, Copy)]
struct Taps;

impl Fold for Taps {
    const START: f32 = 0.0;
    #[inline(always)]
    unsafe fn take<L: Lanes>(acc: L, value: L, weight: L) -> L {
        // SAFETY: promised by the caller.
        unsafe { value.mul_add(weight, acc) }
    }
    #[inline(always)]
    fn finish(self, _: &Window, _: usize, _: usize, _: &mut [[f32; BLOCK]]) {}
}
