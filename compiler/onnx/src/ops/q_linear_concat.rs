//! QLinearConcat of ONNX Runtime: quantized tensors, each with a scale of its own, joined and quantized with one.
//!
//! <https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#commicrosoftqlinearconcat>
//!
//! Inputs: scale and zero point of the result, then each tensor with its scale and zero point.
//!
//! Dtypes: 8-bit integers; computed in f32.

use graph::builder::BuildError;

use crate::operator::{AttrKind, Ctx, Operator, at_least, exactly, required};
use crate::pointwise::Outputs;
use crate::quantized_products::{dequantised, requantised};

pub const OPERATOR: Operator = Operator {
    name: "QLinearConcat",
    domain: "com.microsoft",
    versions: &[1],
    inputs: at_least(5),
    outputs: exactly(1),
    attrs: &[required("axis", AttrKind::Int)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Outputs {
    if ctx.inputs.len() % 3 != 2 {
        return Err(BuildError::Operand {
            what: "inputs".to_string(),
            expected: "two, and three a tensor".to_string(),
            found: ctx.inputs.len().to_string(),
        });
    }
    let (scale, zero) = (ctx.input(0)?, ctx.optional(1)?);
    let dtype = ctx.dtype(2)?;
    let mut parts = Vec::new();
    for first in (2..ctx.inputs.len()).step_by(3) {
        let part = dequantised(ctx, first)?;
        parts.push(requantised(ctx.b, part, &[], scale, (zero, dtype))?);
    }
    let rank = ctx.shape(2)?.len();
    let axis = ctx.b.axis(ctx.int_or("axis", 0), rank)?;
    Ok(vec![ctx.b.concat(&parts, axis)?.into()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::{Arg, check, f32s, int, refusal, tensor, value};
    use graph::dtype::DType;

    fn inputs() -> Vec<Arg> {
        let i8s = |shape: &[usize], v: &[f64]| value(tensor(DType::I8, shape, v));
        let one = |v: f32| value(f32s(&[], &[v]));
        let zero = || i8s(&[], &[1.0]);
        vec![one(1.0), zero(), i8s(&[1], &[3.0]), one(4.0), zero(), i8s(&[2], &[1.0, 101.0]), one(2.0), zero()]
    }

    #[test]
    fn each_with_its_scale() {
        check(&OPERATOR, &[("axis", int(0))], &inputs(), &[tensor(DType::I8, &[3], &[9.0, 1.0, 127.0])]);
    }

    #[test]
    fn a_tensor_without_zero_point_is_refused() {
        let error = refusal(&OPERATOR, &[("axis", int(0))], &inputs()[..7]);
        assert!(error.to_string().contains("two, and three a tensor"), "{error}");
    }
}
