//! Sine, cosine and tangent through f64, for all finite arguments.
//!
//! ```text
//! x = (4j + q) π/2 + r, |r| ≤ π/4        q selects ±sin r or ±cos r, both by their series
//!
//! |x| < 2^24:  n = round(x 2/π), r = x - n (P1 + P2 + P3), the first two products exact
//! beyond:      x = m 2^e with |m| < 2^24; m times (2^e 2/π mod 4), kept in four pieces so that the products are exact
//! ```
//!
//! The pieces come from a table of 105 rows computed at compile time from the bits of 2/π.
//! Idea: Payne and Hanek, "Radian Reduction for Trigonometric Functions", 1983, with the shift done beforehand.

use super::poly;

const MAGIC: f64 = 6_755_399_441_055_744.0;

/// Sine.
#[inline(always)]
pub fn sin(x: f32) -> f32 {
    let (r, q) = reduce(x);
    let y = if q & 1 == 0 { sine(r) } else { cosine(r) };
    (if q & 2 == 0 { y } else { -y }) as f32
}

/// Cosine.
#[inline(always)]
pub fn cos(x: f32) -> f32 {
    let (r, q) = reduce(x);
    let y = if q & 1 == 0 { cosine(r) } else { sine(r) };
    (if q.wrapping_add(1) & 2 == 0 { y } else { -y }) as f32
}

/// Tangent.
#[inline(always)]
pub fn tan(x: f32) -> f32 {
    let (r, q) = reduce(x);
    let (s, c) = (sine(r), cosine(r));
    (if q & 1 == 0 { s / c } else { -c / s }) as f32
}

#[inline(always)]
fn sine(r: f64) -> f64 {
    const SERIES: [f64; 6] = [1.0, -1.0 / 6.0, 1.0 / 120.0, -1.0 / 5040.0, 1.0 / 362_880.0, -1.0 / 39_916_800.0];
    r * poly(r * r, &SERIES)
}

#[inline(always)]
fn cosine(r: f64) -> f64 {
    const SERIES: [f64; 7] =
        [1.0, -1.0 / 2.0, 1.0 / 24.0, -1.0 / 720.0, 1.0 / 40320.0, -1.0 / 3_628_800.0, 1.0 / 479_001_600.0];
    poly(r * r, &SERIES)
}

/// Remainder in `-π/4..=π/4`, and the quadrant in the low two bits. NaN for infinities and NaN.
#[inline(always)]
fn reduce(x: f32) -> (f64, u64) {
    const P1: f64 = f64::from_bits(0x3FF9_21FB_5400_0000);
    const P2: f64 = f64::from_bits(0x3E11_0B46_1100_0000);
    const P3: f64 = 2.251_741_774_156_217_6e-18;
    let wide = f64::from(x);
    let shifted = wide * core::f64::consts::FRAC_2_PI + MAGIC;
    let n = shifted - MAGIC;
    let small = ((wide - n * P1) - n * P2) - n * P3;

    let bits = x.to_bits();
    let exponent = (bits >> 23) & 255;
    // x = m 2^(exponent - 150) with an integer m.
    let row = &TURNS[(exponent.saturating_sub(150) & 127) as usize];
    let m = f64::from(((bits & 0x7F_FFFF) | 0x80_0000) as i32);
    let first = m * row[0] + MAGIC;
    let rest = m * row[0] - (first - MAGIC) + m * row[1];
    let second = rest + MAGIC;
    let turn = (rest - (second - MAGIC)) + (m * row[2] + m * row[3]);
    let large = turn * core::f64::consts::FRAC_PI_2;
    let quadrant = first.to_bits().wrapping_add(second.to_bits());
    let negative = bits >> 31 != 0;
    let (large, quadrant) = if negative { (-large, quadrant.wrapping_neg()) } else { (large, quadrant) };

    // Infinities and NaN take the first way, which makes NaN of both.
    if (151..255).contains(&exponent) { (large, quadrant) } else { (small, shifted.to_bits()) }
}

/// Row e: `2^e * 2/π mod 4` in pieces of 26 bits.
static TURNS: [[f64; 4]; 128] = turns();

const fn turns() -> [[f64; 4]; 128] {
    let mut table = [[0.0; 4]; 128];
    let mut e = 0;
    while e <= 104 {
        let mut piece = 0;
        // Two bits before the point, 24 after it.
        let mut unit = 1.0 / (1u32 << 24) as f64;
        while piece < 4 {
            table[e][piece] = window(e as isize - 2 + 26 * piece as isize) as f64 * unit;
            unit /= (1u32 << 26) as f64;
            piece += 1;
        }
        e += 1;
    }
    table
}

/// 26 bits of 2/π from bit `from` on; bit 0 is worth one half, bits before it are zero.
const fn window(from: isize) -> u32 {
    const BITS: [u64; 4] = [0xA2F9_836E_4E44_1529, 0xFC27_57D1_F534_DDC0, 0xDB62_9599_3C43_9041, 0xFE51_63AB_DEBB_C561];
    let mut out = 0;
    let mut i = 0;
    while i < 26 {
        let at = from + i;
        let bit = if at >= 0 && at < 256 { (BITS[at as usize / 64] >> (63 - at as usize % 64)) & 1 } else { 0 };
        out = out << 1 | bit as u32;
        i += 1;
    }
    out
}
