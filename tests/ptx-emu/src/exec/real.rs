//! f32 and f64 arithmetic and comparison.

use crate::approx::{Within, near};
use crate::float::{self, F32};
use crate::inst::F;
use crate::types::{Compare, Mode, Round, Ty};
use crate::warp::Lanes;

const NAN32: u32 = 0x7fff_ffff;

#[inline(always)]
fn flush(x: f32, ftz: bool) -> f32 {
    if ftz && x.is_subnormal() { 0f32.copysign(x) } else { x }
}

/// Flushing, saturation and the canonical NaN of a result.
#[inline(always)]
fn finish(x: f32, mode: &Mode) -> u64 {
    let x = flush(x, mode.ftz);
    if mode.sat {
        return u64::from(if x > 0.0 { x.min(1.0) } else { 0.0 }.to_bits());
    }
    if x.is_nan() { u64::from(NAN32) } else { u64::from(x.to_bits()) }
}

pub(super) fn f32(f: F, mode: &Mode, a: &Lanes, b: &Lanes, c: &Lanes) -> Lanes {
    let ftz = mode.ftz;
    let read = |v: u64| flush(f32::from_bits(v as u32), ftz);
    let one = |f: fn(f32) -> f32| -> Lanes { std::array::from_fn(|l| finish(f(read(a[l])), mode)) };
    if f == F::Neg || f == F::Abs {
        let bits = |x: f32| if f == F::Neg { x.to_bits() ^ 1 << 31 } else { x.to_bits() & !(1 << 31) };
        return std::array::from_fn(|l| u64::from(bits(read(a[l]))));
    }
    if f == F::Copysign {
        return std::array::from_fn(|l| a[l] & 1 << 31 | b[l] & 0x7fff_ffff);
    }
    if mode.round != Round::Nearest {
        return directed32(f, mode, a, b, c);
    }
    match f {
        F::Add => std::array::from_fn(|l| finish(read(a[l]) + read(b[l]), mode)),
        F::Sub => std::array::from_fn(|l| finish(read(a[l]) - read(b[l]), mode)),
        F::Mul => std::array::from_fn(|l| finish(read(a[l]) * read(b[l]), mode)),
        F::Fma => fused(mode, a, b, c),
        F::Min | F::Max | F::MinNan | F::MaxNan => {
            std::array::from_fn(|l| finish(extremum(f, f64::from(read(a[l])), f64::from(read(b[l]))) as f32, mode))
        }
        F::Div if mode.approx => std::array::from_fn(|l| {
            let (x, y) = (read(a[l]), read(b[l]));
            finish(near(f64::from(x) / f64::from(y), Within::Ulps(2.0), a[l] ^ b[l] << 32) as f32, mode)
        }),
        F::Div => std::array::from_fn(|l| finish(read(a[l]) / read(b[l]), mode)),
        F::Rcp if !mode.approx => one(|x| 1.0 / x),
        F::Sqrt if !mode.approx => one(f32::sqrt),
        F::Rcp => approximate(mode, a, |x| (1.0 / x, Within::Ulps(1.0))),
        F::Sqrt => approximate(mode, a, |x| (x.sqrt(), Within::Relative(exp2(-23.0)))),
        F::Rsqrt => approximate(mode, a, |x| (1.0 / x.sqrt(), Within::Relative(exp2(-22.9)))),
        F::Sin | F::Cos => approximate(mode, a, |x| {
            let y = if f == F::Sin { x.sin() } else { x.cos() };
            let error = if x.abs() <= std::f64::consts::TAU { -20.5 } else { -14.7 };
            (y, Within::Absolute(exp2(error)))
        }),
        F::Lg2 => approximate(mode, a, |x| {
            let error = exp2(-22.0);
            (x.log2(), if x > 0.5 && x < 2.0 { Within::Absolute(error) } else { Within::Relative(error) })
        }),
        F::Ex2 => {
            approximate(
                mode,
                a,
                |x| if x == 0.0 { (1.0, Within::Absolute(0.0)) } else { (x.exp2(), Within::Ulps(2.0)) },
            )
        }
        F::Tanh => {
            let out = approximate(mode, a, |x| (x.tanh(), Within::Relative(exp2(-11.0))));
            out.map(|v| u64::from(f32::from_bits(v as u32).clamp(-1.0, 1.0).to_bits()))
        }
        // The decoder refuses everything else.
        _ => [0; 32],
    }
}

/// Fused multiply-add without a call for each lane: the product is exact in f64, and rounding the sum twice is rounding it once
/// but where the first result lies half way between two neighbours, or is too small to have all bits.
fn fused(mode: &Mode, a: &Lanes, b: &Lanes, c: &Lanes) -> Lanes {
    const BELOW: u64 = (1 << 29) - 1;
    const HALF: u64 = 1 << 28;
    let mut out = [0; 32];
    let mut doubtful = mode.ftz | mode.sat;
    let read = |v: u64| f64::from(f32::from_bits(v as u32));
    for l in 0..32 {
        let sum = read(a[l]) * read(b[l]) + read(c[l]);
        doubtful |= (sum.to_bits() & BELOW == HALF) | ((sum != 0.0) & (sum.abs() < f64::from(f32::MIN_POSITIVE)));
        let rounded = sum as f32;
        out[l] = u64::from(if rounded.is_nan() { NAN32 } else { rounded.to_bits() });
    }
    if doubtful {
        let read = |v: u64| flush(f32::from_bits(v as u32), mode.ftz);
        return std::array::from_fn(|l| finish(read(a[l]).mul_add(read(b[l]), read(c[l])), mode));
    }
    out
}

fn exp2(x: f64) -> f64 {
    x.exp2()
}

fn approximate(mode: &Mode, a: &Lanes, f: impl Fn(f64) -> (f64, Within)) -> Lanes {
    std::array::from_fn(|l| {
        let x = flush(f32::from_bits(a[l] as u32), mode.ftz);
        let (exact, within) = f(f64::from(x));
        finish(near(exact, within, a[l]) as f32, mode)
    })
}

/// Rounding towards zero, down or up.
fn directed32(f: F, mode: &Mode, a: &Lanes, b: &Lanes, c: &Lanes) -> Lanes {
    let read = |v: u64| f64::from(flush(f32::from_bits(v as u32), mode.ftz));
    std::array::from_fn(|l| {
        let (x, y, z) = (read(a[l]), read(b[l]), read(c[l]));
        let exact = match f {
            F::Add => float::add(x, y),
            F::Sub => float::add(x, -y),
            F::Mul => x * y,
            F::Fma => float::add(x * y, z),
            F::Div => float::divide(x, y),
            F::Rcp => float::divide(1.0, x),
            F::Sqrt => float::root(x),
            _ => f64::NAN,
        };
        // An exact zero of a sum is negative when rounding down.
        let minus_zero = exact == 0.0 && mode.round == Round::Down && matches!(f, F::Add | F::Sub | F::Fma) && {
            let second = if f == F::Sub {
                -y
            } else if f == F::Fma {
                z
            } else {
                y
            };
            let first = if f == F::Fma { x * y } else { x };
            first.is_sign_negative() || second.is_sign_negative()
        };
        let exact = if minus_zero { -0.0 } else { exact };
        finish(f32::from_bits(F32.round(exact, mode.round, false) as u32), mode)
    })
}

/// min and max: -0 is less than +0; a NaN is ignored, or wins where the instruction says so.
pub(super) fn extremum(f: F, x: f64, y: f64) -> f64 {
    let nan_wins = matches!(f, F::MinNan | F::MaxNan);
    if x.is_nan() || y.is_nan() {
        return if nan_wins || x.is_nan() && y.is_nan() {
            f64::NAN
        } else if x.is_nan() {
            y
        } else {
            x
        };
    }
    let least = x < y || x == y && x.is_sign_negative();
    if least == matches!(f, F::Min | F::MinNan) { x } else { y }
}

pub(super) fn f64(f: F, mode: &Mode, a: &Lanes, b: &Lanes, c: &Lanes) -> Lanes {
    let read = f64::from_bits;
    if mode.approx {
        // About 20 bits of the upper half; the lower half of the result is zero.
        return std::array::from_fn(|l| {
            let x = read(a[l]);
            let x = if mode.ftz && x.is_subnormal() { 0f64.copysign(x) } else { x };
            let exact = if f == F::Rcp { 1.0 / x } else { 1.0 / x.sqrt() };
            let error = 1.0 + crate::approx::share(a[l]) * exp2(-20.0);
            if exact.is_finite() { (exact * error).to_bits() & !0xffff_ffff } else { exact.to_bits() }
        });
    }
    if mode.round != Round::Nearest {
        return directed64(f, mode, a, b, c);
    }
    let write = |x: f64| {
        let x = if mode.sat { if x > 0.0 { x.min(1.0) } else { 0.0 } } else { x };
        x.to_bits()
    };
    match f {
        F::Add => std::array::from_fn(|l| write(read(a[l]) + read(b[l]))),
        F::Sub => std::array::from_fn(|l| write(read(a[l]) - read(b[l]))),
        F::Mul => std::array::from_fn(|l| write(read(a[l]) * read(b[l]))),
        F::Fma => std::array::from_fn(|l| write(read(a[l]).mul_add(read(b[l]), read(c[l])))),
        F::Div => std::array::from_fn(|l| write(read(a[l]) / read(b[l]))),
        F::Rcp => std::array::from_fn(|l| write(1.0 / read(a[l]))),
        F::Sqrt => std::array::from_fn(|l| write(read(a[l]).sqrt())),
        F::Rsqrt => std::array::from_fn(|l| write(1.0 / read(a[l]).sqrt())),
        F::Neg => std::array::from_fn(|l| a[l] ^ 1 << 63),
        F::Abs => std::array::from_fn(|l| a[l] & !(1 << 63)),
        F::Copysign => std::array::from_fn(|l| a[l] & 1 << 63 | b[l] & !(1 << 63)),
        F::Min | F::Max => std::array::from_fn(|l| write(extremum(f, read(a[l]), read(b[l])))),
        _ => [0; 32],
    }
}

/// As [`directed32`]: the nearest result, moved by one where the exact one lies on the other side.
fn directed64(f: F, mode: &Mode, a: &Lanes, b: &Lanes, c: &Lanes) -> Lanes {
    std::array::from_fn(|l| {
        let (x, y, z) = (f64::from_bits(a[l]), f64::from_bits(b[l]), f64::from_bits(c[l]));
        let (near, lost) = match f {
            F::Add => (x + y, float::lost_by_sum(x, y)),
            F::Sub => (x - y, float::lost_by_sum(x, -y)),
            F::Mul => (x * y, x.mul_add(y, -(x * y))),
            F::Fma => (x.mul_add(y, z), float::lost_by_fma(x, y, z)),
            F::Div => (x / y, (-(x / y)).mul_add(y, x) * y.signum()),
            F::Rcp => (1.0 / x, (-(1.0 / x)).mul_add(x, 1.0) * x.signum()),
            F::Sqrt => (x.sqrt(), (-x.sqrt()).mul_add(x.sqrt(), x)),
            _ => (f64::NAN, 0.0),
        };
        float::directed(near, lost, mode.round).to_bits()
    })
}

pub(super) fn compare32(cmp: Compare, ftz: bool, a: &Lanes, b: &Lanes) -> u32 {
    let read = |v: u64| f64::from(flush(f32::from_bits(v as u32), ftz));
    compare(cmp, |l| (read(a[l]), read(b[l])))
}

/// Ordered comparisons are false with a NaN, unordered ones true.
pub(super) fn compare(cmp: Compare, pair: impl Fn(usize) -> (f64, f64)) -> u32 {
    (0..32).fold(0, |m, l| {
        let (x, y) = pair(l);
        let nan = x.is_nan() || y.is_nan();
        let holds = match cmp {
            Compare::Eq => x == y,
            Compare::Ne => x != y && !nan,
            Compare::Lt => x < y,
            Compare::Le => x <= y,
            Compare::Gt => x > y,
            Compare::Ge => x >= y,
            Compare::Equ => x == y || nan,
            Compare::Neu => x != y || nan,
            Compare::Ltu => x < y || nan,
            Compare::Leu => x <= y || nan,
            Compare::Gtu => x > y || nan,
            Compare::Geu => x >= y || nan,
            Compare::Num => !nan,
            Compare::Nan => nan,
        };
        m | u32::from(holds) << l
    })
}

/// testp: finite, infinite, number, notanumber, normal, subnormal.
pub(super) fn classes(class: u8, ty: Ty, a: &Lanes) -> u32 {
    let holds = |bits: u64| {
        let (x, normal, subnormal) = if ty == Ty::F64 {
            let x = f64::from_bits(bits);
            (x, x.is_normal(), x.is_subnormal())
        } else {
            let x = f32::from_bits(bits as u32);
            (f64::from(x), x.is_normal(), x.is_subnormal())
        };
        match class {
            0 => x.is_finite(),
            1 => x.is_infinite(),
            2 => !x.is_nan(),
            3 => x.is_nan(),
            4 => normal,
            _ => subnormal,
        }
    };
    (0..32).fold(0, |m, l| m | u32::from(holds(a[l])) << l)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One rounding, on bits of every kind: random ones, sums half way between two floats, tiny and huge ones, infinities, NaN.
    #[test]
    fn fused_rounds_once() {
        let mut state = 1u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 32) as u32
        };
        let small = |bits: u32| ((bits % 4097) as f32 - 2048.0) * (bits >> 28) as f32;
        let special =
            [0u32, 1 << 31, 1, 0x0080_0000, 0x3f80_0001, 0x4b80_0000, 0x7f7f_ffff, 0x7f80_0000, 0xff80_0000, NAN32];
        for round in 0..4000 {
            let mut operand = |of: u32| -> Lanes {
                std::array::from_fn(|_| {
                    let bits = next();
                    u64::from(match (round + of) % 4 {
                        0 => bits,
                        1 => small(bits).to_bits(),
                        2 => bits & 0x007f_ffff | (bits >> 24 & 3 | 0x7c) << 23,
                        _ => special[(bits % 10) as usize],
                    })
                })
            };
            let (a, b, c) = (operand(0), operand(round / 4), operand(round / 16));
            let found = fused(&Mode::default(), &a, &b, &c);
            for l in 0..32 {
                let read = |v: u64| f32::from_bits(v as u32);
                let exact = read(a[l]).mul_add(read(b[l]), read(c[l]));
                let wanted = if exact.is_nan() { NAN32 } else { exact.to_bits() };
                assert_eq!(found[l], u64::from(wanted), "{:#x} {:#x} {:#x}", a[l], b[l], c[l]);
            }
        }
    }
}
