//! NonZero: `Y[d, k]` is the index along dim `d` of the `k`-th non-zero element in row-major order.
//!
//! <https://onnx.ai/onnx/operators/onnx__NonZero.html>
//!
//! | opset | change |
//! |---|---|
//! | 9 | first |
//! | 13 | bfloat16 |
//!
//! Dtypes: all but strings (refused). NaN is not zero. A scalar gives shape `[0, n]`.

use graph::builder::BuildError;
use graph::dim::Dim;
use graph::dtype::DType;
use graph::expr::BinOp;

use crate::operator::{Ctx, Operator, exactly};
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "NonZero",
    domain: "",
    versions: &[9, 13],
    inputs: exactly(1),
    outputs: exactly(1),
    attrs: &[],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let x = ctx.input(0)?;
    let ty = ctx.b.tensor(x)?.clone();
    if ty.dtype == DType::Str {
        return Err(BuildError::DType { what: "NonZero".into(), expected: "numbers and bool".into(), found: ty.dtype });
    }
    let flat = ctx.b.reshape(x, vec![ty.count()])?;
    let mask = ctx.b.map(&[flat], |p, v| {
        let zero = p.zero(ty.dtype);
        p.ne(v[0], zero)
    })?;
    let (positions, count) = ctx.b.positions(mask)?;
    let y = ctx.b.compute(&[positions], vec![Dim::from(ty.rank()), count], |p| {
        let (dim, k) = (p.index(0), p.index(1));
        let mut rest = p.load(0, &[k]);
        let mut value = p.int(0);
        for (d, extent) in ty.shape.iter().enumerate().rev() {
            let (here, extent) = (p.int(d as i64), p.dim(extent));
            let hit = p.eq(dim, here);
            let index = p.binary(BinOp::Mod, rest, extent);
            value = p.select(hit, index, value);
            rest = p.binary(BinOp::FloorDiv, rest, extent);
        }
        p.out(value);
    })?;
    Ok(vec![y.into()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::*;
    use graph::tensor::Tensor;

    #[test]
    fn nan_counts_and_order_is_row_major() {
        let x = f32s(&[2, 3], &[0.0, f32::NAN, 2.0, -0.0, 0.0, 1.0]);
        check(&OPERATOR, &[], &[value(x)], &[i64s(&[2, 3], &[0, 0, 1, 1, 2, 2])]);
    }

    #[test]
    fn nothing_found_is_an_empty_result() {
        check(&OPERATOR, &[], &[value(i64s(&[2], &[0, 0]))], &[i64s(&[1, 0], &[])]);
    }

    #[test]
    fn strings_are_refused() {
        let x = Tensor::from_strings(vec![1], vec!["a".into()]).unwrap();
        assert!(refusal(&OPERATOR, &[], &[value(x)]).to_string().contains("str"));
    }
}
