//! `.approx` instructions: the true value, moved within the error that PTX documents by an amount that depends on the input's bits.
//!
//! | instruction | error |
//! |---|---|
//! | div.approx, div.full | 2 ulp |
//! | rcp.approx | 1 ulp |
//! | sqrt.approx | 2^-23 relative |
//! | rsqrt.approx | 2^-22.9 relative |
//! | ex2.approx | 2 ulp; f16: 2^-9.9, bf16: 2^-7 relative |
//! | lg2.approx | 2^-22 absolute in (0.5, 2), else relative |
//! | sin.approx, cos.approx | 2^-20.5 absolute within ±2π, 2^-14.7 beyond |
//! | tanh.approx | 2^-11 relative; f16: 2^-10.987, bf16: 2^-8 |

/// A bound on the distance from the true value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Within {
    Ulps(f64),
    Relative(f64),
    Absolute(f64),
}

/// A value within the bound, as f64, such that rounding it to f32 stays within.
pub(crate) fn near(exact: f64, within: Within, key: u64) -> f64 {
    if exact == 0.0 || !exact.is_finite() {
        return exact;
    }
    let ulp = ulp32(exact);
    let bound = match within {
        Within::Ulps(n) => n * ulp,
        Within::Relative(r) => r * exact.abs(),
        Within::Absolute(a) => a,
    };
    // Half an ulp is left for the rounding that follows.
    exact + (bound - 0.5 * ulp).max(0.0) * share(key)
}

/// The distance of f32 numbers about a value.
fn ulp32(x: f64) -> f64 {
    let exponent = ((x.abs().to_bits() >> 52) as i32 - 1023).max(-126);
    f64::from_bits(((exponent - 23 + 1023) as u64) << 52)
}

/// A number in -1..1 that depends on all bits of the key.
pub(crate) fn share(key: u64) -> f64 {
    let mut v = key.wrapping_add(0x9e37_79b9_7f4a_7c15);
    v = (v ^ v >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    v = (v ^ v >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    v ^= v >> 31;
    (v >> 11) as f64 / (1u64 << 52) as f64 - 1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_within_the_bound_and_moves() {
        let mut moved = 0;
        for key in 0..10_000u64 {
            let exact = 1.0 + key as f64 / 9_999.0;
            let found = f64::from(near(exact, Within::Ulps(2.0), key) as f32);
            assert!((found - exact).abs() <= 2.0 * ulp32(exact), "{exact} became {found}");
            moved += usize::from(found != f64::from(exact as f32));
        }
        assert!(moved > 2_000, "only {moved} of 10000 values moved");
    }
}
