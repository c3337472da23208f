//! Which element of A, B, C and D each register of each lane holds, for mma.sync and wgmma.
//!
//! All shapes follow one rule. With g = lane / 4, t = lane mod 4 and e elements in a register (one for f64):
//! A: register r, part j is row g (+ 8 for odd r where there are 16 rows), column 4e·(r / 2) + e·t + j;
//! B: register r, part j is row 4e·r + e·t + j, column g;
//! C and D: element i is row g + 8·(i / 2), column 2t + i mod 2, then blocks of eight columns.

use crate::float::{self, Format};
use crate::types::Ty;

/// Elements of a type in a register.
pub(super) fn per_register(ty: Ty) -> usize {
    match ty {
        Ty::F64 => 1,
        _ => (32 / ty.bits().max(1)) as usize,
    }
}

/// Row and column of an element of A.
pub(super) fn of_a(rows: usize, per: usize, lane: usize, register: usize, part: usize) -> (usize, usize) {
    let (g, t) = (lane / 4, lane % 4);
    let (high, step) = if rows == 16 { (register % 2, register / 2) } else { (0, register) };
    (g + 8 * high, 4 * per * step + per * t + part)
}

/// Row and column of an element of B.
pub(super) fn of_b(per: usize, lane: usize, register: usize, part: usize) -> (usize, usize) {
    (4 * per * register + per * (lane % 4) + part, lane / 4)
}

/// Row and column of an element of C or D.
pub(super) fn of_c(lane: usize, element: usize) -> (usize, usize) {
    (lane / 4 + 8 * (element / 2 % 2), 8 * (element / 4) + 2 * (lane % 4) + element % 2)
}

/// How elements are read as numbers.
#[derive(Clone, Copy)]
pub(super) enum Numbers {
    Float(Format),
    Tf32,
    F64,
    Signed(u32),
    Unsigned(u32),
}

impl Numbers {
    pub fn of(ty: Ty) -> Numbers {
        match ty {
            Ty::F64 => Numbers::F64,
            Ty::Tf32 => Numbers::Tf32,
            Ty::S8 | Ty::S4 => Numbers::Signed(ty.bits()),
            Ty::U8 | Ty::U4 => Numbers::Unsigned(ty.bits()),
            _ => Numbers::Float(float::of_type(ty).unwrap_or(float::F32)),
        }
    }

    /// The number that bits stand for; integers of at most 8 bits are exact too.
    #[inline]
    pub fn value(self, bits: u64) -> f64 {
        match self {
            Numbers::Float(float::F16) => half(bits as u16),
            Numbers::Float(float::BF16) => f64::from(f32::from_bits((bits as u32) << 16)),
            Numbers::Float(format) => format.value(bits),
            // Hardware ignores the low 13 bits.
            Numbers::Tf32 => f64::from(f32::from_bits(bits as u32 & 0xffff_e000)),
            Numbers::F64 => f64::from_bits(bits),
            Numbers::Signed(width) => ((bits << (64 - width)) as i64 >> (64 - width)) as f64,
            Numbers::Unsigned(width) => (bits & ((1 << width) - 1)) as f64,
        }
    }
}

/// f16: its fields at their places in f64, and the difference of the biases.
#[inline]
fn half(bits: u16) -> f64 {
    const BIASES: f64 = f64::from_bits((1023 + 1008) << 52);
    let sign = u64::from(bits >> 15) << 63;
    let fields = u64::from(bits & 0x7fff) << 42;
    if bits >> 10 & 31 == 31 {
        return f64::from_bits(sign | 0x7ff << 52 | fields & ((1 << 52) - 1));
    }
    f64::from_bits(sign | (f64::from_bits(fields) * BIASES).to_bits())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for bits in 0..=u16::MAX {
            let (fast, slow) = (half(bits), float::F16.value(u64::from(bits)));
            assert!(fast == slow || fast.is_nan() && slow.is_nan(), "{bits:#x}");
        }
        assert_eq!(Numbers::Signed(8).value(0x80), -128.0);
        assert_eq!(Numbers::Signed(8).value(0x7f), 127.0);
        assert_eq!(Numbers::Signed(4).value(0xf), -1.0);
        assert_eq!(Numbers::Unsigned(8).value(0xff), 255.0);
        assert_eq!(Numbers::Tf32.value(0x3f80_1fff), 1.0);
    }

    /// Every element is held exactly once.
    #[test]
    fn layouts_cover_the_matrix() {
        for (rows, k, per) in [(16, 16, 2), (16, 8, 2), (16, 8, 1), (16, 4, 1), (16, 32, 4), (8, 16, 4), (16, 64, 8)] {
            let registers = rows * k / 32 / per;
            let mut seen = vec![0; rows * k];
            for lane in 0..32 {
                for register in 0..registers {
                    for part in 0..per {
                        let (r, c) = of_a(rows, per, lane, register, part);
                        seen[r * k + c] += 1;
                    }
                }
            }
            assert!(seen.iter().all(|n| *n == 1), "A of {rows} × {k}");
        }
    }
}
