//! EyeLike: a matrix of the input's shape with ones on diagonal `k`.
//!
//! <https://onnx.ai/onnx/operators/onnx__EyeLike.html>
//!
//! | opset | change |
//! |---|---|
//! | 9 | first |
//! | 22 | bfloat16 |
//!
//! Dtypes: all floats, signed integers, unsigned integers, bool.

use graph::builder::BuildError;

use crate::operator::{AttrKind, Ctx, Operator, attr, exactly};
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "EyeLike",
    domain: "",
    versions: &[9, 22],
    inputs: exactly(1),
    outputs: exactly(1),
    attrs: &[attr("dtype", AttrKind::Int), attr("k", AttrKind::Int)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let shape = ctx.shape(0)?;
    if shape.len() != 2 {
        return Err(BuildError::Rank { what: "the input of EyeLike".into(), expected: "2".into(), found: shape.len() });
    }
    let dtype = match ctx.dtype_attr("dtype")? {
        Some(dtype) => dtype,
        None => ctx.dtype(0)?,
    };
    let k = ctx.int_or("k", 0);
    let y = ctx.b.compute(&[], shape, |p| {
        let (row, column, k) = (p.index(0), p.index(1), p.int(k));
        let diagonal = p.add(row, k);
        let on = p.eq(diagonal, column);
        let value = p.cast(on, dtype);
        p.out(value);
    })?;
    Ok(vec![y.into()])
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{check, f32s, i64s, int, refusal, value};

    #[test]
    fn a_diagonal_below() {
        let x = value(f32s(&[2, 3], &[0.0; 6]));
        check(&OPERATOR, &[("k", int(-1)), ("dtype", int(7))], &[x], &[i64s(&[2, 3], &[0, 0, 0, 1, 0, 0])]);
    }

    #[test]
    fn a_vector_is_refused() {
        let error = refusal(&OPERATOR, &[], &[value(f32s(&[1], &[0.0]))]);
        assert_eq!(error.to_string(), "rank 1 of the input of EyeLike, expected 2");
    }
}
