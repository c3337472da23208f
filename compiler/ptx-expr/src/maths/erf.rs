//! The error function.
//!
//! ```text
//! f32   |x| < 1: x + x P(x²)     else: 1 - e^-G(|x|), G fitted to -ln erfc on 1..=4; beyond 4 the result is ±1
//! f64   |x| < 1: x + x P(x²)     else: 1 - e^(-x²) Q((x-2)/(x+2)) / (1+x); beyond 6 the result is ±1
//! ```

use super::{by, clamp, exp::exp, fast_exp};
use crate::arith::Arith;
use crate::op::{Float, Relation};

const NEAR32: [f64; 7] =
    [0.128_379_17, -0.376_126_26, 0.112_835_85, -0.026_853_813, 0.005_188_329, -0.000_801_020_7, 7.853_909e-5];
const FAR32: [f64; 8] = [
    -0.000_188_035_15,
    1.129_578_4,
    0.633_219_93,
    0.108_418_53,
    -0.025_208_231,
    0.004_204_553,
    -0.000_441_334_67,
    2.168_671_3e-5,
];
const NEAR64: [f64; 13] = [
    0.128_379_167_095_512_57,
    -0.376_126_389_031_837_5,
    0.112_837_916_709_548_79,
    -0.026_866_170_645_076_793,
    0.005_223_977_624_818_015,
    -0.000_854_832_698_083_379,
    0.000_120_553_311_116_427_1,
    -0.000_014_925_595_266_831_182,
    1.646_100_048_412_136_8e-6,
    -1.635_031_270_105_469_5e-7,
    1.465_977_527_404_743_6e-8,
    -1.137_284_885_679_167_4e-9,
    5.957_176_147_748_911e-11,
];
const FAR64: [f64; 18] = [
    0.766_187_028_931_517_2,
    -0.259_974_836_999_852_2,
    0.037_813_898_313_587_634,
    0.042_536_349_508_849_33,
    -0.025_243_554_293_706_132,
    -0.000_518_276_671_119_551_9,
    0.003_937_755_302_915_031,
    0.000_144_680_953_953_542_4,
    -0.000_706_628_868_355_890_9,
    -0.000_139_989_680_960_177_25,
    0.000_116_940_957_065_873_36,
    0.000_061_731_684_146_291_17,
    -7.685_680_965_700_49e-6,
    -0.000_017_572_703_155_371_823,
    -5.121_894_387_955_073e-6,
    2.908_812_461_998_582e-6,
    2.839_397_694_926_043_4e-6,
    -8.204_850_699_064_41e-7,
];

/// With the hardware's exponential.
pub(super) fn fast<A: Arith>(a: &mut A, x: A::Value) -> A::Value {
    with_exp(a, Float::F32, x, fast_exp)
}

/// Error function.
pub(super) fn erf<A: Arith>(a: &mut A, f: Float, x: A::Value) -> A::Value {
    with_exp(a, f, x, |a, x| exp(a, f, x))
}

fn with_exp<A: Arith>(a: &mut A, f: Float, x: A::Value, exp: impl Fn(&mut A, A::Value) -> A::Value) -> A::Value {
    let size = a.abs(f, x);
    let z = a.mul(f, x, x);
    let p = a.poly(f, z, by(f, &NEAR32, &NEAR64));
    let near = a.fma(f, x, p, x);
    let one = a.float(f, 1.0);
    let far = match f {
        Float::F32 => {
            let inside = clamp(a, f, size, 0.0, 4.0);
            let g = a.poly(f, inside, &FAR32);
            let g = a.neg(f, g);
            let e = exp(a, g);
            a.sub(f, one, e)
        }
        Float::F64 => {
            let inside = clamp(a, f, size, 0.0, 6.5);
            let (two, minus_two) = (a.float(f, 2.0), a.float(f, -2.0));
            let (above, below) = (a.add(f, inside, minus_two), a.add(f, inside, two));
            let t = a.div(f, above, below);
            let q = a.poly(f, t, &FAR64);
            let opposite = a.neg(f, inside);
            let square = a.mul(f, opposite, inside);
            let e = exp(a, square);
            let part = a.mul(f, e, q);
            let sum = a.add(f, inside, one);
            let part = a.div(f, part, sum);
            a.sub(f, one, part)
        }
    };
    let far = a.copysign(f, far, x);
    let is_near = a.fcmp(Relation::Lt, f, size, one);
    a.select(f.width(), is_near, near, far)
}
