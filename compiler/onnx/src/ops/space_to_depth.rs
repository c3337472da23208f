//! SpaceToDepth: blocks of the plane moved into channels, the position in the block being the slower part.
//!
//! <https://onnx.ai/onnx/operators/onnx__SpaceToDepth.html>
//!
//! | opset | change |
//! |---|---|
//! | 1 | first |
//! | 13 | bfloat16 |
//!
//! Dtypes: all but strings.

use graph::builder::BuildError;
use graph::dim::{Dim, Pred};

use crate::operator::{AttrKind, Ctx, Operator, exactly, required};
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "SpaceToDepth",
    domain: "",
    versions: &[1, 13],
    inputs: exactly(1),
    outputs: exactly(1),
    attrs: &[required("blocksize", AttrKind::Int)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let x = ctx.input(0)?;
    let ([n, c, h, w], block) = operands(ctx)?;
    for extent in [&h, &w] {
        ctx.b.assume(Pred::Divides(block.clone(), extent.clone()), "SpaceToDepth divides the plane")?;
    }
    let symbols = &ctx.b.model().symbols;
    let (rows, columns) = (symbols.floor_div(&h, &block), symbols.floor_div(&w, &block));
    let split = [&n, &c, &rows, &block, &columns, &block].into_iter().cloned().collect();
    let split = ctx.b.reshape(x, split)?;
    let moved = ctx.b.transpose(split, &[0, 3, 5, 1, 2, 4])?;
    let y = ctx.b.reshape(moved, vec![n, &(&c * &block) * &block, rows, columns])?;
    Ok(vec![y.into()])
}

/// Extents of a tensor of rank 4 and the block size.
fn operands(ctx: &Ctx<'_>) -> Result<([Dim; 4], Dim), BuildError> {
    let shape = ctx.shape(0)?;
    let rank = shape.len();
    let shape = <[Dim; 4]>::try_from(shape).map_err(|_| BuildError::Rank {
        what: format!("the input of {}", ctx.op_type),
        expected: "4".to_string(),
        found: rank,
    })?;
    match ctx.int_or("blocksize", 0) {
        block @ 1.. => Ok((shape, Dim::constant(block))),
        other => Err(BuildError::Attr {
            name: "blocksize".to_string(),
            expected: "1 or more".to_string(),
            found: other.to_string(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{check, f32s, i64s, int, refusal, value};

    #[test]
    fn two_channels() {
        let x = i64s(&[1, 2, 2, 2], &[0, 1, 2, 3, 4, 5, 6, 7]);
        let y = i64s(&[1, 8, 1, 1], &[0, 4, 1, 5, 2, 6, 3, 7]);
        check(&OPERATOR, &[("blocksize", int(2))], &[value(x)], &[y]);
    }

    #[test]
    fn a_matrix_is_refused() {
        let error = refusal(&OPERATOR, &[("blocksize", int(2))], &[value(f32s(&[1, 1], &[1.0]))]);
        assert_eq!(error.to_string(), "rank 2 of the input of SpaceToDepth, expected 4");
    }
}
