//! MeanVarianceNormalization: `(x - mean) / (deviation + 1e-9)` over axes.
//!
//! <https://onnx.ai/onnx/operators/onnx__MeanVarianceNormalization.html>
//!
//! | opset | change |
//! |---|---|
//! | 9 | first |
//! | 13 | bfloat16 |
//!
//! Dtypes: all floats; statistics in f32 or wider. The small number stands as its square beside the variance, which differs
//! only where the deviation is itself that small.

use graph::builder::BuildError;
use graph::region::contract::accumulator;
use graph::region::norm::Norm;
use graph::scalar::Scalar;

use crate::operator::{AttrKind, Ctx, Operator, attr, exactly};
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "MeanVarianceNormalization",
    domain: "",
    versions: &[9, 13],
    inputs: exactly(1),
    outputs: exactly(1),
    attrs: &[attr("axes", AttrKind::Ints)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let x = ctx.input(0)?;
    let rank = ctx.b.rank(x)?;
    let axes = ctx.ints("axes").unwrap_or(&[0, 2, 3]).to_vec();
    let axes = axes.into_iter().map(|a| ctx.b.axis(a, rank)).collect::<Result<Vec<_>, _>>()?;
    let stats = accumulator(ctx.b.dtype(x)?);
    let norm = Norm { axes, center: true, eps: Scalar::f32(1e-18), stats };
    Ok(vec![ctx.b.norm(&norm, x)?.value.into()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::{check, f32s, ints, refusal, value};

    #[test]
    fn a_constant_row_gives_zero() {
        let x = f32s(&[2, 2], &[5.0, 5.0, 1.0, 3.0]);
        check(&OPERATOR, &[("axes", ints(&[-1]))], &[value(x)], &[f32s(&[2, 2], &[0.0, 0.0, -1.0, 1.0])]);
    }

    #[test]
    fn the_default_axes_need_rank_four() {
        let error = refusal(&OPERATOR, &[], &[value(f32s(&[1, 1, 1], &[0.0]))]);
        assert_eq!(error.to_string(), "axis 3 is outside -3..3");
    }
}
