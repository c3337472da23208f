//! FusedMatMul of ONNX Runtime: `alpha * A B`, both transposed as attributes say.
//!
//! <https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#commicrosoftfusedmatmul>
//!
//! `transA` and `transB` swap the last two dims; `transBatchA` and `transBatchB` say that the first dim stands before the batch dims
//! and belongs behind them. Vectors stay as they are.
//!
//! Dtypes: all floats, summed in f32 or wider and rounded once.

use graph::builder::{BuildError, Builder};
use graph::graph::ValueId;
use graph::region::contract::accumulator;

use super::mat_mul::mat_mul;
use crate::operator::{AttrKind, Ctx, Operator, attr, exactly};
use crate::pointwise;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "FusedMatMul",
    domain: "com.microsoft",
    versions: &[1],
    inputs: exactly(2),
    outputs: exactly(1),
    attrs: &[
        attr("alpha", AttrKind::Float),
        attr("transA", AttrKind::Int),
        attr("transB", AttrKind::Int),
        attr("transBatchA", AttrKind::Int),
        attr("transBatchB", AttrKind::Int),
    ],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    pointwise::require_class(ctx, 0, pointwise::FLOATS)?;
    let dtype = ctx.dtype(0)?;
    let is = |name: &str| ctx.int_or(name, 0) != 0;
    let (a_swaps, b_swaps) = ((is("transBatchA"), is("transA")), (is("transBatchB"), is("transB")));
    let (a, b) = (ctx.input(0)?, ctx.input(1)?);
    let (a, b) = (swapped(ctx.b, a, a_swaps)?, swapped(ctx.b, b, b_swaps)?);
    let alpha = f64::from(ctx.float_or("alpha", 1.0));
    let product = mat_mul(ctx.b, a, b, accumulator(dtype))?;
    let y = ctx.b.map(&[product], |p, v| {
        let factor = p.number(p.dtype(v[0]), alpha);
        let scaled = if alpha == 1.0 { v[0] } else { p.mul(v[0], factor) };
        p.cast(scaled, dtype)
    })?;
    Ok(vec![y.into()])
}

fn swapped(b: &mut Builder, x: ValueId, (batch, last): (bool, bool)) -> Result<ValueId, BuildError> {
    let rank = b.rank(x)?;
    if rank < 2 {
        return Ok(x);
    }
    let mut perm: Vec<usize> = (0..rank).collect();
    if batch {
        perm[..rank - 1].rotate_left(1);
    }
    if last {
        perm.swap(rank - 2, rank - 1);
    }
    b.transpose(x, &perm)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::{check, f32s, float, i64s, int, refusal, value};

    #[test]
    fn scaled_and_transposed() {
        let (a, b) = (f32s(&[2, 1], &[1.0, 2.0]), f32s(&[1, 2], &[3.0, 4.0]));
        let attrs = [("transA", int(1)), ("transB", int(1)), ("alpha", float(0.5))];
        check(&OPERATOR, &attrs, &[value(a), value(b)], &[f32s(&[1, 1], &[5.5])]);
    }

    #[test]
    fn rows_before_batches() {
        let a = f32s(&[2, 3, 1], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let y = f32s(&[3, 2, 1], &[2.0, 8.0, 4.0, 10.0, 6.0, 12.0]);
        check(&OPERATOR, &[("transBatchA", int(1))], &[value(a), value(f32s(&[1, 1], &[2.0]))], &[y]);
    }

    #[test]
    fn integers_are_refused() {
        let x = || value(i64s(&[1, 1], &[1]));
        let error = refusal(&OPERATOR, &[], &[x(), x()]);
        assert!(error.to_string().contains("supported: floats"), "{error}");
    }
}
