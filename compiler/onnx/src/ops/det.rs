//! Det: determinants of the square matrices in the last two dims, by elimination with row pivots.
//!
//! <https://onnx.ai/onnx/operators/onnx__Det.html>
//!
//! | opset | change |
//! |---|---|
//! | 11 | first |
//! | 22 | bfloat16 |
//!
//! Dtypes: all floats, computed in f32 or wider. Matrices of extent 0 give 1.

use graph::builder::{BuildError, Builder};
use graph::dim::Dim;
use graph::dtype::DType;
use graph::expr::UnOp;
use graph::graph::ValueId;
use graph::node::Combiner;
use graph::region::contract::accumulator;
use graph::scalar::Scalar;
use graph::ty::Type;

use crate::operator::{Ctx, Operator, exactly};
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "Det",
    domain: "",
    versions: &[11, 22],
    inputs: exactly(1),
    outputs: exactly(1),
    attrs: &[],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let x = ctx.input(0)?;
    let (shape, dtype) = (ctx.b.shape(x)?, ctx.b.dtype(x)?);
    let [outer @ .., rows, columns] = shape.as_slice() else {
        let what = "Det input X".to_string();
        return Err(BuildError::Rank { what, expected: "2 or more".to_string(), found: shape.len() });
    };
    ctx.b.assume_equal(rows, columns, "a determinant is of a square matrix")?;
    let count = Dim::product(outer);
    let wide = accumulator(dtype);
    let flat = ctx.b.reshape(x, vec![count.clone(), rows.clone(), columns.clone()])?;
    let flat = ctx.b.cast(flat, wide)?;
    let det = eliminate(ctx.b, flat, &count, rows, wide)?;
    let det = ctx.b.reshape(det, outer.to_vec())?;
    Ok(vec![ctx.b.cast(det, dtype)?.into()])
}

/// One step a column: the row with the largest element there changes places with the current one and is taken off the rows
/// below. The determinant is the product of the pivots, with the sign of the exchanges.
fn eliminate(b: &mut Builder, x: ValueId, count: &Dim, rows: &Dim, wide: DType) -> Result<ValueId, BuildError> {
    let one = b.splat(Scalar::from_i64(wide, 1), vec![count.clone()])?;
    let steps = b.compute(&[], vec![rows.clone()], |p| {
        let k = p.index(0);
        p.out(k);
    })?;
    let (matrix_ty, det_ty) = (b.ty(x)?.clone(), b.ty(one)?.clone());
    b.begin_body()?;
    let built: Result<(), BuildError> = (|| {
        let (matrix, det) = (b.input("", matrix_ty), b.input("", det_ty));
        let step = b.input("", Type::tensor(DType::I64, []));
        let shape = b.shape(matrix)?;
        let pivot = b.compute(&[matrix, step], vec![count.clone()], |p| {
            let (n, row, k) = (p.index(0), p.reduce(rows), p.load(1, &[]));
            let value = p.load(0, &[n, row, k]);
            let size = p.unary(UnOp::Abs, value);
            let (done, none) = (p.lt(row, k), p.number(wide, -1.0));
            let size = p.select(done, none, size);
            let best = p.acc(Combiner::ArgMax { last: false }, size);
            p.out(best);
        })?;
        let det = b.compute(&[det, matrix, pivot, step], vec![count.clone()], |p| {
            let n = p.index(0);
            let (so_far, row, k) = (p.load(0, &[n]), p.load(2, &[n]), p.load(3, &[]));
            let value = p.load(1, &[n, row, k]);
            let negated = p.unary(UnOp::Neg, value);
            let stays = p.eq(row, k);
            let signed = p.select(stays, value, negated);
            let det = p.mul(so_far, signed);
            p.out(det);
        })?;
        let matrix = b.compute(&[matrix, pivot, step], shape, |p| {
            let (n, i, j) = (p.index(0), p.index(1), p.index(2));
            let (row, k) = (p.load(1, &[n]), p.load(2, &[]));
            let (is_pivot, is_step) = (p.eq(i, row), p.eq(i, k));
            let other = p.select(is_pivot, k, i);
            let source = p.select(is_step, row, other);
            let value = p.load(0, &[n, source, j]);
            let (factor, top) = (p.load(0, &[n, source, k]), p.load(0, &[n, row, k]));
            let above = p.load(0, &[n, row, j]);
            let zero = p.zero(wide);
            let singular = p.eq(top, zero);
            let ratio = p.div(factor, top);
            let ratio = p.select(singular, zero, ratio);
            let part = p.mul(ratio, above);
            let reduced = p.sub(value, part);
            let below = p.lt(k, i);
            let value = p.select(below, reduced, value);
            p.out(value);
        })?;
        b.output(matrix);
        b.output(det);
        Ok(())
    })();
    let body = b.end_body();
    built?;
    let results = b.scan(rows.clone(), 2, 1, vec![x, one, steps], body)?;
    results.get(1).copied().ok_or(BuildError::Results { expected: 2, found: results.len() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::{check, f32s, refusal, value};

    #[test]
    fn pivots_and_singular_matrices() {
        let x = [0.0, 2.0, 3.0, 4.0, 1.0, 2.0, 2.0, 4.0];
        check(&OPERATOR, &[], &[value(f32s(&[2, 2, 2], &x))], &[f32s(&[2], &[-6.0, 0.0])]);
        let x = [2.0, 0.0, 1.0, 1.0, 3.0, 2.0, 1.0, 1.0, 1.0];
        check(&OPERATOR, &[], &[value(f32s(&[3, 3], &x))], &[f32s(&[], &[0.0])]);
    }

    #[test]
    fn an_oblong_is_refused() {
        let error = refusal(&OPERATOR, &[], &[value(f32s(&[1, 2], &[0.0; 2]))]);
        assert!(error.to_string().contains("a square matrix"), "{error}");
    }
}
