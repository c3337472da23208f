//! DequantizeLinear: `(x - x_zero_point) x_scale`; per tensor, per index along `axis`, or per block.
//!
//! <https://onnx.ai/onnx/operators/onnx__DequantizeLinear.html>
//!
//! | opset | change |
//! |---|---|
//! | 10 | first |
//! | 13 | attribute `axis` |
//! | 19 | 8-bit floats, bfloat16, float16, float32 |
//! | 21 | 4-bit integers, int16, uint16; attribute `block_size` |
//! | 23 | float4e2m1; attribute `output_dtype` |
//! | 24 | float8e8m0 |
//! | 25 | 2-bit integers |
//!
//! Dtypes: 8-bit floats, 4-bit integers, 2-bit integers, float4e2m1, int16, int32, int8, uint16, uint8.

use graph::builder::BuildError;
use graph::region::dequantize::Dequantize;

use crate::operator::{AttrKind, Ctx, Operator, attr, between, exactly};
use crate::value::ImportValue;
use crate::{pointwise, quantization};

pub const OPERATOR: Operator = Operator {
    name: "DequantizeLinear",
    domain: "",
    versions: &[10, 13, 19, 21, 23, 24, 25],
    inputs: between(2, 3),
    outputs: exactly(1),
    attrs: &[attr("axis", AttrKind::Int), attr("block_size", AttrKind::Int), attr("output_dtype", AttrKind::Int)],
    build,
};

/// As ONNX Runtime's tools write it for dtypes that an older opset does not have.
pub const MICROSOFT_OPERATOR: Operator = Operator { domain: "com.microsoft", versions: &[1], ..OPERATOR };

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let x = ctx.input(0)?;
    pointwise::require_class(ctx, 0, pointwise::NUMBERS)?;
    let mut parameters = quantization::parameters(ctx)?;
    let to = match (ctx.dtype_or_none("output_dtype")?, ctx.b.dtype(parameters.scale)?) {
        (Some(dtype), _) => dtype,
        (None, scale) => scale,
    };
    if !to.is_float() {
        return Err(BuildError::DType {
            what: "the output of DequantizeLinear".to_string(),
            expected: "floats".to_string(),
            found: to,
        });
    }
    if ctx.dtype(0)?.is_float() {
        parameters.zero_point = None;
    }
    let dequantize = Dequantize { to, axis: parameters.axis, block: parameters.block };
    let y = ctx.b.dequantize(dequantize, x, parameters.scale, parameters.zero_point)?;
    Ok(vec![y.into()])
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{check, f32s, i64s, int, refusal, tensor, value};
    use graph::dtype::DType;

    #[test]
    fn four_bits_per_block() {
        let x = tensor(DType::I4, &[3, 1], &[-8.0, 7.0, 1.0]);
        let (scale, zero) = (f32s(&[2, 1], &[0.5, 2.0]), tensor(DType::I4, &[2, 1], &[1.0, -1.0]));
        let attrs = [("axis", int(0)), ("block_size", int(2))];
        let y = f32s(&[3, 1], &[-4.5, 3.0, 4.0]);
        check(&OPERATOR, &attrs, &[value(x), value(scale), value(zero)], &[y]);
    }

    #[test]
    fn integer_scales_are_refused() {
        let x = || value(tensor(DType::U8, &[1], &[1.0]));
        let error = refusal(&OPERATOR, &[], &[x(), value(i64s(&[], &[1]))]);
        assert_eq!(
            error.to_string(),
            "dtype i64 is not supported for the output of DequantizeLinear; supported: floats"
        );
    }
}
