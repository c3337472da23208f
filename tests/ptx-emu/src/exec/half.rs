//! f16 and bf16 arithmetic, scalar and in pairs: one rounding.

use crate::approx::{Within, near};
use crate::exec::real::extremum;
use crate::float::{self, Format};
use crate::inst::F;
use crate::types::{Mode, Round};
use crate::warp::Lanes;

pub(super) use crate::float::{BF16, F16};

pub(super) fn scalar(format: Format, f: F, mode: &Mode, a: &Lanes, b: &Lanes, c: &Lanes) -> Lanes {
    std::array::from_fn(|l| one(format, f, mode, a[l] & 0xffff, b[l] & 0xffff, c[l] & 0xffff))
}

pub(super) fn pair(format: Format, f: F, mode: &Mode, a: &Lanes, b: &Lanes, c: &Lanes) -> Lanes {
    std::array::from_fn(|l| {
        let half = |by: u32| {
            let part = |v: u64| v >> by & 0xffff;
            one(format, f, mode, part(a[l]), part(b[l]), part(c[l]))
        };
        half(0) | half(16) << 16
    })
}

fn one(format: Format, f: F, mode: &Mode, a: u64, b: u64, c: u64) -> u64 {
    match f {
        F::Neg => return a ^ 0x8000,
        F::Abs => return a & 0x7fff,
        _ => {}
    }
    let read = |bits: u64| {
        let x = format.value(bits);
        let subnormal = bits & format.nan() < 1 << format.mantissa;
        if mode.ftz && subnormal { 0f64.copysign(x) } else { x }
    };
    let (x, y, z) = (read(a), read(b), read(c));
    let wide = format == BF16;
    let exact = match f {
        F::Add => float::add(x, y),
        F::Sub => float::add(x, -y),
        F::Mul => x * y,
        F::Fma => float::add(x * y, z),
        F::Min | F::Max | F::MinNan | F::MaxNan => extremum(f, x, y),
        F::Ex2 if x == 0.0 => 1.0,
        F::Ex2 => near(x.exp2(), Within::Relative(if wide { -7f64 } else { -9.9 }.exp2() / 2.0), a),
        F::Tanh => {
            near(x.tanh(), Within::Relative(if wide { -8f64 } else { -10.987 }.exp2() / 2.0), a).clamp(-1.0, 1.0)
        }
        _ => f64::NAN,
    };
    let exact = if mode.sat {
        if exact > 0.0 { exact.min(1.0) } else { 0.0 }
    } else if mode.relu && !exact.is_nan() {
        if exact > 0.0 { exact } else { 0.0 }
    } else {
        exact
    };
    let out = format.round(exact, Round::Nearest, false);
    let subnormal = out & format.nan() < 1 << format.mantissa;
    if mode.ftz && subnormal { out & 0x8000 } else { out }
}
