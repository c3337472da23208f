//! TensorScatter: writes an update into a cache, of each sample at its own position along an axis.
//!
//! <https://onnx.ai/onnx/operators/onnx__TensorScatter.html>
//!
//! | opset | change |
//! |---|---|
//! | 24 | first |
//!
//! Dtypes: all. Beyond the end of the cache `linear` writes nothing, `circular` goes on at its start. Refused: axis 0.

use graph::builder::BuildError;
use graph::dtype::DType;
use graph::expr::BinOp;
use graph::node::ScatterMode;

use crate::operator::{AttrKind, Ctx, Operator, attr, between, exactly};
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "TensorScatter",
    domain: "",
    versions: &[24],
    inputs: between(2, 3),
    outputs: exactly(1),
    attrs: &[attr("axis", AttrKind::Int), attr("mode", AttrKind::String)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let (cache, update, positions) = (ctx.input(0)?, ctx.input(1)?, ctx.optional(2)?);
    let (shape, domain) = (ctx.b.shape(cache)?, ctx.b.shape(update)?);
    let axis = ctx.b.axis(ctx.int_or("axis", -2), shape.len())?;
    if axis == 0 || domain.len() != shape.len() {
        return Err(BuildError::Operand {
            what: "axis and update of TensorScatter".to_string(),
            expected: "an axis behind the batch, an update of the cache's rank".to_string(),
            found: format!("axis {axis}, rank {}", domain.len()),
        });
    }
    for (d, (own, other)) in shape.iter().zip(&domain).enumerate() {
        if d != axis {
            ctx.b.assume_equal(own, other, "extents of cache and update")?;
        }
    }
    let circular = match ctx.string("mode").unwrap_or("linear") {
        "linear" => false,
        "circular" => true,
        other => {
            return Err(BuildError::Attr {
                name: "mode".to_string(),
                expected: "linear or circular".to_string(),
                found: other.to_string(),
            });
        }
    };
    let operands: Vec<_> = [cache, update].into_iter().chain(positions).collect();
    let y = ctx.b.scatter(&operands, domain, ScatterMode::Last, |p| {
        let index = p.indices();
        let value = p.load(1, &index);
        let mut at = index.clone();
        if positions.is_some() {
            let start = p.load(2, &index[..1]);
            let start = p.cast(start, DType::I64);
            at[axis] = p.add(start, index[axis]);
        }
        if circular {
            let extent = p.dim(&shape[axis]);
            at[axis] = p.binary(BinOp::Mod, at[axis], extent);
        }
        (at, value)
    })?;
    Ok(vec![y.into()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::{check, f32s, i64s, int, refusal, string, value};

    #[test]
    fn around_the_end() {
        let inputs = [
            value(f32s(&[2, 3, 1], &[0.0; 6])),
            value(f32s(&[2, 2, 1], &[1.0, 2.0, 3.0, 4.0])),
            value(i64s(&[2], &[2, 0])),
        ];
        let circular = f32s(&[2, 3, 1], &[2.0, 0.0, 1.0, 3.0, 4.0, 0.0]);
        check(&OPERATOR, &[("mode", string("circular"))], &inputs, &[circular]);
        check(&OPERATOR, &[], &inputs, &[f32s(&[2, 3, 1], &[0.0, 0.0, 1.0, 3.0, 4.0, 0.0])]);
    }

    #[test]
    fn the_batch_axis_is_refused() {
        let x = f32s(&[1, 1], &[0.0]);
        let error = refusal(&OPERATOR, &[("axis", int(0))], &[value(x.clone()), value(x)]);
        assert!(error.to_string().contains("an axis behind the batch"), "{error}");
    }
}
