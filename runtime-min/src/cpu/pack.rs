//! Packing of matrices and weights into the order in which the register tile reads them.
//!
//! ```text
//! B       [ceil(N/16)][K][16]                       panels of 16 columns, zero padded
//! A       [ceil(K/16)][M][16]                       blocks of 16 values of k (only needed when k is not the contiguous axis)
//! conv    [OC/16][KH][KW][ICg/16][16 ic][16 oc]     a panel of B whose k runs over taps, then input channels
//! stem    [OC/16][IC][KH][KW][16 oc]                few input channels, plain NCHW input
//! depth   [C/16][KH][KW][16]                        one filter for each channel
//! ```
//!
//! Used at compile time for weights, at run time where both operands are computed (attention).

use super::{BLOCK, KernelError, need, product};

/// Elements of a packed B.
pub fn packed_b_len(k: usize, n: usize) -> Option<usize> {
    product(&[n.div_ceil(BLOCK), k, BLOCK])
}

/// Packs `b[k * row_stride + n * col_stride]` into panels of 16 columns.
pub fn pack_b(
    k: usize,
    n: usize,
    b: &[f32],
    row_stride: usize,
    col_stride: usize,
    dst: &mut [f32],
) -> Result<(), KernelError> {
    need("dst", packed_b_len(k, n), dst.len())?;
    need("b", span(&[(k, row_stride), (n, col_stride)]), b.len())?;
    if k == 0 {
        return Ok(());
    }
    for (panel, dst) in dst.chunks_exact_mut(k * BLOCK).take(n.div_ceil(BLOCK)).enumerate() {
        let first = panel * BLOCK;
        let columns = (n - first).min(BLOCK);
        for (kk, line) in dst.chunks_exact_mut(BLOCK).enumerate() {
            let base = kk * row_stride + first * col_stride;
            if col_stride == 1 {
                line[..columns].copy_from_slice(&b[base..base + columns]);
            } else {
                for (j, value) in line[..columns].iter_mut().enumerate() {
                    *value = b[base + j * col_stride];
                }
            }
            line[columns..].fill(0.0);
        }
    }
    Ok(())
}

/// Elements of a packed A.
pub fn packed_a_len(m: usize, k: usize) -> Option<usize> {
    product(&[k.div_ceil(BLOCK), m, BLOCK])
}

/// Packs `a[m * row_stride + k * k_stride]` into blocks of 16 values of k; read it with row stride 16 and block stride `16 * m`.
pub fn pack_a(
    m: usize,
    k: usize,
    a: &[f32],
    row_stride: usize,
    k_stride: usize,
    dst: &mut [f32],
) -> Result<(), KernelError> {
    need("dst", packed_a_len(m, k), dst.len())?;
    need("a", span(&[(m, row_stride), (k, k_stride)]), a.len())?;
    if m == 0 {
        return Ok(());
    }
    for (block, dst) in dst.chunks_exact_mut(m * BLOCK).take(k.div_ceil(BLOCK)).enumerate() {
        let first = block * BLOCK;
        let count = (k - first).min(BLOCK);
        for (row, line) in dst.chunks_exact_mut(BLOCK).enumerate() {
            for (kk, value) in line[..count].iter_mut().enumerate() {
                *value = a[row * row_stride + (first + kk) * k_stride];
            }
            line[count..].fill(0.0);
        }
    }
    Ok(())
}

/// Sizes of a filter `[oc][ic per group][kh][kw]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Filter {
    /// Output channels, all groups.
    pub oc: usize,
    /// Input channels of one group.
    pub ic: usize,
    /// Rows.
    pub kh: usize,
    /// Columns.
    pub kw: usize,
}

/// Elements of packed convolution weights.
pub fn packed_conv_len(f: Filter) -> Option<usize> {
    product(&[f.oc.div_ceil(BLOCK), f.kh, f.kw, f.ic.div_ceil(BLOCK), BLOCK, BLOCK])
}

/// Packs ONNX weights for `conv`. With groups, `oc / groups` and `ic` must be multiples of 16 (the caller checks).
pub fn pack_conv_weights(f: Filter, w: &[f32], dst: &mut [f32]) -> Result<(), KernelError> {
    need("dst", packed_conv_len(f), dst.len())?;
    need("w", product(&[f.oc, f.ic, f.kh, f.kw]), w.len())?;
    let mut lines = dst.chunks_exact_mut(BLOCK);
    for ob in 0..f.oc.div_ceil(BLOCK) {
        for tap in 0..f.kh * f.kw {
            for ic in 0..f.ic.next_multiple_of(BLOCK) {
                let Some(line) = lines.next() else { return Ok(()) };
                for (j, value) in line.iter_mut().enumerate() {
                    let oc = ob * BLOCK + j;
                    let real = oc < f.oc && ic < f.ic;
                    *value = if real { w[(oc * f.ic + ic) * f.kh * f.kw + tap] } else { 0.0 };
                }
            }
        }
    }
    Ok(())
}

/// Elements of packed stem weights.
pub fn packed_stem_len(f: Filter) -> Option<usize> {
    product(&[f.oc.div_ceil(BLOCK), f.ic, f.kh, f.kw, BLOCK])
}

/// Packs ONNX weights for `stem`.
pub fn pack_stem_weights(f: Filter, w: &[f32], dst: &mut [f32]) -> Result<(), KernelError> {
    need("dst", packed_stem_len(f), dst.len())?;
    need("w", product(&[f.oc, f.ic, f.kh, f.kw]), w.len())?;
    let depth = f.ic * f.kh * f.kw;
    for (index, line) in dst.chunks_exact_mut(BLOCK).take(f.oc.div_ceil(BLOCK) * depth).enumerate() {
        let (ob, k) = (index / depth, index % depth);
        for (j, value) in line.iter_mut().enumerate() {
            let oc = ob * BLOCK + j;
            *value = if oc < f.oc { w[oc * depth + k] } else { 0.0 };
        }
    }
    Ok(())
}

/// Elements of packed depthwise weights.
pub fn packed_depthwise_len(c: usize, kh: usize, kw: usize) -> Option<usize> {
    product(&[c.div_ceil(BLOCK), kh, kw, BLOCK])
}

/// Packs ONNX weights `[c][1][kh][kw]` for `depthwise`.
pub fn pack_depthwise_weights(c: usize, kh: usize, kw: usize, w: &[f32], dst: &mut [f32]) -> Result<(), KernelError> {
    pack_stem_weights(Filter { oc: c, ic: 1, kh, kw }, w, dst)
}

/// Elements spanned by axes of `(size, stride)`; zero when any size is.
pub(super) fn span(axes: &[(usize, usize)]) -> Option<usize> {
    if axes.iter().any(|&(size, _)| size == 0) {
        return Some(0);
    }
    axes.iter().try_fold(1usize, |acc, &(size, stride)| acc.checked_add((size - 1).checked_mul(stride)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panels_are_padded_with_zeros() {
        let b: Vec<f32> = (0..3 * 18).map(|i| i as f32).collect();
        let mut dst = vec![f32::NAN; packed_b_len(3, 18).unwrap_or(0)];
        assert_eq!(pack_b(3, 18, &b, 18, 1, &mut dst), Ok(()));
        assert_eq!(dst[16], 18.0);
        assert_eq!(&dst[48..51], &[16.0, 17.0, 0.0]);
        let mut transposed = vec![f32::NAN; dst.len()];
        let bt: Vec<f32> = (0..54).map(|i| ((i % 3) * 18 + i / 3) as f32).collect();
        assert_eq!(pack_b(3, 18, &bt, 1, 3, &mut transposed), Ok(()));
        assert_eq!(dst, transposed);
    }

    #[test]
    fn short_slices_are_refused() {
        let mut dst = [0.0; 15];
        assert!(pack_b(1, 1, &[1.0], 1, 1, &mut dst).is_err());
        assert!(pack_b(2, 1, &[1.0], 1, 1, &mut [0.0; 32]).is_err());
        assert!(pack_b(usize::MAX, 1, &[], 1, 1, &mut dst).is_err());
    }
}
