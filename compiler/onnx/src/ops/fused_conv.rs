//! FusedConv and FusedGemm of ONNX Runtime: Conv or Gemm, a sum, and an activation behind it.
//!
//! <https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#commicrosoftfusedconv>
//!
//! `activation` is Relu, Tanh, Sigmoid, LeakyRelu, HardSigmoid or Clip; `activation_params` (of FusedGemm: `activation_alpha` and
//! `activation_beta`) are alpha and beta, or the bounds. FusedConv adds its fourth input before.
//!
//! Dtypes: those of the operator and the activation.

use std::collections::BTreeMap;

use graph::builder::BuildError;
use graph::expr::BinOp;
use graph::graph::ValueId;

use super::{clip, conv, gemm, hard_sigmoid, leaky_relu, relu, sigmoid, tanh};
use crate::inner;
use crate::operator::{AttrKind, AttrValue, Ctx, Operator, attr, between, exactly};
use crate::pointwise::Outputs;
use crate::sliding;

pub const OPERATOR: Operator = Operator {
    name: "FusedConv",
    domain: "com.microsoft",
    versions: &[1],
    inputs: between(2, 4),
    outputs: exactly(1),
    attrs: &[
        sliding::ATTRS[0],
        sliding::ATTRS[1],
        sliding::ATTRS[2],
        sliding::ATTRS[3],
        sliding::ATTRS[4],
        attr("group", AttrKind::Int),
        attr("activation", AttrKind::String),
        attr("activation_params", AttrKind::Floats),
    ],
    build: fused_conv,
};

pub const FUSED_GEMM_OPERATOR: Operator = Operator {
    name: "FusedGemm",
    domain: "com.microsoft",
    versions: &[1],
    inputs: between(2, 3),
    outputs: exactly(1),
    attrs: &[
        attr("alpha", AttrKind::Float),
        attr("beta", AttrKind::Float),
        attr("transA", AttrKind::Int),
        attr("transB", AttrKind::Int),
        attr("activation", AttrKind::String),
        attr("activation_alpha", AttrKind::Float),
        attr("activation_beta", AttrKind::Float),
        attr("activation_gamma", AttrKind::Float),
    ],
    build: fused_gemm,
};

fn fused_conv(ctx: &mut Ctx<'_>) -> Outputs {
    let operands: Vec<ValueId> = [ctx.input(0)?, ctx.input(1)?].into_iter().chain(ctx.optional(2)?).collect();
    let mut y = inner::one(ctx, &conv::OPERATOR, 22, &operands, ctx.attrs)?;
    if let Some(other) = ctx.optional(3)? {
        y = ctx.b.binary(BinOp::Add, y, other)?;
    }
    let parameters = ctx.floats("activation_params").unwrap_or_default().to_vec();
    activated(ctx, y, &parameters)
}

fn fused_gemm(ctx: &mut Ctx<'_>) -> Outputs {
    let operands = ctx.all_inputs()?;
    let y = inner::one(ctx, &gemm::OPERATOR, 13, &operands, ctx.attrs)?;
    let parameters: Vec<f32> = ["activation_alpha", "activation_beta"].iter().filter_map(|n| ctx.float(n)).collect();
    activated(ctx, y, &parameters)
}

fn activated(ctx: &mut Ctx<'_>, y: ValueId, parameters: &[f32]) -> Outputs {
    let name = ctx.string("activation").unwrap_or_default();
    // The operator, an opset whose rules take its parameters as attributes, and their names.
    let (op, opset, names): (&Operator, i64, &[&str]) = match name {
        "" => return Ok(vec![y.into()]),
        "Relu" => (&relu::OPERATOR, 14, &[]),
        "Tanh" => (&tanh::OPERATOR, 13, &[]),
        "Sigmoid" => (&sigmoid::OPERATOR, 13, &[]),
        "LeakyRelu" => (&leaky_relu::OPERATOR, 16, &["alpha"]),
        "HardSigmoid" => (&hard_sigmoid::OPERATOR, 22, &["alpha", "beta"]),
        "Clip" => (&clip::OPERATOR, 6, &["min", "max"]),
        other => {
            return Err(BuildError::Attr {
                name: "activation".to_string(),
                expected: "Relu, Tanh, Sigmoid, LeakyRelu, HardSigmoid or Clip".to_string(),
                found: other.to_string(),
            });
        }
    };
    let attrs: BTreeMap<String, AttrValue> =
        names.iter().zip(parameters).map(|(name, v)| (name.to_string(), AttrValue::Float(*v))).collect();
    inner::build(ctx, op, opset, &[y], &attrs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::{check, f32s, float, missing, refusal, string, value};

    fn arguments() -> Vec<crate::ops_testing::Arg> {
        vec![value(f32s(&[1, 1, 2], &[1.0, -4.0])), value(f32s(&[1, 1, 1], &[2.0]))]
    }

    #[test]
    fn a_sum_and_a_bound() {
        let mut inputs = arguments();
        inputs.extend([missing(), value(f32s(&[1, 1, 2], &[10.0, 1.0]))]);
        let attrs = [("activation", string("Clip")), ("activation_params", AttrValue::Floats(vec![-1.0, 6.0]))];
        check(&OPERATOR, &attrs, &inputs, &[f32s(&[1, 1, 2], &[6.0, -1.0])]);
    }

    #[test]
    fn a_slope_behind_a_product() {
        let inputs = [value(f32s(&[1, 1], &[-4.0])), value(f32s(&[1, 1], &[2.0]))];
        let attrs = [("activation", string("LeakyRelu")), ("activation_alpha", float(0.5)), ("alpha", float(2.0))];
        check(&FUSED_GEMM_OPERATOR, &attrs, &inputs, &[f32s(&[1, 1], &[-8.0])]);
    }

    #[test]
    fn an_unknown_activation_is_refused() {
        let error = refusal(&OPERATOR, &[("activation", string("Soft"))], &arguments());
        assert!(error.to_string().contains("attribute activation"), "{error}");
    }
}
