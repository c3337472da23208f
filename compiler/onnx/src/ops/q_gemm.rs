//! QGemm of ONNX Runtime: `alpha * A B + C` of quantized matrices, quantized again if the result has a scale.
//!
//! <https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#commicrosoftqgemm>
//!
//! Inputs: A, its scale and zero point, B, its scales and zero points (one, or one a column), C (i32, in units of the product),
//! scale and zero point of the result.
//!
//! Dtypes: 8-bit integers, summed in i32; the result is f32 without a scale.

use graph::builder::BuildError;
use graph::dtype::DType;
use graph::graph::ValueId;

use crate::operator::{AttrKind, Ctx, Operator, attr, between, exactly};
use crate::pointwise::Outputs;
use crate::quantized_products::{along, centred, requantised};

pub const OPERATOR: Operator = Operator {
    name: "QGemm",
    domain: "com.microsoft",
    versions: &[1],
    inputs: between(6, 9),
    outputs: exactly(1),
    attrs: &[attr("alpha", AttrKind::Float), attr("transA", AttrKind::Int), attr("transB", AttrKind::Int)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Outputs {
    let (a, b) = (ctx.input(0)?, ctx.input(3)?);
    for value in [a, b] {
        let found = ctx.b.dtype(value)?;
        if !matches!(found, DType::I8 | DType::U8) {
            return Err(BuildError::DType { what: "QGemm".to_string(), expected: "i8, u8".to_string(), found });
        }
    }
    let is = |name: &str| ctx.int_or(name, 0) != 0;
    let (left, right, column) =
        (if is("transA") { "km" } else { "mk" }, if is("transB") { "nk" } else { "kn" }, usize::from(!is("transB")));
    let (a_zero, b_zero) = (ctx.optional(2)?, ctx.optional(5)?);
    let dtype = ctx.b.dtype(a)?;
    let a = centred(ctx.b, a, a_zero, 0)?;
    let b = centred(ctx.b, b, b_zero, column)?;
    let mut sum = ctx.b.contract(&format!("{left},{right}->mn"), a, b)?;
    if let Some(c) = ctx.optional(6)? {
        sum = ctx.b.map(&[sum, c], |p, v| p.add(v[0], v[1]))?;
    }
    let (a_scale, b_scale) = (ctx.input(1)?, ctx.input(4)?);
    let (a_scale, b_scale) = (along(ctx.b, a_scale, 2, 0)?, along(ctx.b, b_scale, 2, 1)?);
    let alpha = f64::from(ctx.float_or("alpha", 1.0));
    let scale = ctx.b.map(&[a_scale, b_scale], |p, v| {
        let alpha = p.number(DType::F32, alpha);
        let both = p.mul(v[0], v[1]);
        p.mul(alpha, both)
    })?;
    let y: ValueId = match ctx.optional(7)? {
        Some(y_scale) => {
            let zero = ctx.optional(8)?;
            requantised(ctx.b, sum, &[scale], y_scale, (zero, dtype))?
        }
        None => ctx.b.map(&[sum, scale], |p, v| {
            let real = p.cast(v[0], DType::F32);
            p.mul(real, v[1])
        })?,
    };
    Ok(vec![y.into()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::{Arg, check, f32s, int, refusal, tensor, value};

    fn inputs() -> Vec<Arg> {
        let i8s = |shape: &[usize], v: &[f64]| value(tensor(DType::I8, shape, v));
        vec![
            i8s(&[1, 2], &[3.0, 5.0]),
            value(f32s(&[], &[0.5])),
            i8s(&[], &[1.0]),
            i8s(&[2, 2], &[1.0, 2.0, 3.0, 4.0]),
            value(f32s(&[2], &[1.0, 2.0])),
            i8s(&[2], &[0.0, 1.0]),
            value(tensor(DType::I32, &[2], &[100.0, 0.0])),
        ]
    }

    #[test]
    fn scales_a_column() {
        check(&OPERATOR, &[("transB", int(1))], &inputs(), &[f32s(&[1, 2], &[55.0, 16.0])]);
        let mut all = inputs();
        all.extend([value(f32s(&[], &[2.0])), value(tensor(DType::I8, &[], &[-8.0]))]);
        check(&OPERATOR, &[("transB", int(1))], &all, &[tensor(DType::I8, &[1, 2], &[20.0, 0.0])]);
    }

    #[test]
    fn floats_are_refused() {
        let mut all = inputs();
        all[0] = value(f32s(&[1, 2], &[1.0, 1.0]));
        assert!(refusal(&OPERATOR, &[], &all).to_string().contains("supported: i8, u8"));
    }
}
