//! The sequences, run on the host, against `libm` in f64.

use super::*;
use crate::host::Host;

/// Distance in units of the last place of the exact value in f32.
fn ulps32(found: f32, exact: f64) -> f64 {
    let nearest = exact as f32;
    if found.to_bits() == nearest.to_bits() || (found.is_nan() && exact.is_nan()) {
        return 0.0;
    }
    if found.is_nan() || exact.is_nan() || found.is_infinite() || (found == 0.0 && nearest == 0.0) {
        // An infinity beside the largest number is a unit away; zeros of the wrong sign, and NaN for a number, are wrong.
        let beside = found.is_infinite() && exact.abs() > f64::from(f32::MAX) && exact.is_finite();
        return if beside && (found > 0.0) == (exact > 0.0) { 0.5 } else { f64::INFINITY };
    }
    let exponent = (exact.abs().max(f64::from(f32::MIN_POSITIVE)).to_bits() >> 52) as i32 - 1023;
    (f64::from(found) - exact).abs() / 2f64.powi(exponent - 23)
}

fn ulps64(found: f64, exact: f64) -> f64 {
    if found.to_bits() == exact.to_bits() || (found.is_nan() && exact.is_nan()) {
        return 0.0;
    }
    if found.is_nan() || exact.is_nan() || found.is_infinite() || exact.is_infinite() || (found == 0.0 && exact == 0.0)
    {
        return f64::INFINITY;
    }
    let exponent = (exact.abs().max(f64::MIN_POSITIVE).to_bits() >> 52) as i32 - 1023;
    let unit = if exponent - 52 < -1022 {
        f64::from_bits(1 << (exponent - 52 + 1074).max(0))
    } else {
        2f64.powi(exponent - 52)
    };
    (found - exact).abs() / unit
}

fn run(op: UnOp, mode: MathsMode, f: Float, x: u64) -> u64 {
    unary(&mut Host::default(), mode, op, f, x).unwrap()
}

fn single(op: UnOp, x: f32) -> f32 {
    f32::from_bits(run(op, MathsMode::Precise, Float::F32, u64::from(x.to_bits())) as u32)
}

fn double(op: UnOp, x: f64) -> f64 {
    f64::from_bits(run(op, MathsMode::Precise, Float::F64, x.to_bits()))
}

fn sigmoid(x: f64) -> f64 {
    let e = libm::exp(-x.abs());
    if x < 0.0 { e / (1.0 + e) } else { 1.0 / (1.0 + e) }
}

/// `libm` has values below 1, where there are none.
fn acosh(x: f64) -> f64 {
    if x < 1.0 { f64::NAN } else { libm::acosh(x) }
}

const FUNCTIONS: [(UnOp, fn(f64) -> f64); 20] = [
    (UnOp::Exp, libm::exp),
    (UnOp::Expm1, libm::expm1),
    (UnOp::Log, libm::log),
    (UnOp::Log1p, libm::log1p),
    (UnOp::Sin, libm::sin),
    (UnOp::Cos, libm::cos),
    (UnOp::Tan, libm::tan),
    (UnOp::Asin, libm::asin),
    (UnOp::Acos, libm::acos),
    (UnOp::Atan, libm::atan),
    (UnOp::Sinh, libm::sinh),
    (UnOp::Cosh, libm::cosh),
    (UnOp::Tanh, libm::tanh),
    (UnOp::Asinh, libm::asinh),
    (UnOp::Acosh, acosh),
    (UnOp::Atanh, libm::atanh),
    (UnOp::Sigmoid, sigmoid),
    (UnOp::Erf, libm::erf),
    (UnOp::Sqrt, libm::sqrt),
    (UnOp::Recip, |x| 1.0 / x),
];

const SPECIAL: [f64; 13] = [
    0.0,
    1.0,
    0.5,
    2.0,
    f64::INFINITY,
    f64::NAN,
    f64::MIN_POSITIVE,
    5e-324,
    f64::MAX,
    1e-40,
    1.1754943508222875e-38,
    3.4028234663852886e38,
    1e5,
];

/// Where a dense search found the greatest errors.
const WORST: [f32; 8] =
    [0.840_214_6, 0.394_295_3, 1.396_536_2, 0.380_478_3, 1.026_342_6, 0.446_599_33, 0.550_145_7, 3.075_730_4e22];

/// Every 4093rd f32, the special and the worst ones, and their neighbours.
fn arguments() -> impl Iterator<Item = f32> {
    let dense = (0..=u32::MAX).step_by(4093).map(f32::from_bits);
    let special = SPECIAL
        .map(|x| x as f32)
        .into_iter()
        .chain(WORST)
        .flat_map(|x| [x, -x, x.next_up(), x.next_down(), -x.next_up(), -x.next_down()]);
    dense.chain(special)
}

#[test]
fn f32_functions_are_within_2_ulp() {
    let mut wrong = Vec::new();
    for (op, exact) in FUNCTIONS {
        let mut worst = (0.0, 0.0f32);
        for x in arguments() {
            let error = ulps32(single(op, x), exact(f64::from(x)));
            if error > worst.0 {
                worst = (error, x);
            }
        }
        println!("{op:?} {:.3} at {:e}", worst.0, worst.1);
        if worst.0 > 2.0 {
            wrong.push(format!("{op:?}: {} ULP at {:e}, {:e}", worst.0, worst.1, single(op, worst.1)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A fixed sequence of numbers that look random.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Of a random exponent within a range.
    fn float(&mut self, low: i32, high: i32) -> f64 {
        let bits = self.next();
        let exponent = low + (self.next() % (high - low) as u64) as i32;
        f64::from_bits((bits & 0x800F_FFFF_FFFF_FFFF) | ((exponent + 1023) as u64) << 52)
    }
}

/// Arguments of all sizes, and many of those where functions bend.
fn doubles() -> Vec<f64> {
    let mut noise = Noise(1);
    let mut out: Vec<f64> = SPECIAL.into_iter().flat_map(|x| [x, -x, x.next_up(), x.next_down()]).collect();
    out.extend((0..20_000).map(|_| noise.float(-1022, 1024)));
    out.extend((0..60_000).map(|_| noise.float(-30, 11)));
    out
}

#[test]
fn f64_functions_are_within_4_ulp() {
    let mut wrong = Vec::new();
    for (op, exact) in FUNCTIONS {
        let mut worst = (0.0, 0.0f64);
        for x in doubles() {
            let error = ulps64(double(op, x), exact(x));
            if error > worst.0 {
                worst = (error, x);
            }
        }
        println!("{op:?} {:.3} at {:e}", worst.0, worst.1);
        if worst.0 > 4.0 {
            wrong.push(format!(
                "{op:?}: {} ULP at {:e}: {:e}, {:e}",
                worst.0,
                worst.1,
                double(op, worst.1),
                exact(worst.1)
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

type Binary = (fn(&mut Host, Float, u64, u64) -> u64, fn(f64, f64) -> f64);

fn floor_mod_exact(x: f64, y: f64) -> f64 {
    let r = libm::fmod(x, y);
    if r == 0.0 {
        f64::copysign(0.0, y)
    } else if (r < 0.0) != (y < 0.0) {
        r + y
    } else {
        r
    }
}

fn pairs() -> Vec<(f64, f64)> {
    let mut noise = Noise(2);
    let ends = [0.0, 1.0, 0.5, 2.0, 3.0, -1.0, -2.5, f64::INFINITY, f64::NAN, 1e-40, 1e300, 1e-310, 7.0, 16777217.0];
    let mut out: Vec<(f64, f64)> = Vec::new();
    for x in ends {
        for y in ends {
            out.extend([(x, y), (-x, y), (x, -y), (-x, -y)]);
        }
    }
    out.extend((0..40_000).map(|_| (noise.float(-20, 20), noise.float(-12, 8))));
    out.extend((0..40_000).map(|_| (noise.float(-1, 1), noise.float(-2, 30))));
    out.extend((0..20_000).map(|_| (noise.float(-126, 128), noise.float(-126, 128))));
    out.extend((0..20_000).map(|_| (noise.float(-1000, 1000), noise.float(-3, 3))));
    out
}

fn check_pairs(name: &str, binary: Binary, single_limit: f64, double_limit: f64) {
    let (emitted, exact) = binary;
    let (mut worst, mut at, mut worst_double, mut at_double) = (0.0, (0.0, 0.0), 0.0, (0.0, 0.0));
    for (x, y) in pairs() {
        let mut host = Host::default();
        let found = emitted(&mut host, Float::F64, x.to_bits(), y.to_bits());
        let error = ulps64(f64::from_bits(found), exact(x, y));
        if error > worst_double {
            (worst_double, at_double) = (error, (x, y));
        }
        let (x, y) = (x as f32, y as f32);
        let found = emitted(&mut host, Float::F32, u64::from(x.to_bits()), u64::from(y.to_bits()));
        let error = ulps32(f32::from_bits(found as u32), exact(f64::from(x), f64::from(y)));
        if error > worst {
            (worst, at) = (error, (f64::from(x), f64::from(y)));
        }
    }
    println!("{name} f32 {worst:.3} at {at:?}, f64 {worst_double:.3} at {at_double:?}");
    assert!(worst <= single_limit, "{name} f32: {worst} ULP at {at:?}");
    assert!(worst_double <= double_limit, "{name} f64: {worst_double} ULP at {at_double:?}");
}

#[test]
fn powers_are_within_2_ulp() {
    check_pairs("pow", (|a, f, x, y| pow_unknown(a, f, x, y), libm::pow), 2.0, 4.0);
}

/// Exponents are constants to the host, whose short ways are tested by themselves.
fn pow_unknown(a: &mut Host, f: Float, x: u64, y: u64) -> u64 {
    power::general(a, f, x, y)
}

#[test]
fn powers_with_known_exponents_are_within_2_ulp() {
    for exponent in [0.0, 1.0, 2.0, 3.0, -1.0, 0.5] {
        let limit = 2.0;
        for x in arguments().step_by(17) {
            let mut host = Host::default();
            let y = (exponent as f32).to_bits();
            let found = pow(&mut host, Float::F32, u64::from(x.to_bits()), u64::from(y));
            let error = ulps32(f32::from_bits(found as u32), libm::pow(f64::from(x), exponent));
            assert!(error <= limit, "{x:e}^{exponent}: {error} ULP, {:e}", f32::from_bits(found as u32));
        }
    }
}

#[test]
fn angles_are_within_2_ulp() {
    check_pairs("atan2", (|a, f, x, y| atan2(a, f, x, y), libm::atan2), 2.0, 4.0);
}

#[test]
fn remainders_are_exact() {
    check_pairs("fmod", (|a, f, x, y| fmod(a, f, x, y), libm::fmod), 0.0, 0.0);
    check_pairs("mod", (|a, f, x, y| floor_mod(a, f, x, y), floor_mod_exact), 0.5, 0.0);
}

/// The reduction of large angles, where the bits of 2/π near the point are most alike.
#[test]
fn large_angles_keep_their_precision() {
    let mut noise = Noise(3);
    for _ in 0..20_000 {
        let x = noise.float(10, 1024);
        for (op, exact) in [(UnOp::Sin, libm::sin as fn(f64) -> f64), (UnOp::Cos, libm::cos)] {
            let error = ulps64(double(op, x), exact(x));
            assert!(error <= 4.0, "{op:?} {x:e}: {error} ULP");
        }
        let x = noise.float(10, 128) as f32;
        let error = ulps32(single(UnOp::Sin, x), libm::sin(f64::from(x)));
        assert!(error <= 2.0, "sin {x:e}: {error} ULP");
    }
    // The f64 nearest to a multiple of π/2.
    let x = 5.319372648326541e255;
    assert!(ulps64(double(UnOp::Cos, x), libm::cos(x)) <= 4.0);
}
