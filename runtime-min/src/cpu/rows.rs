//! Softmax and normalisation of one contiguous row, in place.
//!
//! ```text
//! softmax      e^(x - max) / Σ e^(x - max)          log_softmax   x - max - ln Σ e^(x - max)
//! layer_norm   (x - mean) / √(var + eps) * γ + β    rms_norm      x / √(mean(x²) + eps) * γ
//! ```
//!
//! Sums run over 64 lanes in a fixed order, then over the lanes as a tree: the same bits on every level. The variance is taken
//! around the mean in a second pass. NaN anywhere, or a row of nothing but -inf, makes the softmax NaN, as NumPy has it.
//! Traffic: the row three times, from the first-level cache where it fits. An empty row is left alone.

use super::isa::{Isa, Work, vectorize};
use super::math::{exp_flushed, ln};
use super::{KernelError, need};

const LANES: usize = 64;

/// `buf = softmax(buf)`.
pub fn softmax_row(isa: Isa, buf: &mut [f32]) {
    vectorize(isa, Softmax(buf));
}

/// `buf = log(softmax(buf))`.
pub fn log_softmax_row(isa: Isa, buf: &mut [f32]) {
    vectorize(isa, LogSoftmax(buf));
}

/// Layer normalisation; `gamma` and `beta` are as long as `buf`.
pub fn layer_norm_row(
    isa: Isa,
    buf: &mut [f32],
    eps: f32,
    gamma: Option<&[f32]>,
    beta: Option<&[f32]>,
) -> Result<(), KernelError> {
    need("gamma", Some(buf.len()), gamma.map_or(buf.len(), <[f32]>::len))?;
    need("beta", Some(buf.len()), beta.map_or(buf.len(), <[f32]>::len))?;
    vectorize(isa, Normalise { buf, eps, gamma, beta, centre: true });
    Ok(())
}

/// Root-mean-square normalisation; `gamma` is as long as `buf`.
pub fn rms_norm_row(isa: Isa, buf: &mut [f32], eps: f32, gamma: Option<&[f32]>) -> Result<(), KernelError> {
    need("gamma", Some(buf.len()), gamma.map_or(buf.len(), <[f32]>::len))?;
    vectorize(isa, Normalise { buf, eps, gamma, beta: None, centre: false });
    Ok(())
}

struct Softmax<'a>(&'a mut [f32]);

impl Work for Softmax<'_> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        let max = largest(self.0);
        let sum = fold_mut(self.0, |v| {
            *v = exp_flushed(*v - max);
            *v
        });
        let scale = 1.0 / sum;
        self.0.iter_mut().for_each(|v| *v *= scale);
    }
}

struct LogSoftmax<'a>(&'a mut [f32]);

impl Work for LogSoftmax<'_> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        let max = largest(self.0);
        let sum = fold_mut(self.0, |v| {
            *v -= max;
            exp_flushed(*v)
        });
        let log = ln(sum);
        self.0.iter_mut().for_each(|v| *v -= log);
    }
}

struct Normalise<'a> {
    buf: &'a mut [f32],
    eps: f32,
    gamma: Option<&'a [f32]>,
    beta: Option<&'a [f32]>,
    centre: bool,
}

impl Work for Normalise<'_> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        let Self { buf, eps, gamma, beta, centre } = self;
        let count = buf.len() as f32;
        if centre {
            let mean = fold_mut(buf, |v| *v) / count;
            buf.iter_mut().for_each(|v| *v -= mean);
        }
        let variance = fold_mut(buf, |v| *v * *v) / count;
        let scale = 1.0 / (variance + eps).sqrt();
        match (gamma, beta) {
            (None, None) => buf.iter_mut().for_each(|v| *v *= scale),
            (Some(gamma), None) => buf.iter_mut().zip(gamma).for_each(|(v, g)| *v = *v * scale * g),
            (None, Some(beta)) => buf.iter_mut().zip(beta).for_each(|(v, b)| *v = *v * scale + b),
            (Some(gamma), Some(beta)) => {
                buf.iter_mut().zip(gamma).zip(beta).for_each(|((v, g), b)| *v = *v * scale * g + b)
            }
        }
    }
}

/// The sum of `f` over the row, in lanes.
#[inline(always)]
fn fold_mut(buf: &mut [f32], f: impl Fn(&mut f32) -> f32) -> f32 {
    let mut lanes = [0f32; LANES];
    let (chunks, rest) = buf.as_chunks_mut::<LANES>();
    for chunk in chunks {
        for (lane, v) in lanes.iter_mut().zip(chunk) {
            *lane += f(v);
        }
    }
    for (lane, v) in lanes.iter_mut().zip(rest) {
        *lane += f(v);
    }
    tree(lanes, |a, b| a + b)
}

/// The largest value; NaN is passed over (it turns up again in the sum).
#[inline(always)]
fn largest(buf: &[f32]) -> f32 {
    let pick = |a: f32, b: f32| if b > a { b } else { a };
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (chunks, rest) = buf.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, v) in lanes.iter_mut().zip(chunk) {
            *lane = pick(*lane, *v);
        }
    }
    for (lane, v) in lanes.iter_mut().zip(rest) {
        *lane = pick(*lane, *v);
    }
    tree(lanes, pick)
}

#[inline(always)]
fn tree(mut lanes: [f32; LANES], f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] = f(lanes[i], lanes[i + width]);
        }
        width /= 2;
    }
    lanes[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> impl Iterator<Item = Vec<f32>> {
        [1usize, 2, 5, 63, 64, 65, 197, 768, 1000]
            .into_iter()
            .map(|n| (0..n as u32).map(|i| (i.wrapping_mul(2654435761) >> 9) as f32 / (1 << 20) as f32 - 4.0).collect())
    }

    fn close(name: &str, got: &[f32], want: impl Iterator<Item = f64>) {
        for (g, w) in got.iter().zip(want) {
            assert!((f64::from(*g) - w).abs() <= 2e-6 * (1.0 + w.abs()), "{name} n={}: {g} {w}", got.len());
        }
    }

    #[test]
    fn against_double_precision() {
        for isa in Isa::LEVELS.iter().filter_map(|&level| Isa::with_level(level)) {
            for x in rows() {
                let n = x.len() as f64;
                let wide = || x.iter().map(|&v| f64::from(v));
                let max = wide().fold(f64::NEG_INFINITY, f64::max);
                let sum: f64 = wide().map(|v| (v - max).exp()).sum();
                let mut y = x.clone();
                softmax_row(isa, &mut y);
                close("softmax", &y, wide().map(|v| (v - max).exp() / sum));
                let mut y = x.clone();
                log_softmax_row(isa, &mut y);
                close("log_softmax", &y, wide().map(|v| v - max - sum.ln()));
                let mean = wide().sum::<f64>() / n;
                let scale = 1.0 / (wide().map(|v| (v - mean).powi(2)).sum::<f64>() / n + 1e-5).sqrt();
                let (g, b) = (vec![1.5; x.len()], vec![-0.25; x.len()]);
                let mut y = x.clone();
                assert_eq!(layer_norm_row(isa, &mut y, 1e-5, Some(&g), Some(&b)), Ok(()));
                close("layer_norm", &y, wide().map(|v| (v - mean) * scale * 1.5 - 0.25));
                let scale = 1.0 / (wide().map(|v| v * v).sum::<f64>() / n + 1e-5).sqrt();
                let mut y = x.clone();
                assert_eq!(rms_norm_row(isa, &mut y, 1e-5, Some(&g)), Ok(()));
                close("rms_norm", &y, wide().map(|v| v * scale * 1.5));
            }
        }
    }

    #[test]
    fn special_rows() {
        let isa = Isa::detect();
        for (mut row, nan) in [
            (vec![f32::NEG_INFINITY; 3], true),
            (vec![0.0, f32::NAN, 1.0], true),
            (vec![0.0, f32::INFINITY], true),
            (vec![0.0, f32::NEG_INFINITY], false),
        ] {
            softmax_row(isa, &mut row);
            assert_eq!(row[0].is_nan(), nan);
        }
        softmax_row(isa, &mut []);
        assert!(layer_norm_row(isa, &mut [1.0, 2.0], 0.0, Some(&[1.0]), None).is_err());
    }
}
