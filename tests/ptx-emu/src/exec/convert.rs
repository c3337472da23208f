//! cvt: integers, floats, packed pairs.

use crate::float::{self, BF16, F16, F32, Format, TF32};
use crate::inst::{Inst, Op};
use crate::machine::Machine;
use crate::types::{Round, Ty};
use crate::warp::Warp;

/// Modifiers of a conversion.
#[derive(Clone, Copy)]
struct How {
    round: Round,
    integral: bool,
    ftz: bool,
    sat: bool,
    relu: bool,
}

impl Machine<'_> {
    pub fn convert(&mut self, warp: &mut Warp, inst: &Inst, mask: u32) {
        let Op::Cvt { to, from, round, integral, ftz, sat, relu, d, a, b } = &inst.op else { return };
        let how = How { round: round.unwrap_or_default(), integral: *integral, ftz: *ftz, sat: *sat, relu: *relu };
        self.check1(warp, a, mask, inst.line);
        let values = warp.copy(a);
        let width = u32::from(self.entry.regs[*d as usize]);
        let out = if let Some(b) = b {
            self.check1(warp, b, mask, inst.line);
            let low = warp.copy(b);
            let bits = to.bits() / 2;
            std::array::from_fn(|l| scalar(*to, *from, how, values[l]) << bits | scalar(*to, *from, how, low[l]))
        } else if to.bits() == 2 * scalar_bits(*to) && from.bits() == 2 * scalar_bits(*from) {
            let (into, out_of) = (scalar_bits(*to), scalar_bits(*from));
            let part = |v: u64| v & ((1 << out_of) - 1);
            let both = |v: u64| scalar(*to, *from, how, part(v)) | scalar(*to, *from, how, part(v >> out_of)) << into;
            values.map(both)
        } else {
            values.map(|v| extend(scalar(*to, *from, how, v), *to, width))
        };
        warp.put(*d, &out, mask);
    }
}

/// Bits of one element of a packed type.
fn scalar_bits(ty: Ty) -> u32 {
    match ty {
        Ty::F16x2 | Ty::Bf16x2 => 16,
        Ty::E4m3x2 | Ty::E5m2x2 => 8,
        _ => ty.bits(),
    }
}

/// A signed result fills a wider register with its sign.
fn extend(value: u64, ty: Ty, width: u32) -> u64 {
    let value = match (ty.signed(), ty.bits()) {
        (true, 8) => value as i8 as u64,
        (true, 16) => value as i16 as u64,
        (true, 32) => value as i32 as u64,
        _ => value,
    };
    if width >= 64 { value } else { value & ((1 << width) - 1) }
}

fn integer(value: u64, ty: Ty) -> i128 {
    match (ty.bits(), ty.signed()) {
        (8, true) => i128::from(value as i8),
        (16, true) => i128::from(value as i16),
        (32, true) => i128::from(value as i32),
        (64, true) => i128::from(value as i64),
        (8, false) => i128::from(value as u8),
        (16, false) => i128::from(value as u16),
        (32, false) => i128::from(value as u32),
        _ => i128::from(value),
    }
}

fn limits(ty: Ty) -> (i128, i128) {
    let bits = ty.bits();
    if ty.signed() { (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) } else { (0, (1 << bits) - 1) }
}

/// The format of a float type of at most 32 bits.
fn format(ty: Ty) -> Format {
    match ty {
        Ty::F16 | Ty::F16x2 => F16,
        Ty::Bf16 | Ty::Bf16x2 => BF16,
        Ty::Tf32 => TF32,
        Ty::E4m3x2 | Ty::E4m3 => float::E4M3,
        Ty::E5m2x2 | Ty::E5m2 => float::E5M2,
        _ => F32,
    }
}

fn scalar(to: Ty, from: Ty, how: How, value: u64) -> u64 {
    if from.integer() || matches!(from, Ty::B8 | Ty::B16 | Ty::B32 | Ty::B64) {
        let v = integer(value, from);
        if to.integer() {
            let (low, high) = limits(to);
            let v = if how.sat { v.clamp(low, high) } else { v };
            return (v as u64) & ((u128::MAX >> (128 - to.bits())) as u64);
        }
        if to == Ty::F64 {
            let near = v as f64;
            return float::directed(near, (v - near as i128) as f64, how.round).to_bits();
        }
        let bits = format(to).round(float::from_int(v), how.round, false);
        return if how.sat { clamp(to, bits) } else { bits };
    }
    let x = if from == Ty::F64 { f64::from_bits(value) } else { format(from).value(value) };
    let x = if how.ftz && from == Ty::F32 && x.abs() < f64::from(f32::MIN_POSITIVE) { 0f64.copysign(x) } else { x };
    if to.integer() {
        let (low, high) = limits(to);
        if x.is_nan() {
            return 0;
        }
        let v = float::integral(x, how.round);
        let v = if v >= high as f64 {
            high
        } else if v <= low as f64 {
            low
        } else {
            v as i128
        };
        return (v as u64) & ((u128::MAX >> (128 - to.bits())) as u64);
    }
    let x = if how.integral { float::integral(x, how.round) } else { x };
    let x = if how.relu && x < 0.0 { 0.0 } else { x };
    if to == Ty::F64 {
        let x = if how.sat { if x > 0.0 { x.min(1.0) } else { 0.0 } } else { x };
        return x.to_bits();
    }
    let packed = matches!(to, Ty::F16x2 | Ty::Bf16x2 | Ty::E4m3x2 | Ty::E5m2x2 | Ty::Tf32);
    let bits = format(to).round(x, how.round, how.sat && packed);
    let bits = if to == Ty::Tf32 { bits << 13 } else { bits };
    let bits = if how.sat && !packed { clamp(to, bits) } else { bits };
    let subnormal = bits & 0x7f80_0000 == 0;
    if how.ftz && to == Ty::F32 && subnormal { bits & 1 << 31 } else { bits }
}

/// Saturation to 0..1; NaN becomes 0.
fn clamp(to: Ty, bits: u64) -> u64 {
    let format = format(to);
    let x = format.value(bits);
    format.round(if x > 0.0 { x.min(1.0) } else { 0.0 }, Round::Nearest, false)
}
