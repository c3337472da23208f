//! Operators of ONNX Runtime on one quantized tensor: another operator between dequantization and quantization.
//!
//! <https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#commicrosoftqlinearsigmoid>
//!
//! QLinearSigmoid, QLinearLeakyRelu, QLinearSoftmax (whose attribute `opset` says whose rules hold), QLinearAveragePool and
//! QLinearGlobalAveragePool. Inputs: X, its scale and zero point, scale and zero point of the result.
//!
//! Dtypes: 8-bit integers; computed in f32. Refused: channels behind the spatial dims.

use graph::builder::BuildError;

use super::{average_pool, global_average_pool, leaky_relu, sigmoid, softmax};
use crate::inner;
use crate::operator::{AttrKind, AttrSpec, Ctx, Operator, attr, between, exactly};
use crate::pointwise::Outputs;
use crate::quantized_products::{dequantised, requantised};
use crate::sliding;

pub const SIGMOID_OPERATOR: Operator = operator("QLinearSigmoid", &[], |ctx| around(ctx, &sigmoid::OPERATOR, 13));
pub const LEAKY_RELU_OPERATOR: Operator =
    operator("QLinearLeakyRelu", &[attr("alpha", AttrKind::Float)], |ctx| around(ctx, &leaky_relu::OPERATOR, 16));
pub const SOFTMAX_OPERATOR: Operator =
    operator("QLinearSoftmax", &[attr("axis", AttrKind::Int), attr("opset", AttrKind::Int)], |ctx| {
        let opset = ctx.int_or("opset", 13);
        around(ctx, &softmax::OPERATOR, opset)
    });
pub const AVERAGE_POOL_OPERATOR: Operator = operator(
    "QLinearAveragePool",
    &[
        sliding::ATTRS[0],
        sliding::ATTRS[1],
        sliding::ATTRS[2],
        sliding::ATTRS[3],
        sliding::ATTRS[4],
        attr("ceil_mode", AttrKind::Int),
        attr("channels_last", AttrKind::Int),
        attr("count_include_pad", AttrKind::Int),
    ],
    |ctx| around(ctx, &average_pool::OPERATOR, 22),
);
pub const GLOBAL_AVERAGE_POOL_OPERATOR: Operator =
    operator("QLinearGlobalAveragePool", &[attr("channels_last", AttrKind::Int)], |ctx| {
        around(ctx, &global_average_pool::OPERATOR, 22)
    });

const fn operator(name: &'static str, attrs: &'static [AttrSpec], build: fn(&mut Ctx<'_>) -> Outputs) -> Operator {
    Operator { name, domain: "com.microsoft", versions: &[1], inputs: between(4, 5), outputs: exactly(1), attrs, build }
}

fn around(ctx: &mut Ctx<'_>, op: &Operator, opset: i64) -> Outputs {
    if ctx.int_or("channels_last", 0) != 0 {
        return Err(BuildError::Unsupported {
            what: format!("channels_last of {}", ctx.op_type),
            closest: "channels_last of 0".to_string(),
        });
    }
    let x = dequantised(ctx, 0)?;
    let y = inner::one(ctx, op, opset, &[x], ctx.attrs)?;
    let (scale, zero) = (ctx.input(3)?, ctx.optional(4)?);
    let dtype = ctx.dtype(0)?;
    Ok(vec![requantised(ctx.b, y, &[], scale, (zero, dtype))?.into()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::{Arg, check, f32s, float, int, refusal, tensor, value};
    use graph::dtype::DType;

    fn inputs(shape: &[usize], x: &[f64], scale: f32) -> Vec<Arg> {
        let u8s = |shape: &[usize], v: &[f64]| value(tensor(DType::U8, shape, v));
        let one = |v: f32| value(f32s(&[], &[v]));
        vec![u8s(shape, x), one(0.5), u8s(&[], &[10.0]), one(scale), u8s(&[], &[3.0])]
    }

    fn u8s(shape: &[usize], v: &[f64]) -> graph::tensor::Tensor {
        tensor(DType::U8, shape, v)
    }

    #[test]
    fn functions_and_means() {
        check(&SIGMOID_OPERATOR, &[], &inputs(&[2], &[10.0, 14.0], 0.01), &[u8s(&[2], &[53.0, 91.0])]);
        let attrs = [("alpha", float(0.5))];
        check(&LEAKY_RELU_OPERATOR, &attrs, &inputs(&[2], &[6.0, 14.0], 0.5), &[u8s(&[2], &[1.0, 7.0])]);
        check(&SOFTMAX_OPERATOR, &[], &inputs(&[1, 2], &[5.0, 5.0], 0.1), &[u8s(&[1, 2], &[8.0, 8.0])]);
        let mean = u8s(&[1, 1, 1], &[7.0]);
        check(&GLOBAL_AVERAGE_POOL_OPERATOR, &[], &inputs(&[1, 1, 2], &[11.0, 17.0], 0.5), &[mean]);
    }

    #[test]
    fn channels_behind_are_refused() {
        let x = inputs(&[1, 1, 2], &[0.0, 0.0], 1.0);
        let error = refusal(&GLOBAL_AVERAGE_POOL_OPERATOR, &[("channels_last", int(1))], &x);
        assert!(error.to_string().contains("channels_last of QLinearGlobalAveragePool"), "{error}");
    }
}
