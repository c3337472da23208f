//! Dropout: the input itself, and a mask of trues. A model that is run does not drop.
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
//!
//! Refused: training with a ratio that is not 0.

use graph::builder::BuildError;
use graph::dtype::DType;
use graph::scalar::Scalar;

use crate::operator::{AttrKind, Ctx, Operator, attr, between};
use crate::pointwise;
use crate::value::ImportValue;

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
    if trains(ctx)? {
        return Err(BuildError::Unsupported {
            what: "Dropout in training".to_string(),
            closest: "training_mode false, or a ratio of 0".to_string(),
        });
    }
    let mut outputs = vec![x.into()];
    if ctx.wants(1) {
        let dtype = if ctx.opset < 10 { ctx.dtype(0)? } else { DType::Bool };
        let shape = ctx.shape(0)?;
        outputs.push(ctx.b.splat(Scalar::from_i64(dtype, 1), shape)?.into());
    }
    Ok(outputs)
}

/// Whether elements are dropped.
fn trains(ctx: &mut Ctx<'_>) -> Result<bool, BuildError> {
    if ctx.opset < 7 {
        return Ok(ctx.int_or("is_test", 0) == 0 && ctx.float_or("ratio", 0.5) != 0.0);
    }
    let (ratio, mode) = (ctx.optional(1)?, ctx.optional(2)?);
    let Some(mode) = mode else { return Ok(false) };
    let known = ctx.b.const_tensor(mode).and_then(|t| t.get(0)).map(|s| s.as_i64() != 0);
    let ratio = ratio.and_then(|r| ctx.b.const_tensor(r)).and_then(|t| t.get(0)).map(|s| s.as_f64());
    Ok(known != Some(false) && ratio != Some(0.0))
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{Case, bools, constant, f32s, missing, refusal, value};

    #[test]
    fn mask_of_either_dtype() {
        let x = f32s(&[2], &[1.0, 2.0]);
        let case = Case::new(&OPERATOR).value(x.clone()).outputs(2);
        case.expect(&[x.clone(), bools(&[2], &[true; 2])]);
        case.opset(7).expect(&[x, f32s(&[2], &[1.0; 2])]);
    }

    #[test]
    fn training_is_refused() {
        let inputs = [value(f32s(&[1], &[1.0])), missing(), constant(bools(&[], &[true]))];
        let error = refusal(&OPERATOR, &[], &inputs);
        assert!(error.to_string().starts_with("Dropout in training is not supported"), "{error}");
    }
}
