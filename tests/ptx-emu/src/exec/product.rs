//! mma.sync. Products and sums in f64, rounded once (integers and f64 are exact as hardware does them).

use crate::exec::fragments::{Numbers, of_a, of_b, of_c, per_register};
use crate::float::{F16, F32};
use crate::inst::Mma;
use crate::machine::Machine;
use crate::types::{Round, Ty};
use crate::warp::{Lanes, Warp};

impl Machine<'_> {
    pub fn mma(&mut self, warp: &mut Warp, mma: &Mma, mask: u32, line: u32) {
        self.whole_warp(warp, mask, line);
        for s in mma.a.iter().chain(&mma.b).chain(&mma.c) {
            self.check1(warp, s, mask, line);
        }
        let (m, n, k) = (mma.m as usize, mma.n as usize, mma.k as usize);
        let mut a = vec![0.0; m * k];
        let per = per_register(mma.aty);
        let numbers = Numbers::of(mma.aty);
        let width = if mma.aty == Ty::F64 { 64 } else { mma.aty.bits() };
        for (register, s) in mma.a.iter().enumerate() {
            let values = warp.copy(s);
            for (lane, value) in values.iter().enumerate() {
                for part in 0..per {
                    let (r, c) = of_a(m, per, lane, register, part);
                    a[r * k + c] = numbers.value(field(*value, part, width));
                }
            }
        }
        let mut b = vec![0.0; k * n];
        let numbers = Numbers::of(mma.bty);
        for (register, s) in mma.b.iter().enumerate() {
            let values = warp.copy(s);
            for (lane, value) in values.iter().enumerate() {
                for part in 0..per {
                    let (r, c) = of_b(per, lane, register, part);
                    b[r * n + c] = numbers.value(field(*value, part, width));
                }
            }
        }
        let c: Vec<Lanes> = mma.c.iter().map(|s| warp.copy(s)).collect();
        let mut sums = unpack(&c, mma.cty, m, n);
        if mma.dty == Ty::F64 {
            for r in 0..m {
                for j in 0..n {
                    sums[r * n + j] = (0..k).fold(sums[r * n + j], |s, i| a[r * k + i].mul_add(b[i * n + j], s));
                }
            }
        } else {
            multiply(&mut sums, &a, &b, n, k);
        }
        for (d, values) in mma.d.iter().zip(pack(&sums, mma.dty, m, n, mma.sat)) {
            warp.put(*d, &values, mask);
        }
    }
}

fn field(value: u64, part: usize, width: u32) -> u64 {
    if width == 64 { value } else { value >> (part as u32 * width) & ((1 << width) - 1) }
}

/// `sums += a × b`, row by row.
pub(super) fn multiply(sums: &mut [f64], a: &[f64], b: &[f64], n: usize, k: usize) {
    for (row, a) in sums.chunks_exact_mut(n).zip(a.chunks_exact(k)) {
        for (a, b) in a.iter().zip(b.chunks_exact(n)) {
            row.iter_mut().zip(b).for_each(|(s, b)| *s += a * b);
        }
    }
}

/// Accumulators of a warp as a matrix of `m` rows.
pub(super) fn unpack(registers: &[Lanes], ty: Ty, m: usize, n: usize) -> Vec<f64> {
    let mut out = vec![0.0; m * n];
    let elements = m * n / 32;
    for i in 0..elements {
        let register = &registers[if ty == Ty::F16 { i / 2 } else { i }];
        for (lane, bits) in register.iter().enumerate() {
            let (r, c) = of_c(lane, if m == 8 { i % 2 + i / 2 * 4 } else { i });
            out[r * n + c] = match ty {
                Ty::F16 => F16.value(bits >> (16 * (i % 2)) & 0xffff),
                Ty::F64 => f64::from_bits(*bits),
                Ty::S32 => f64::from(*bits as i32),
                _ => f64::from(f32::from_bits(*bits as u32)),
            };
        }
    }
    out
}

/// And back, with one rounding.
pub(super) fn pack(sums: &[f64], ty: Ty, m: usize, n: usize, saturate: bool) -> Vec<Lanes> {
    let elements = m * n / 32;
    let per = if ty == Ty::F16 { 2 } else { 1 };
    let mut out = vec![[0u64; 32]; elements / per];
    for i in 0..elements {
        for (lane, slot) in out[i / per].iter_mut().enumerate() {
            let (r, c) = of_c(lane, if m == 8 { i % 2 + i / 2 * 4 } else { i });
            let sum = sums[r * n + c];
            match ty {
                Ty::F16 => *slot |= F16.round(sum, Round::Nearest, false) << (16 * (i % 2)),
                Ty::F64 => *slot = sum.to_bits(),
                Ty::S32 => *slot = u64::from(if saturate { sum as i32 as u32 } else { sum as i64 as u32 }),
                _ if sum.is_nan() => *slot = F32.nan(),
                _ => *slot = u64::from((sum as f32).to_bits()),
            }
        }
    }
    out
}
