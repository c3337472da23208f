//! Sixteen f32 lanes: one register on AVX-512, two on AVX2, an array elsewhere.
//!
//! For the few loops that the compiler does not turn into vectors by itself. The methods are inlined into a function compiled
//! for the level ([`vectorize`](super::isa::vectorize)), where each becomes one or two instructions.

use super::BLOCK;
#[cfg(target_arch = "x86_64")]
use core::arch::x86_64::*;

/// Safety, for every method: the level of the type is present, and 16 elements at the pointer may be read or written.
pub(super) trait Lanes: Copy {
    unsafe fn splat(v: f32) -> Self;
    unsafe fn load(from: *const f32) -> Self;
    unsafe fn store(self, to: *mut f32);
    unsafe fn add(self, other: Self) -> Self;
    /// `self * weight + acc`, fused where that is an instruction.
    unsafe fn mul_add(self, weight: Self, acc: Self) -> Self;
    /// The larger; NaN in either wins.
    unsafe fn max(self, other: Self) -> Self;
}

impl Lanes for [f32; BLOCK] {
    #[inline(always)]
    unsafe fn splat(v: f32) -> Self {
        [v; BLOCK]
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: promised by the caller; an array of f32 is aligned like f32.
        unsafe { *from.cast() }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: promised by the caller.
        unsafe { *to.cast() = self }
    }
    #[inline(always)]
    unsafe fn add(mut self, other: Self) -> Self {
        self.iter_mut().zip(&other).for_each(|(a, b)| *a += b);
        self
    }
    #[inline(always)]
    unsafe fn mul_add(self, weight: Self, mut acc: Self) -> Self {
        for ((acc, v), w) in acc.iter_mut().zip(&self).zip(&weight) {
            *acc = if cfg!(target_arch = "aarch64") { v.mul_add(*w, *acc) } else { v * w + *acc };
        }
        acc
    }
    #[inline(always)]
    unsafe fn max(mut self, other: Self) -> Self {
        for (a, b) in self.iter_mut().zip(&other) {
            *a = if *b > *a || b.is_nan() { *b } else { *a };
        }
        self
    }
}

#[cfg(target_arch = "x86_64")]
impl Lanes for __m512 {
    #[inline(always)]
    unsafe fn splat(v: f32) -> Self {
        // SAFETY: the level is present.
        unsafe { _mm512_set1_ps(v) }
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: promised by the caller.
        unsafe { _mm512_loadu_ps(from) }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: promised by the caller.
        unsafe { _mm512_storeu_ps(to, self) }
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: the level is present.
        unsafe { _mm512_add_ps(self, other) }
    }
    #[inline(always)]
    unsafe fn mul_add(self, weight: Self, acc: Self) -> Self {
        // SAFETY: the level is present.
        unsafe { _mm512_fmadd_ps(self, weight, acc) }
    }
    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        // The instruction gives its second operand if either is NaN.
        // SAFETY: the level is present.
        unsafe {
            let larger = _mm512_max_ps(other, self);
            _mm512_mask_mov_ps(larger, _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(other, other), other)
        }
    }
}

/// Two AVX registers.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub(super) struct Pair(__m256, __m256);

#[cfg(target_arch = "x86_64")]
impl Lanes for Pair {
    #[inline(always)]
    unsafe fn splat(v: f32) -> Self {
        // SAFETY: the level is present.
        unsafe { Self(_mm256_set1_ps(v), _mm256_set1_ps(v)) }
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: promised by the caller.
        unsafe { Self(_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))) }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: promised by the caller.
        unsafe {
            _mm256_storeu_ps(to, self.0);
            _mm256_storeu_ps(to.add(8), self.1);
        }
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: the level is present.
        unsafe { Self(_mm256_add_ps(self.0, other.0), _mm256_add_ps(self.1, other.1)) }
    }
    #[inline(always)]
    unsafe fn mul_add(self, weight: Self, acc: Self) -> Self {
        // SAFETY: the level is present.
        unsafe { Self(_mm256_fmadd_ps(self.0, weight.0, acc.0), _mm256_fmadd_ps(self.1, weight.1, acc.1)) }
    }
    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        // SAFETY: the level is present.
        unsafe { Self(larger(self.0, other.0), larger(self.1, other.1)) }
    }
}

/// Safety: AVX is present.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn larger(a: __m256, b: __m256) -> __m256 {
    // The instruction gives its second operand if either is NaN.
    // SAFETY: the level is present.
    unsafe { _mm256_blendv_ps(_mm256_max_ps(b, a), b, _mm256_cmp_ps::<_CMP_UNORD_Q>(b, b)) }
}
