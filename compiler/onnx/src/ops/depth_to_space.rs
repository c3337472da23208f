//! DepthToSpace: channels moved into blocks of the plane; `mode` says whether the block or the channel is the slower part.
//!
//! <https://onnx.ai/onnx/operators/onnx__DepthToSpace.html>
//!
//! | opset | change |
//! |---|---|
//! | 1 | first |
//! | 11 | attribute `mode` |
//! | 13 | bfloat16 |
//!
//! Dtypes: all but strings.

use graph::builder::BuildError;
use graph::dim::{Dim, Pred};

use crate::operator::{AttrKind, Ctx, Operator, attr, exactly, required};
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "DepthToSpace",
    domain: "",
    versions: &[1, 11, 13],
    inputs: exactly(1),
    outputs: exactly(1),
    attrs: &[required("blocksize", AttrKind::Int), attr("mode", AttrKind::String)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let x = ctx.input(0)?;
    let ([n, c, h, w], block) = operands(ctx)?;
    let area = &block * &block;
    ctx.b.assume(Pred::Divides(area.clone(), c.clone()), "DepthToSpace divides the channels")?;
    let depth = ctx.b.model().symbols.floor_div(&c, &area);
    let (split, perm) = match ctx.string("mode").unwrap_or("DCR") {
        "DCR" => ([&n, &block, &block, &depth, &h, &w], [0, 3, 4, 1, 5, 2]),
        "CRD" => ([&n, &depth, &block, &block, &h, &w], [0, 1, 4, 2, 5, 3]),
        other => {
            return Err(BuildError::Attr {
                name: "mode".to_string(),
                expected: "DCR or CRD".to_string(),
                found: other.to_string(),
            });
        }
    };
    let split = ctx.b.reshape(x, split.into_iter().cloned().collect())?;
    let moved = ctx.b.transpose(split, &perm)?;
    let y = ctx.b.reshape(moved, vec![n, depth, &h * &block, &w * &block])?;
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
    use crate::ops_testing::{check, f32s, i64s, int, refusal, string, value};

    #[test]
    fn either_order() {
        let x = i64s(&[1, 8, 1, 1], &[0, 1, 2, 3, 4, 5, 6, 7]);
        let (dcr, crd) =
            (i64s(&[1, 2, 2, 2], &[0, 2, 4, 6, 1, 3, 5, 7]), i64s(&[1, 2, 2, 2], &[0, 1, 2, 3, 4, 5, 6, 7]));
        check(&OPERATOR, &[("blocksize", int(2))], &[value(x.clone())], &[dcr]);
        check(&OPERATOR, &[("blocksize", int(2)), ("mode", string("CRD"))], &[value(x)], &[crd]);
    }

    #[test]
    fn a_matrix_is_refused() {
        let error = refusal(&OPERATOR, &[("blocksize", int(2))], &[value(f32s(&[1, 1], &[1.0]))]);
        assert_eq!(error.to_string(), "rank 2 of the input of DepthToSpace, expected 4");
    }
}
