//! ConvInteger: convolution of 8-bit tensors less their zero points, in i32. Padding is the zero point.
//!
//! <https://onnx.ai/onnx/operators/onnx__ConvInteger.html>
//!
//! | opset | change |
//! |---|---|
//! | 10 | first |
//!
//! Dtypes: i8 and u8, in any mixture. Zero points: one of x, one or one an output channel of w.

use graph::builder::BuildError;
use graph::dtype::DType;

use super::conv::attributes;
use crate::operator::{AttrKind, Ctx, Operator, attr, between, exactly};
use crate::quantized_products::centred;
use crate::sliding;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "ConvInteger",
    domain: "",
    versions: &[10],
    inputs: between(2, 4),
    outputs: exactly(1),
    attrs: &[
        sliding::ATTRS[0],
        sliding::ATTRS[1],
        sliding::ATTRS[2],
        sliding::ATTRS[3],
        sliding::ATTRS[4],
        attr("group", AttrKind::Int),
    ],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let (x, w) = (ctx.input(0)?, ctx.input(1)?);
    let (x_zero, w_zero) = (ctx.optional(2)?, ctx.optional(3)?);
    let conv = attributes(ctx, x, w, DType::I32)?;
    let x = centred(ctx.b, x, x_zero, 1)?;
    let w = centred(ctx.b, w, w_zero, 0)?;
    Ok(vec![ctx.b.conv(&conv, x, w)?.into()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::{check, ints, refusal, tensor, value};

    #[test]
    fn padding_is_the_zero_point() {
        let x = tensor(DType::U8, &[1, 1, 2], &[10.0, 12.0]);
        let w = tensor(DType::I8, &[1, 1, 2], &[3.0, -1.0]);
        let zeros = [value(tensor(DType::U8, &[], &[10.0])), value(tensor(DType::I8, &[1], &[1.0]))];
        let inputs = [value(x), value(w), zeros[0].clone(), zeros[1].clone()];
        let y = tensor(DType::I32, &[1, 1, 3], &[0.0, -4.0, 4.0]);
        check(&OPERATOR, &[("pads", ints(&[1, 1]))], &inputs, &[y]);
    }

    #[test]
    fn a_matrix_is_refused() {
        let m = tensor(DType::U8, &[1, 1], &[0.0]);
        let error = refusal(&OPERATOR, &[], &[value(m.clone()), value(m)]);
        assert!(error.to_string().contains("rank 2 of Conv input X"), "{error}");
    }
}
