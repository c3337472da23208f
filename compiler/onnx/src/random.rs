//! Random numbers as expressions: a counter-based generator, a hash of the seed and the element's position.
//!
//! `u(k) = mix(seed + (k + 1) * odd)` with the finaliser of SplitMix64; its top 24 bits make a uniform float in `[0, 1)`. The
//! same model gives the same numbers on every target and at every call. They cannot equal another implementation's.

use graph::builder::{BuildError, Point};
use graph::dim::Dim;
use graph::dtype::DType;
use graph::expr::{BinOp, ExprId, UnOp};
use graph::graph::ValueId;
use graph::scalar::Scalar;

use crate::operator::Ctx;

/// The seed of a node: its attribute, or the node's number, so that two nodes differ.
pub fn seed(ctx: &Ctx<'_>) -> u64 {
    let node = ctx.b.origins().last().map_or(0, |origin| u64::from(origin.0) + 1);
    match ctx.float("seed") {
        Some(seed) => u64::from(seed.to_bits()) << 32,
        None => node,
    }
}

/// A tensor whose elements are made from their own random stream: `describe` gets the seed and the element's row-major number.
pub fn fill(
    ctx: &mut Ctx<'_>,
    operands: &[ValueId],
    shape: Vec<Dim>,
    describe: impl FnOnce(&mut Point<'_>, u64, ExprId) -> ExprId,
) -> Result<ValueId, BuildError> {
    let seed = seed(ctx);
    ctx.b.compute(operands, shape.clone(), |p| {
        let indices = p.indices();
        let number = linear(p, &indices, &shape);
        let value = describe(p, seed, number);
        p.out(value);
    })
}

/// The row-major number of an index.
pub fn linear(p: &mut Point<'_>, indices: &[ExprId], shape: &[Dim]) -> ExprId {
    let mut number = p.int(0);
    for (index, extent) in indices.iter().zip(shape) {
        let extent = p.dim(extent);
        let scaled = p.mul(number, extent);
        number = p.add(scaled, *index);
    }
    number
}

/// A uniform float of 24 bits in `[0, 1)` for a position of a stream; `salt` separates several at one position.
pub fn uniform(p: &mut Point<'_>, seed: u64, number: ExprId, salt: u64) -> ExprId {
    let word = |p: &mut Point<'_>, bits: u64| p.constant(Scalar { dtype: DType::U64, bits });
    let counter = p.cast(number, DType::U64);
    let odd = word(p, 0x9E37_79B9_7F4A_7C15);
    let start = word(p, seed.wrapping_add((salt + 1).wrapping_mul(0xD1B5_4A32_D192_ED03)));
    let scaled = p.mul(counter, odd);
    let mut z = p.add(scaled, start);
    for (shift, factor) in [(30, 0xBF58_476D_1CE4_E5B9), (27, 0x94D0_49BB_1331_11EB)] {
        z = fold(p, z, shift);
        let factor = word(p, factor);
        z = p.mul(z, factor);
    }
    z = fold(p, z, 31);
    let drop = word(p, 40);
    let top = p.binary(BinOp::Shr, z, drop);
    let float = p.cast(top, DType::F32);
    let unit = p.constant(Scalar::f32(1.0 / 16_777_216.0));
    p.mul(float, unit)
}

/// `z ^ (z >> shift)`.
fn fold(p: &mut Point<'_>, z: ExprId, shift: u64) -> ExprId {
    let shift = p.constant(Scalar { dtype: DType::U64, bits: shift });
    let moved = p.binary(BinOp::Shr, z, shift);
    p.binary(BinOp::Xor, z, moved)
}

/// A standard normal float (Box and Muller).
pub fn normal(p: &mut Point<'_>, seed: u64, number: ExprId) -> ExprId {
    let (a, b) = (uniform(p, seed, number, 0), uniform(p, seed, number, 1));
    let constant = |p: &mut Point<'_>, v: f32| p.constant(Scalar::f32(v));
    let (one, minus_two, turn) = (constant(p, 1.0), constant(p, -2.0), constant(p, std::f32::consts::TAU));
    let positive = p.sub(one, a);
    let log = p.unary(UnOp::Log, positive);
    let square = p.mul(minus_two, log);
    let radius = p.unary(UnOp::Sqrt, square);
    let angle = p.mul(turn, b);
    let cosine = p.unary(UnOp::Cos, angle);
    p.mul(radius, cosine)
}

/// The dtype of the result: the attribute, or this one. Only floats.
pub fn dtype(ctx: &Ctx<'_>, default: DType) -> Result<DType, BuildError> {
    let found = ctx.dtype_attr("dtype")?.unwrap_or(default);
    if found.is_float() {
        return Ok(found);
    }
    Err(BuildError::DType { what: ctx.op_type.to_string(), expected: "floats".into(), found })
}

/// `shape` of an operator without inputs.
pub fn shape(ctx: &Ctx<'_>) -> Result<Vec<Dim>, BuildError> {
    let shape = ctx.ints("shape").unwrap_or_default();
    match shape.iter().find(|d| **d < 0) {
        Some(found) => Err(BuildError::NegativeDim { found: *found }),
        None => Ok(shape.iter().map(|d| Dim::constant(*d)).collect()),
    }
}

/// Uniform between the attributes `low` and `high`.
pub fn uniform_tensor(ctx: &mut Ctx<'_>, shape: Vec<Dim>, dtype: DType) -> Result<ValueId, BuildError> {
    let (low, high) = (ctx.float_or("low", 0.0), ctx.float_or("high", 1.0));
    fill(ctx, &[], shape, |p, seed, number| {
        let unit = uniform(p, seed, number, 0);
        let (low, span) = (p.constant(Scalar::f32(low)), p.constant(Scalar::f32(high - low)));
        let scaled = p.mul(unit, span);
        let value = p.add(scaled, low);
        p.cast(value, dtype)
    })
}

/// Normal with the attributes `mean` and `scale`.
pub fn normal_tensor(ctx: &mut Ctx<'_>, shape: Vec<Dim>, dtype: DType) -> Result<ValueId, BuildError> {
    let (mean, scale) = (ctx.float_or("mean", 0.0), ctx.float_or("scale", 1.0));
    fill(ctx, &[], shape, |p, seed, number| {
        let unit = normal(p, seed, number);
        let (mean, scale) = (p.constant(Scalar::f32(mean)), p.constant(Scalar::f32(scale)));
        let scaled = p.mul(unit, scale);
        let value = p.add(scaled, mean);
        p.cast(value, dtype)
    })
}
