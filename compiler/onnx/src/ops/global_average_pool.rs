//! GlobalAveragePool: the mean of each channel over all spatial dims, which stay with extent 1.
//!
//! <https://onnx.ai/onnx/operators/onnx__GlobalAveragePool.html>
//!
//! | opset | change |
//! |---|---|
//! | 1 | first |
//! | 22 | bfloat16 |
//!
//! Dtypes: all floats, summed in f32 or wider. Refused: no spatial dim.

use graph::builder::BuildError;
use graph::dim::Dim;
use graph::node::Combiner;
use graph::region::contract::accumulator;

use crate::operator::{Ctx, Operator, exactly};
use crate::sliding;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "GlobalAveragePool",
    domain: "",
    versions: &[1, 22],
    inputs: exactly(1),
    outputs: exactly(1),
    attrs: &[],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let x = ctx.input(0)?;
    let (shape, dtype) = (ctx.b.shape(x)?, ctx.b.dtype(x)?);
    let count = Dim::product(&sliding::spatial(&shape, "GlobalAveragePool input X")?);
    let axes: Vec<usize> = (2..shape.len()).collect();
    let wide = accumulator(dtype);
    let y = ctx.b.reduce_with(
        x,
        &axes,
        true,
        Combiner::Sum,
        |p, e| p.cast(e, wide),
        |p, sum| {
            let count = p.dim(&count);
            let count = p.cast(count, wide);
            let mean = p.div(sum, count);
            p.cast(mean, dtype)
        },
    )?;
    Ok(vec![y.into()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::{check, f32s, refusal, value};

    #[test]
    fn one_spatial_dim() {
        let x = f32s(&[1, 2, 3], &[1.0, 2.0, 6.0, -1.0, 0.0, 1.0]);
        check(&OPERATOR, &[], &[value(x)], &[f32s(&[1, 2, 1], &[3.0, 0.0])]);
    }

    #[test]
    fn a_matrix_is_refused() {
        let error = refusal(&OPERATOR, &[], &[value(f32s(&[1, 1], &[0.0]))]);
        assert!(error.to_string().contains("rank 2 of GlobalAveragePool input X"), "{error}");
    }
}
