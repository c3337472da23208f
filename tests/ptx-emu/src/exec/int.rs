//! Integer arithmetic, logic, shifts: wrapping, with the answers of PTX for shifts beyond the width and for division by zero.

use crate::inst::F;
use crate::types::{Compare, Mode, Ty};
use crate::warp::Lanes;

#[inline(always)]
fn map1(a: &Lanes, f: impl Fn(u64) -> u64) -> Lanes {
    let mut out = [0; 32];
    for l in 0..32 {
        out[l] = f(a[l]);
    }
    out
}

#[inline(always)]
fn map2(a: &Lanes, b: &Lanes, f: impl Fn(u64, u64) -> u64) -> Lanes {
    let mut out = [0; 32];
    for l in 0..32 {
        out[l] = f(a[l], b[l]);
    }
    out
}

#[inline(always)]
fn map3(a: &Lanes, b: &Lanes, c: &Lanes, f: impl Fn(u64, u64, u64) -> u64) -> Lanes {
    let mut out = [0; 32];
    for l in 0..32 {
        out[l] = f(a[l], b[l], c[l]);
    }
    out
}

/// Arithmetic of one integer type: `$t` computes, `$u` is its unsigned twin, `$w` is twice as wide.
macro_rules! integers {
    ($name:ident, $t:ty, $u:ty, $w:ty, $wu:ty) => {
        fn $name(f: F, mode: &Mode, a: &Lanes, b: &Lanes, c: &Lanes) -> Lanes {
            const BITS: u32 = <$t>::BITS;
            let t = |v: u64| v as $t;
            let u = |v: $t| u64::from(v as $u);
            match f {
                F::Add if mode.sat => map2(a, b, |x, y| u(t(x).saturating_add(t(y)))),
                F::Sub if mode.sat => map2(a, b, |x, y| u(t(x).saturating_sub(t(y)))),
                F::Add => map2(a, b, |x, y| u(t(x).wrapping_add(t(y)))),
                F::Sub => map2(a, b, |x, y| u(t(x).wrapping_sub(t(y)))),
                F::Mul => map2(a, b, |x, y| u(t(x).wrapping_mul(t(y)))),
                F::Mad => map3(a, b, c, |x, y, z| u(t(x).wrapping_mul(t(y)).wrapping_add(t(z)))),
                F::MulHi => map2(a, b, |x, y| u(((t(x) as $w).wrapping_mul(t(y) as $w) >> BITS) as $t)),
                F::MadHi => map3(a, b, c, |x, y, z| {
                    let high = ((t(x) as $w).wrapping_mul(t(y) as $w) >> BITS) as $t;
                    u(if mode.sat { high.saturating_add(t(z)) } else { high.wrapping_add(t(z)) })
                }),
                F::MulWide => map2(a, b, |x, y| (t(x) as $w).wrapping_mul(t(y) as $w) as $wu as u64),
                F::MadWide => {
                    map3(a, b, c, |x, y, z| (t(x) as $w).wrapping_mul(t(y) as $w).wrapping_add(z as $w) as $wu as u64)
                }
                F::Sad => map3(a, b, c, |x, y, z| {
                    let apart = if t(x) < t(y) { t(y).wrapping_sub(t(x)) } else { t(x).wrapping_sub(t(y)) };
                    u(t(z).wrapping_add(apart))
                }),
                F::Div => map2(a, b, |x, y| if t(y) == 0 { u64::from(<$u>::MAX) } else { u(t(x).wrapping_div(t(y))) }),
                F::Rem => map2(a, b, |x, y| if t(y) == 0 { u64::from(<$u>::MAX) } else { u(t(x).wrapping_rem(t(y))) }),
                #[allow(unused_comparisons, reason = "the macro serves unsigned types too")]
                F::Abs => map1(a, |x| u(if t(x) < 0 { (0 as $t).wrapping_sub(t(x)) } else { t(x) })),
                F::Neg => map1(a, |x| u((0 as $t).wrapping_sub(t(x)))),
                F::Min | F::Max => map2(a, b, |x, y| {
                    let v = if f == F::Min { t(x).min(t(y)) } else { t(x).max(t(y)) };
                    u(if mode.relu { v.max(0) } else { v })
                }),
                F::And => map2(a, b, |x, y| u(t(x) & t(y))),
                F::Or => map2(a, b, |x, y| u(t(x) | t(y))),
                F::Xor => map2(a, b, |x, y| u(t(x) ^ t(y))),
                F::Not => map1(a, |x| u(!t(x))),
                F::Cnot => map1(a, |x| u64::from(t(x) == 0)),
                F::Popc => map1(a, |x| u64::from(t(x).count_ones())),
                F::Clz => map1(a, |x| u64::from(t(x).leading_zeros())),
                F::Brev => map1(a, |x| u(t(x).reverse_bits())),
                F::Bfind | F::BfindShift => map1(a, |x| {
                    let v = t(x);
                    #[allow(unused_comparisons, reason = "the macro serves unsigned types too")]
                    let significant = if v < 0 { !v } else { v };
                    let zeros = significant.leading_zeros();
                    match (zeros == BITS, f) {
                        (true, _) => 0xffff_ffff,
                        (false, F::BfindShift) => u64::from(zeros),
                        (false, _) => u64::from(BITS - 1 - zeros),
                    }
                }),
                F::Shl => map2(a, b, |x, y| if y as u32 >= BITS { 0 } else { u(t(x) << (y as u32)) }),
                F::Shr => map2(a, b, |x, y| {
                    let by = (y as u32).min(BITS - 1);
                    #[allow(unused_comparisons, reason = "the macro serves unsigned types too")]
                    let signed = <$t>::MIN < 0;
                    if !signed && y as u32 >= BITS { 0 } else { u(t(x) >> by) }
                }),
                F::Bfe => map3(a, b, c, |x, y, z| {
                    #[allow(unused_comparisons, reason = "the macro serves unsigned types too")]
                    let signed = <$t>::MIN < 0;
                    extract(x & u64::from(<$u>::MAX), BITS, (y & 255) as u32, (z & 255) as u32, signed)
                }),
                // Nothing else exists for integers; the decoder has refused it.
                _ => [0; 32],
            }
        }
    };
}

integers!(unsigned16, u16, u16, u32, u32);
integers!(signed16, i16, u16, i32, u32);
integers!(unsigned32, u32, u32, u64, u64);
integers!(signed32, i32, u32, i64, u64);
integers!(unsigned64, u64, u64, u128, u64);
integers!(signed64, i64, u64, i128, u64);

/// A bit field, with its sign (the field's top bit, or that of the value where the field reaches beyond it) when asked for.
fn extract(value: u64, bits: u32, at: u32, length: u32, signed: bool) -> u64 {
    let top = bits - 1;
    let sign = if !signed || length == 0 { 0 } else { value >> (at + length - 1).min(top) & 1 };
    (0..bits).fold(0, |out, k| {
        let bit = if k < length && at + k <= top { value >> (at + k) & 1 } else { sign };
        out | bit << k
    })
}

pub(super) fn int(f: F, ty: Ty, mode: &Mode, a: &Lanes, b: &Lanes, c: &Lanes, e: &Lanes) -> Lanes {
    match f {
        F::Lop3 => return map3(a, b, c, |x, y, z| u64::from(lop3(mode.extra, x as u32, y as u32, z as u32))),
        F::Prmt => return map3(a, b, c, |x, y, z| u64::from(permute(mode.extra, x as u32, y as u32, z as u32))),
        F::ShfL | F::ShfR => {
            return map3(a, b, c, |low, high, by| {
                let both = high << 32 | low & 0xffff_ffff;
                let by = if mode.extra == 1 { by as u32 & 31 } else { (by as u32).min(32) };
                let out = if f == F::ShfL { (u128::from(both) << by >> 32) as u64 } else { both >> by };
                out & 0xffff_ffff
            });
        }
        F::Bmsk => {
            return map2(a, b, |at, length| {
                let (at, length) =
                    if mode.extra == 1 { (at & 31, length & 31) } else { (at.min(32), (length & 0xffff_ffff).min(32)) };
                ((1u64 << length) - 1) << at & 0xffff_ffff
            });
        }
        F::Dp4a => return map3(a, b, c, |x, y, z| u64::from(dot4(mode.extra, x as u32, y as u32, z as u32))),
        F::Slct => {
            return map3(a, b, c, |x, y, z| {
                let first = if mode.extra == 1 { f32::from_bits(z as u32) >= 0.0 } else { z as i32 >= 0 };
                if first { x } else { y }
            });
        }
        F::Bfi => {
            let bits = ty.bits();
            return std::array::from_fn(|l| insert(a[l], b[l], bits, (c[l] & 255) as u32, (e[l] & 255) as u32));
        }
        _ => {}
    }
    let of_type = match (ty.bits(), ty.signed()) {
        (8 | 16, false) => unsigned16,
        (8 | 16, true) => signed16,
        (32, false) => unsigned32,
        (32, true) => signed32,
        (_, false) => unsigned64,
        (_, true) => signed64,
    };
    of_type(f, mode, a, b, c)
}

fn insert(field: u64, base: u64, bits: u32, at: u32, length: u32) -> u64 {
    (0..length).take_while(|k| at + k < bits).fold(base, |out, k| {
        let bit = field >> k & 1;
        out & !(1 << (at + k)) | bit << (at + k)
    })
}

fn lop3(table: u8, a: u32, b: u32, c: u32) -> u32 {
    (0..8u32).filter(|k| table >> k & 1 == 1).fold(0, |out, k| {
        let pick = |v: u32, bit: u32| if k >> bit & 1 == 1 { v } else { !v };
        out | pick(a, 2) & pick(b, 1) & pick(c, 0)
    })
}

fn permute(mode: u8, a: u32, b: u32, c: u32) -> u32 {
    let both = u64::from(b) << 32 | u64::from(a);
    let byte = |k: u32| (both >> (k * 8) & 255) as u32;
    let low = c & 3;
    let picks: [u32; 4] = match mode {
        0 => {
            return (0..4).fold(0, |out, k| {
                let select = c >> (k * 4) & 15;
                let value = byte(select & 7);
                let value = if select & 8 != 0 { (value >> 7) * 255 } else { value };
                out | value << (k * 8)
            });
        }
        1 => [low, low + 1, low + 2, low + 3],
        2 => [low, (low + 7) & 7, (low + 6) & 7, (low + 5) & 7],
        3 => [low; 4],
        4 => [low, low.max(1), low.max(2), 3],
        5 => [0, low.min(1), low.min(2), low],
        _ => [low & 1, 1, low & 1, 1].map(|_| 0),
    };
    if mode == 6 {
        let half = (c & 1) * 2;
        return [half, half + 1, half, half + 1].iter().enumerate().fold(0, |o, (k, p)| o | byte(*p) << (k * 8));
    }
    picks.iter().enumerate().fold(0, |out, (k, pick)| out | byte(*pick) << (k * 8))
}

fn dot4(signs: u8, a: u32, b: u32, c: u32) -> u32 {
    let part = |v: u32, k: u32, signed: bool| {
        let byte = (v >> (k * 8)) as u8;
        if signed { i32::from(byte as i8) } else { i32::from(byte) }
    };
    let sum = (0..4).fold(0i32, |s, k| s.wrapping_add(part(a, k, signs & 1 != 0) * part(b, k, signs & 2 != 0)));
    c.wrapping_add(sum as u32)
}

pub(super) fn compare(cmp: Compare, ty: Ty, a: &Lanes, b: &Lanes) -> u32 {
    match (ty.bits(), ty.signed()) {
        (16, true) => truth(cmp, a, b, |v| i64::from(v as i16)),
        (32, true) => truth(cmp, a, b, |v| i64::from(v as i32)),
        (64, true) => truth(cmp, a, b, |v| v as i64),
        (16, false) => truth(cmp, a, b, |v| i64::from(v as u16)),
        (32, false) => truth(cmp, a, b, |v| i64::from(v as u32)),
        // Unsigned order is signed order with the top bit turned round.
        _ => truth(cmp, a, b, |v| (v ^ 1 << 63) as i64),
    }
}

#[inline(always)]
fn truth(cmp: Compare, a: &Lanes, b: &Lanes, key: impl Fn(u64) -> i64) -> u32 {
    let all = |holds: fn(i64, i64) -> bool| (0..32).fold(0, |m, l| m | u32::from(holds(key(a[l]), key(b[l]))) << l);
    match cmp {
        Compare::Eq | Compare::Equ => all(|x, y| x == y),
        Compare::Ne | Compare::Neu => all(|x, y| x != y),
        Compare::Lt | Compare::Ltu => all(|x, y| x < y),
        Compare::Le | Compare::Leu => all(|x, y| x <= y),
        Compare::Gt | Compare::Gtu => all(|x, y| x > y),
        Compare::Ge | Compare::Geu => all(|x, y| x >= y),
        Compare::Num => u32::MAX,
        Compare::Nan => 0,
    }
}
