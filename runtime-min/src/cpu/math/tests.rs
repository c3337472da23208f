//! Errors in units of the last place against the f64 functions of the host, over samples of all f32; `MATH_STRIDE=1` is exhaustive.
use super::*;

fn stride() -> usize {
    std::env::var("MATH_STRIDE").ok().and_then(|v| v.parse().ok()).unwrap_or(20_011)
}

/// Size of the last place of the f32 nearest to `want`.
fn last_place(want: f64) -> f64 {
    let exponent = (want.abs().max(f64::from(f32::MIN_POSITIVE)).to_bits() >> 52) as i32 - 1023;
    2f64.powi(exponent - 23)
}

fn ulps(got: f32, want: f64) -> f64 {
    if got.is_nan() && want.is_nan() {
        return 0.0;
    }
    let same = f64::from(got) == want || got == want as f32;
    if same {
        return (f64::from(got) - want).abs().min(0.5 * last_place(want)) / last_place(want);
    }
    if got.is_nan() || want.is_nan() || got.is_infinite() || (want as f32).is_infinite() {
        // One step away from overflow still counts as a rounding error.
        let near = f64::from(f32::MAX);
        let got =
            if got.is_infinite() { near.copysign(f64::from(got)) * (1.0 + 2f64.powi(-24)) } else { f64::from(got) };
        return if got.is_nan() || want.is_nan() { f64::INFINITY } else { (got - want).abs() / last_place(near) };
    }
    (f64::from(got) - want).abs() / last_place(want)
}

fn check(name: &str, limit: f64, f: impl Fn(f32) -> f32, want: impl Fn(f64) -> f64) {
    let (mut worst, mut at) = (0.0, 0.0);
    let special = [0.0, -0.0, 1.0, -1.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, f32::MAX, f32::MIN, 1e-45, -1e-45];
    for x in (0..=u32::MAX).step_by(stride()).map(f32::from_bits).chain(special) {
        let (got, exact) = (f(x), want(f64::from(x)));
        if got == 0.0 && exact == 0.0 {
            assert_eq!(got.is_sign_negative(), exact.is_sign_negative(), "{name}({x:e}): sign of zero");
        }
        let error = ulps(got, exact);
        if error > worst {
            (worst, at) = (error, x);
        }
    }
    println!("{name:8} {worst:.4} ulp at {at:e}");
    assert!(worst <= limit, "{name}: {worst} ulp at {at:e}: {} for {}", f(at), want(f64::from(at)));
}

#[test]
fn single_precision_kernels() {
    check("exp", 2.0, exp, f64::exp);
    check("tanh", 2.0, tanh, f64::tanh);
    let flushed = |x: f64, y: f64| if x < f64::from(-87.336f32) { 0.0 } else { y };
    check("sigmoid", 2.0, sigmoid, |x| flushed(x, 1.0 / (1.0 + (-x).exp())));
    check("exp_flushed", 2.0, |x| exp_flushed(-x.abs()), |x| flushed(-x.abs(), (-x.abs()).exp()));
    check("erf", 2.0, erf, erf_f64);
}

#[test]
fn exponentials_and_logarithms() {
    check("exp2", 0.51, exp2, f64::exp2);
    check("expm1", 0.51, expm1, f64::exp_m1);
    check("sinh", 0.51, sinh, f64::sinh);
    check("cosh", 0.51, cosh, f64::cosh);
    check("ln", 0.51, ln, f64::ln);
    check("log2", 0.51, log2, f64::log2);
    check("log10", 0.51, log10, f64::log10);
    check("log1p", 0.51, log1p, f64::ln_1p);
    check("cbrt", 0.51, cbrt, f64::cbrt);
}

#[test]
fn circular_functions() {
    check("sin", 0.51, sin, f64::sin);
    check("cos", 0.51, cos, f64::cos);
    check("tan", 0.51, tan, f64::tan);
    check("asin", 0.51, asin, f64::asin);
    check("acos", 0.51, acos, f64::acos);
    check("atan", 0.51, atan, f64::atan);
}

#[test]
fn inverse_hyperbolic_functions() {
    check("asinh", 0.51, asinh, |x| {
        (x.abs() + x * x / (1.0 + (1.0 + x * x).sqrt()))
            .ln_1p()
            .max(if x.is_infinite() { f64::INFINITY } else { 0.0 })
            .copysign(x)
            + if x.is_nan() { x } else { -0.0 }
    });
    check(
        "acosh",
        0.51,
        acosh,
        |x| if x < 1.0 { f64::NAN } else { (x - 1.0 + ((x - 1.0) * (x + 1.0)).sqrt()).ln_1p() },
    );
    check("atanh", 0.51, atanh, |x| (0.5 * (2.0 * x.abs() / (1.0 - x.abs())).ln_1p()).copysign(x));
}

#[test]
fn rounding() {
    let halves =
        (-9..9).map(|i| i as f32 * 0.5).chain([0.49999997, 8388607.5, -8388607.5, 1e30, f32::NAN, f32::INFINITY]);
    for x in halves.chain((0..=u32::MAX).step_by(stride()).map(f32::from_bits)) {
        for (name, got, want) in [
            ("round", round_half_even(x), x.round_ties_even()),
            ("floor", floor(x), x.floor()),
            ("ceil", ceil(x), x.ceil()),
            ("trunc", trunc(x), x.trunc()),
        ] {
            assert!(
                got.to_bits() == want.to_bits() || (got.is_nan() && want.is_nan()),
                "{name}({x:e}) {got:e} {want:e}"
            );
        }
    }
}

#[test]
fn powers() {
    let values =
        [0.0, 0.3, 0.5, 1.0, 1.5, 2.0, 3.0, 7.25, 1e-40, 1e10, 1e38, 8388607.0, 16777216.0, f32::INFINITY, f32::NAN];
    let both = || values.iter().flat_map(|&v| [v, -v]);
    for x in both() {
        for y in both() {
            let (got, want) = (pow(x, y), f64::from(x).powf(f64::from(y)));
            assert!(ulps(got, want) <= 0.51, "pow({x:e}, {y:e}) {got:e} {want:e}");
            assert!(got != 0.0 || got.is_sign_negative() == want.is_sign_negative(), "pow({x:e}, {y:e}): sign of zero");
        }
    }
    let (mut s, mut worst) = (1u32, 0f64);
    for _ in 0..200_000 {
        s = s.wrapping_mul(1664525).wrapping_add(1013904223);
        let x = f32::from_bits((s >> 1) & 0x7F7F_FFFF);
        s = s.wrapping_mul(1664525).wrapping_add(1013904223);
        let y = (s as i32 >> 8) as f32 / 65536.0;
        worst = worst.max(ulps(pow(x, y), f64::from(x).powf(f64::from(y))));
    }
    println!("pow      {worst:.4} ulp");
    assert!(worst <= 0.51, "{worst}");
    assert_eq!((int_pow(3i32, 5), int_pow(-1i8, -3), int_pow(2u8, 9), int_pow(2i64, -1)), (243, -1, 0, 0));
}

#[test]
fn remainders() {
    assert_eq!((floor_mod(-7.0, 3.0), floor_mod(7.0, -3.0), floor_mod(6.0, 3.0)), (2.0, -2.0, 0.0));
    assert_eq!(
        (floor_mod_int(-7, 3), floor_mod_int(7, -3), floor_mod_int(i32::MIN, -1), floor_mod_int(5u8, 0)),
        (2, -2, 0, 0)
    );
    assert_eq!((trunc_mod_int(-7, 3), trunc_mod_int(7, -3)), (-1, 1));
}

#[test]
fn wrapping_conversion() {
    for (x, want) in [
        (1.9, 1),
        (-1.9, -1),
        (300.0, 300),
        (-0.5, 0),
        (2f64.powi(63), i64::MIN),
        (2f64.powi(64) + 4096.0, 4096),
        (f64::NAN, 0),
        (f64::INFINITY, 0),
        (1e300, 0),
    ] {
        assert_eq!(wrap_to_i64(x), want, "{x}");
    }
    assert_eq!(wrap_to_i64(-129.0) as i8, 127);
}

#[test]
fn erf_in_double_precision() {
    // High-precision values.
    for (x, want) in ERF {
        let error = ((erf_f64(x) - want) / want).abs() / f64::EPSILON;
        assert!(error <= 2.0, "{x}: {error}");
        assert_eq!(erf_f64(-x), -erf_f64(x));
    }
    assert!(erf_f64(f64::NAN).is_nan());
    assert_eq!((erf_f64(f64::INFINITY), erf_f64(-7.0)), (1.0, -1.0));
}

const ERF: [(f64, f64); 19] = [
    (1e-300, 1.1283791670955126e-300),
    (1e-09, 1.1283791670955127e-09),
    (0.1, 0.1124629160182849),
    (0.25, 0.27632639016823696),
    (0.5, 0.5204998778130465),
    (0.75, 0.7111556336535151),
    (0.9375, 0.8151024010343998),
    (0.999, 0.8422852702064969),
    (1.0, 0.8427007929497149),
    (1.001, 0.8431154854780762),
    (1.25, 0.9229001282564583),
    (1.5, 0.9661051464753108),
    (2.0, 0.9953222650189527),
    (2.5, 0.999593047982555),
    (3.0, 0.9999779095030014),
    (3.75, 0.9999998862727434),
    (4.5, 0.9999999998033839),
    (5.5, 0.9999999999999927),
    (5.9, 0.9999999999999999),
];
