//! QuantizeLinear: `saturate(round(x / y_scale) + y_zero_point)`, ties to even; per tensor, per index along `axis`, or per block.
//!
//! <https://onnx.ai/onnx/operators/onnx__QuantizeLinear.html>
//!
//! | opset | change |
//! |---|---|
//! | 10 | first |
//! | 13 | attribute `axis` |
//! | 19 | 8-bit floats, bfloat16, float16; attribute `saturate` |
//! | 21 | 4-bit integers, int16, uint16; attributes `block_size`, `output_dtype` |
//! | 23 | float4e2m1; attribute `precision` |
//! | 24 | float8e8m0 |
//! | 25 | 2-bit integers |
//!
//! Dtypes: bfloat16, float16, float32, int32.

use graph::builder::BuildError;
use graph::dtype::DType;
use graph::region::quantize::Quantize;

use crate::operator::{AttrKind, Ctx, Operator, attr, between, exactly};
use crate::value::ImportValue;
use crate::{pointwise, quantization};

pub const OPERATOR: Operator = Operator {
    name: "QuantizeLinear",
    domain: "",
    versions: &[10, 13, 19, 21, 23, 24, 25],
    inputs: between(2, 3),
    outputs: exactly(1),
    attrs: &[
        attr("axis", AttrKind::Int),
        attr("block_size", AttrKind::Int),
        attr("output_dtype", AttrKind::Int),
        attr("precision", AttrKind::Int),
        attr("saturate", AttrKind::Int),
    ],
    build,
};

/// As ONNX Runtime's tools write it for dtypes that an older opset does not have.
pub const MICROSOFT_OPERATOR: Operator = Operator { domain: "com.microsoft", versions: &[1], ..OPERATOR };

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let x = ctx.input(0)?;
    pointwise::require_class(ctx, 0, pointwise::NUMBERS)?;
    let mut parameters = quantization::parameters(ctx)?;
    let named = ctx.dtype_or_none("output_dtype")?;
    let to = match (parameters.zero_point, named) {
        (Some(zero_point), _) => ctx.b.dtype(zero_point)?,
        (None, Some(dtype)) => dtype,
        (None, None) => DType::U8,
    };
    if named.is_some_and(|named| named != to) {
        return Err(BuildError::Attr {
            name: "output_dtype".to_string(),
            expected: format!("{to}, as y_zero_point has"),
            found: format!("{named:?}"),
        });
    }
    if to.is_float() && to != DType::F4E2M1 {
        parameters.zero_point = None;
    }
    let precision = match (ctx.dtype_or_none("precision")?, ctx.b.dtype(parameters.scale)?) {
        (Some(precision), _) => precision,
        (None, scale) if scale.is_float() && scale.bits() >= 16 => scale,
        (None, _) => DType::F32,
    };
    let saturate = ctx.int_or("saturate", 1) != 0;
    let quantize = Quantize { to, precision, axis: parameters.axis, block: parameters.block, saturate };
    let y = ctx.b.quantize(quantize, x, parameters.scale, parameters.zero_point)?;
    Ok(vec![y.into()])
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{check, f32s, int, refusal, tensor, value};
    use graph::dtype::DType;

    #[test]
    fn ties_and_saturation_per_axis() {
        let x = f32s(&[2, 3], &[1.0, 3.0, -2.0, 1000.0, -1000.0, 5.0]);
        let (scale, zero) = (f32s(&[2], &[2.0, 4.0]), tensor(DType::I8, &[2], &[1.0, -1.0]));
        let y = tensor(DType::I8, &[2, 3], &[1.0, 3.0, 0.0, 127.0, -128.0, 0.0]);
        check(&OPERATOR, &[("axis", int(0))], &[value(x), value(scale), value(zero)], &[y]);
    }

    #[test]
    fn blocks_with_a_rest() {
        let x = f32s(&[1, 3], &[2.0, 4.0, 6.0]);
        let attrs = [("axis", int(1)), ("block_size", int(2))];
        let y = tensor(DType::U8, &[1, 3], &[2.0, 4.0, 3.0]);
        check(&OPERATOR, &attrs, &[value(x), value(f32s(&[1, 2], &[1.0, 2.0]))], &[y]);
    }

    #[test]
    fn a_matrix_of_scales_without_blocks_is_refused() {
        let error = refusal(&OPERATOR, &[], &[value(f32s(&[1, 2], &[1.0; 2])), value(f32s(&[1, 2], &[1.0; 2]))]);
        assert_eq!(error.to_string(), "rank 2 of a scale without block_size, expected 0 or 1");
    }
}
