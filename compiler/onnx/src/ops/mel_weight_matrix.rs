//! MelWeightMatrix: triangular filters on the mel scale over the bins of a spectrum, `[dft_length / 2 + 1, num_mel_bins]`.
//!
//! <https://onnx.ai/onnx/operators/onnx__MelWeightMatrix.html>
//!
//! | opset | change |
//! |---|---|
//! | 17 | first |
//!
//! Dtypes: sizes are i32 or i64, edges are floats, all maybe computed at run time; the result is any number dtype, computed in
//! f64.

use graph::builder::{BuildError, Point};
use graph::dim::Dim;
use graph::dtype::DType;
use graph::expr::{BinOp, ExprId, UnOp};
use graph::graph::ValueId;

use crate::operator::{AttrKind, Ctx, Operator, attr, exactly};
use crate::sizes;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "MelWeightMatrix",
    domain: "",
    versions: &[17],
    inputs: exactly(5),
    outputs: exactly(1),
    attrs: &[attr("output_datatype", AttrKind::Int)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let bands = sizes::single(ctx, 0, 0, None)?;
    let length = sizes::single(ctx, 1, 0, None)?;
    let dtype = ctx.dtype_attr("output_datatype")?.unwrap_or(DType::F32);
    let mut scalars: Vec<ValueId> = Vec::new();
    for position in 2..5 {
        let value = ctx.input(position)?;
        scalars.push(ctx.b.reshape(value, Vec::new())?);
    }
    let edges = ctx.b.compute(&scalars, vec![&bands + &Dim::constant(2)], |p| {
        let bin = edge(p, &bands, &length);
        p.out(bin);
    })?;
    let bins = &ctx.b.model().symbols.floor_div(&length, &Dim::constant(2)) + &Dim::constant(1);
    let filters = ctx.b.compute(&[edges], vec![bins, bands], |p| {
        let (bin, band) = (p.index(0), p.index(1));
        let (one, two) = (p.int(1), p.int(2));
        let left = p.load(0, &[band]);
        let (second, third) = (p.add(band, one), p.add(band, two));
        let (centre, right) = (p.load(0, &[second]), p.load(0, &[third]));
        let (rise, fall) = (p.sub(centre, left), p.sub(right, centre));
        let (rising, falling) = (quotient(p, bin, left, rise), quotient(p, right, bin, fall));
        let (zero, whole) = (p.number(DType::F64, 0.0), p.number(DType::F64, 1.0));
        let none = p.int(0);
        // A filter without a rise is one at its centre.
        let (flat, at_centre) = (p.eq(rise, none), p.eq(bin, centre));
        let spike = p.select(at_centre, whole, zero);
        let (after_left, to_centre) = (p.le(left, bin), p.le(bin, centre));
        let on_rise = p.and(after_left, to_centre);
        let slope = p.select(on_rise, rising, zero);
        let before = p.select(flat, spike, slope);
        let (from_centre, to_right) = (p.le(centre, bin), p.lt(bin, right));
        let on_fall = p.and(from_centre, to_right);
        let weight = p.select(on_fall, falling, before);
        let weight = p.cast(weight, dtype);
        p.out(weight);
    })?;
    Ok(vec![filters.into()])
}

/// `(a - b) / c` of integers as a float.
fn quotient(p: &mut Point<'_>, a: ExprId, b: ExprId, c: ExprId) -> ExprId {
    let difference = p.sub(a, b);
    let (difference, c) = (p.cast(difference, DType::F64), p.cast(c, DType::F64));
    p.div(difference, c)
}

/// The bin of the spectrum that edge `index(0)` of the filters falls into.
fn edge(p: &mut Point<'_>, bands: &Dim, length: &Dim) -> ExprId {
    let number = |p: &mut Point<'_>, v: f64| p.number(DType::F64, v);
    let (rate, low, high) = (scalar(p, 0), scalar(p, 1), scalar(p, 2));
    let ln10 = number(p, std::f64::consts::LN_10);
    let (mel, corner, one) = (number(p, 2595.0), number(p, 700.0), number(p, 1.0));
    let to_mel = |p: &mut Point<'_>, hertz: ExprId| {
        let ratio = p.div(hertz, corner);
        let ratio = p.add(one, ratio);
        let log = p.unary(UnOp::Log, ratio);
        let log = p.div(log, ln10);
        p.mul(mel, log)
    };
    let (low, high) = (to_mel(p, low), to_mel(p, high));
    let (i, count) = (p.index(0), p.dim(&(bands + &Dim::constant(2))));
    let (i, count) = (p.cast(i, DType::F64), p.cast(count, DType::F64));
    let span = p.sub(high, low);
    let step = p.div(span, count);
    let offset = p.mul(i, step);
    let at = p.add(offset, low);
    let exponent = p.div(at, mel);
    let exponent = p.mul(exponent, ln10);
    let power = p.unary(UnOp::Exp, exponent);
    let power = p.sub(power, one);
    let hertz = p.mul(corner, power);
    let points = p.dim(&(length + &Dim::constant(1)));
    let points = p.cast(points, DType::F64);
    let scaled = p.mul(points, hertz);
    let bin = p.binary(BinOp::Div, scaled, rate);
    let bin = p.unary(UnOp::Floor, bin);
    p.cast(bin, DType::I64)
}

fn scalar(p: &mut Point<'_>, operand: usize) -> ExprId {
    let value = p.load(operand, &[]);
    p.cast(value, DType::F64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::{check, f32s, i64s, refusal, value};

    #[test]
    fn one_band_over_four_points() {
        let sizes = |v: i64| value(i64s(&[], &[v]));
        let hertz = |v: f32| value(f32s(&[], &[v]));
        // Edges at bins 0, 0 and 1 of 3.
        let inputs = [sizes(1), sizes(4), sizes(8000), hertz(0.0), hertz(4000.0)];
        check(&OPERATOR, &[], &inputs, &[f32s(&[3, 1], &[1.0, 0.0, 0.0])]);
    }

    #[test]
    fn a_missing_edge_is_refused() {
        let error = refusal(&OPERATOR, &[], &[value(i64s(&[], &[1])), value(i64s(&[], &[4]))]);
        assert!(error.to_string().contains("input 2: expected a value"), "{error}");
    }
}
