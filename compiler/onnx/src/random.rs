//! Random numbers as expressions: a counter and a seed, scrambled (the SplitMix64 finaliser), so that every element is
//! independent of the order in which elements are computed, and equal on every target.

use graph::builder::Point;
use graph::dim::Dim;
use graph::dtype::DType;
use graph::expr::{BinOp, ExprId};
use graph::scalar::Scalar;

const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
const FIRST: u64 = 0xBF58_476D_1CE4_E5B9;
const SECOND: u64 = 0x94D0_49BB_1331_11EB;

/// A number in `0..1` (f32, 24 bits) for the present element of a shape.
pub fn uniform(p: &mut Point<'_>, seed: u64, shape: &[Dim]) -> ExprId {
    let mut linear = p.int(0);
    for (d, extent) in shape.iter().enumerate() {
        let (extent, i) = (p.dim(extent), p.index(d));
        let scaled = p.mul(linear, extent);
        linear = p.add(scaled, i);
    }
    let counter = p.cast(linear, DType::U64);
    let (step, start) = (constant(p, STEP), constant(p, seed.wrapping_mul(STEP) ^ FIRST));
    let spread = p.mul(counter, step);
    let mut bits = p.add(spread, start);
    bits = stir(p, bits, 30, FIRST);
    bits = stir(p, bits, 27, SECOND);
    let shift = constant(p, 40);
    let top = p.binary(BinOp::Shr, bits, shift);
    let top = p.cast(top, DType::F32);
    let scale = p.number(DType::F32, 1.0 / 16_777_216.0);
    p.mul(top, scale)
}

/// `(x ^ x >> shift) * factor`.
fn stir(p: &mut Point<'_>, x: ExprId, shift: u64, factor: u64) -> ExprId {
    let (shift, factor) = (constant(p, shift), constant(p, factor));
    let high = p.binary(BinOp::Shr, x, shift);
    let mixed = p.binary(BinOp::Xor, x, high);
    p.mul(mixed, factor)
}

fn constant(p: &mut Point<'_>, bits: u64) -> ExprId {
    p.constant(Scalar { dtype: DType::U64, bits })
}
