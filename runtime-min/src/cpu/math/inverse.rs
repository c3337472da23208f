//! Inverse circular and hyperbolic functions through f64.
//!
//! ```text
//! atan: |x| > 1 by π/2 - atan(1/x); t > tan(π/8) by π/4 + atan((t-1)/(t+1)); then an odd polynomial on t² ≤ 0.172
//! asin: |x| ≤ ½ an odd polynomial; else π/2 - 2 asin(√((1-|x|)/2))
//! asinh, acosh, atanh: log1p of an expression without cancellation
//! ```

use super::log::log1p_wide;
use super::poly;
use core::f64::consts::{FRAC_PI_2, FRAC_PI_4, PI};

/// Arc tangent.
#[inline(always)]
pub fn atan(x: f32) -> f32 {
    const ODD: [f64; 7] = [
        -0.333_333_333_315_685_1,
        0.199_999_989_701_678_65,
        -0.142_856_160_926_553_43,
        0.111_075_839_621_712_93,
        -0.090_299_799_921_511_23,
        0.071_404_796_841_186_12,
        -0.040_532_262_947_422_6,
    ];
    let size = f64::from(x.abs());
    let big = size > 1.0;
    let t = if big { 1.0 / size } else { size };
    let upper = t > core::f64::consts::SQRT_2 - 1.0;
    let t = if upper { (t - 1.0) / (t + 1.0) } else { t };
    let z = t * t;
    let y = t + t * (z * poly(z, &ODD));
    let y = if upper { y + FRAC_PI_4 } else { y };
    let y = if big { FRAC_PI_2 - y } else { y };
    (y as f32).copysign(x)
}

/// Arc sine; NaN outside `-1..=1`.
#[inline(always)]
pub fn asin(x: f32) -> f32 {
    let size = f64::from(x.abs());
    let (y, far) = arc(size);
    (if far { FRAC_PI_2 - y } else { y } as f32).copysign(x)
}

/// Arc cosine; NaN outside `-1..=1`.
#[inline(always)]
pub fn acos(x: f32) -> f32 {
    let (y, far) = arc(f64::from(x.abs()));
    let middle = FRAC_PI_2 - if x < 0.0 { -y } else { y };
    let end = if x < 0.0 { PI - y } else { y };
    (if far { end } else { middle }) as f32
}

/// `asin x` for `x ≤ ½`, else `acos x`; and which of them.
#[inline(always)]
fn arc(x: f64) -> (f64, bool) {
    const ODD: [f64; 8] = [
        0.166_666_666_653_367_5,
        0.075_000_006_613_890_07,
        0.044_642_318_208_562_945,
        0.030_398_605_322_409_123,
        0.022_121_301_935_464_528,
        0.019_371_831_057_513_127,
        0.005_251_932_370_337_83,
        0.029_524_304_693_016_682,
    ];
    let far = x > 0.5;
    let half = (1.0 - x) * 0.5;
    let z = if far { half } else { x * x };
    let t = if far { half.sqrt() } else { x };
    let y = t + t * (z * poly(z, &ODD));
    (if far { y + y } else { y }, far)
}

/// Inverse hyperbolic sine.
#[inline(always)]
pub fn asinh(x: f32) -> f32 {
    let size = f64::from(x.abs());
    let square = size * size;
    let y = log1p_wide(size + square / (1.0 + (1.0 + square).sqrt()));
    let y = if size == f64::INFINITY { size } else { y };
    (y as f32).copysign(x)
}

/// Inverse hyperbolic cosine; NaN below 1.
#[inline(always)]
pub fn acosh(x: f32) -> f32 {
    let t = f64::from(x) - 1.0;
    let y = log1p_wide(t + (t * (t + 2.0)).sqrt());
    (if t < 0.0 { f64::NAN } else { y }) as f32
}

/// Inverse hyperbolic tangent; NaN outside `-1..=1`.
#[inline(always)]
pub fn atanh(x: f32) -> f32 {
    let size = f64::from(x.abs());
    let y = 0.5 * log1p_wide(2.0 * size / (1.0 - size));
    let y = if size > 1.0 { f64::NAN } else { y };
    (y as f32).copysign(x)
}
