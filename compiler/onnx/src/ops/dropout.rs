//! Dropout: in inference the input itself, and a mask of trues. In training elements become 0 with probability `ratio`, the others are
//! scaled by `1 / (1 - ratio)`.
//!
//! <https://onnx.ai/onnx/operators/onnx__Dropout.html>
//!
//! | opset | change |
//! |---|---|
//! | 1 | first |
//! | 6 | `consumed_inputs` gone |
//! | 7 | `is_test` gone |
//! | 10 | bool |
//! | 12 | `ratio` is an input; attribute `seed`; input `training_mode`; more dtypes of `T1`: half, single and double floats |
//! | 13 | bfloat16 |
//! | 22 | 8-bit floats |
//!
//! Dtypes: all floats, 8-bit floats.

use graph::builder::BuildError;
use graph::dtype::DType;
use graph::graph::ValueId;
use graph::scalar::Scalar;
use graph::tensor::Tensor;

use crate::operator::{AttrKind, Ctx, Operator, attr, between};
use crate::value::ImportValue;
use crate::{pointwise, random};

pub const OPERATOR: Operator = Operator {
    name: "Dropout",
    domain: "",
    versions: &[1, 6, 7, 10, 12, 13, 22],
    inputs: between(1, 3),
    outputs: between(1, 2),
    attrs: &[
        attr("consumed_inputs", AttrKind::Ints),
        attr("is_test", AttrKind::Int),
        attr("ratio", AttrKind::Float),
        attr("seed", AttrKind::Int),
    ],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let x = ctx.input(0)?;
    pointwise::require_class(ctx, 0, pointwise::FLOATS)?;
    let (ratio, mode) = switches(ctx)?;
    let constant = |ctx: &mut Ctx<'_>, v: ValueId| ctx.b.const_tensor(v).and_then(|t| t.get(0)).map(|s| s.as_f64());
    if constant(ctx, mode) != Some(0.0) && constant(ctx, ratio) != Some(0.0) {
        return drop(ctx, x, ratio, mode);
    }
    let mut outputs = vec![x.into()];
    if ctx.wants(1) {
        let dtype = if ctx.opset < 10 { ctx.dtype(0)? } else { DType::Bool };
        let shape = ctx.shape(0)?;
        outputs.push(ctx.b.splat(Scalar::from_i64(dtype, 1), shape)?.into());
    }
    Ok(outputs)
}

/// Ratio and training mode, of rank 0.
fn switches(ctx: &mut Ctx<'_>) -> Result<(ValueId, ValueId), BuildError> {
    let (ratio, mode) = match ctx.opset {
        ..12 => (None, None),
        _ => (pointwise::scalar(ctx, 1)?, pointwise::scalar(ctx, 2)?),
    };
    let ratio = match ratio {
        Some(ratio) => ratio,
        None => ctx.b.constant(Tensor::scalar(Scalar::f32(ctx.float_or("ratio", 0.5))))?,
    };
    let mode = match mode {
        Some(mode) => mode,
        None => {
            let trains = ctx.opset < 7 && ctx.int_or("is_test", 0) == 0;
            ctx.b.constant(Tensor::scalar(Scalar::bool(trains)))?
        }
    };
    Ok((ratio, mode))
}

/// Elements whose random number is below the ratio are dropped, if the mode says so. The numbers depend on the seed and the
/// element's position only; without a seed, on the node's.
fn drop(ctx: &mut Ctx<'_>, x: ValueId, ratio: ValueId, mode: ValueId) -> Result<Vec<ImportValue>, BuildError> {
    let node = ctx.b.origins().last().map_or(0, |o| u64::from(o.0));
    let seed = ctx.int("seed").map_or(node, |s| s as u64);
    let (shape, dtype) = (ctx.shape(0)?, ctx.dtype(0)?);
    let mask_dtype = if ctx.opset < 10 { dtype } else { DType::Bool };
    let outputs = ctx.b.compute_many(&[x, ratio, mode], shape.clone(), |p| {
        let index = p.indices();
        let (x, ratio, mode) = (p.load(0, &index), p.load(1, &[]), p.load(2, &[]));
        let (mode, wide) = (p.cast(mode, DType::Bool), pointwise::wide(dtype));
        let indices = p.indices();
        let element = random::linear(p, &indices, &shape);
        let (ratio, number) = (p.cast(ratio, DType::F32), random::uniform(p, seed, element, 0));
        let (idle, above) = (p.not(mode), p.le(ratio, number));
        let kept = p.or(idle, above);
        let (value, ratio) = (p.cast(x, wide), p.cast(ratio, wide));
        let (one, zero) = (p.number(wide, 1.0), p.zero(dtype));
        let rest = p.sub(one, ratio);
        let scaled = p.div(value, rest);
        let scaled = p.cast(scaled, dtype);
        let active = p.select(mode, scaled, x);
        let value = p.select(kept, active, zero);
        p.out(value);
        let mask = p.cast(kept, mask_dtype);
        p.out(mask);
    })?;
    Ok(outputs.into_iter().map(ImportValue::from).collect())
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{Case, bools, f32s, i64s, refusal, value};

    #[test]
    fn mask_of_either_dtype() {
        let x = f32s(&[2], &[1.0, 2.0]);
        let case = Case::new(&OPERATOR).value(x.clone()).outputs(2);
        case.expect(&[x.clone(), bools(&[2], &[true; 2])]);
        case.opset(7).expect(&[x, f32s(&[2], &[1.0; 2])]);
    }

    #[test]
    fn ratio_at_run_time() {
        let x = f32s(&[4096], &[3.0; 4096]);
        let run = |ratio: f32, mode: bool| {
            let inputs = [value(x.clone()), value(f32s(&[], &[ratio])), value(bools(&[], &[mode]))];
            let found = Case::of(&OPERATOR, &[], &inputs).run().unwrap();
            let y = found.first().and_then(|d| d.as_tensor()).unwrap().to_f64s();
            (y.iter().filter(|v| **v == 0.0).count(), y.iter().copied().fold(0.0, f64::max))
        };
        assert_eq!(run(0.0, true), (0, 3.0));
        assert_eq!(run(0.25, false), (0, 3.0));
        let (dropped, scaled) = run(0.25, true);
        assert!((900..1150).contains(&dropped), "{dropped}");
        assert_eq!(scaled, 4.0);
    }

    #[test]
    fn integers_are_refused() {
        let error = refusal(&OPERATOR, &[], &[value(i64s(&[1], &[1]))]);
        assert_eq!(error.to_string(), "dtype i64 is not supported for input 0 of Dropout; supported: floats");
    }
}
