//! Rounding to the 16-bit floats, which are computed in `f32`. Only in crates whose model has them.

/// To the nearest `f16`.
#[inline(always)]
pub fn f16(v: f32) -> f32 {
    half::f16::from_f32(v).to_f32()
}

/// To the nearest `bf16`.
#[inline(always)]
pub fn bf16(v: f32) -> f32 {
    half::bf16::from_f32(v).to_f32()
}
