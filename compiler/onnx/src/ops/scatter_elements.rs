//! ScatterElements: `output = data`, then `output[..., indices[i], ...] = updates[i]` (or combined with what is there) along
//! an axis.
//!
//! <https://onnx.ai/onnx/operators/onnx__ScatterElements.html>
//!
//! | opset | change |
//! |---|---|
//! | 11 | first, in place of Scatter |
//! | 13 | bfloat16 |
//! | 16 | `reduction`: none, add, mul |
//! | 18 | `reduction`: max, min |
//!
//! Dtypes: all; reductions for numbers. Without a reduction the later of two updates wins. Indices out of range are skipped.

use graph::builder::{BuildError, wrap_index};

use crate::operator::{AttrKind, Ctx, Operator, attr, exactly};
use crate::scatter_mode::scatter_mode;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "ScatterElements",
    domain: "",
    versions: &[11, 13, 16, 18],
    inputs: exactly(3),
    outputs: exactly(1),
    attrs: &[attr("axis", AttrKind::Int), attr("reduction", AttrKind::String)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let mode = scatter_mode(ctx)?;
    let operands = [ctx.input(0)?, ctx.input(1)?, ctx.input(2)?];
    let (base, domain, updates) = (ctx.shape(0)?, ctx.shape(1)?, ctx.shape(2)?);
    for found in [domain.len(), updates.len()] {
        if found != base.len() {
            let expected = base.len().to_string();
            return Err(BuildError::Rank { what: format!("indices or updates of {}", ctx.op_type), expected, found });
        }
    }
    let axis = ctx.b.axis(ctx.int_or("axis", 0), base.len())?;
    for (a, b) in domain.iter().zip(&updates) {
        ctx.b.assume_equal(a, b, "indices and updates have one shape")?;
    }
    let y = ctx.b.scatter(&operands, domain, mode, |p| {
        let mut index = p.indices();
        let position = p.load(1, &index);
        let value = p.load(2, &index);
        index[axis] = wrap_index(p, position, &base[axis]);
        (index, value)
    })?;
    Ok(vec![y.into()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::*;

    #[test]
    fn negative_indices_count_from_the_end_and_sums_meet() {
        let inputs = [
            value(f32s(&[1, 3], &[1.0, 2.0, 3.0])),
            value(i64s(&[1, 3], &[-1, 2, 0])),
            value(f32s(&[1, 3], &[10.0, 20.0, 30.0])),
        ];
        let attrs = [("axis", int(-1)), ("reduction", string("add"))];
        check(&OPERATOR, &attrs, &inputs, &[f32s(&[1, 3], &[31.0, 2.0, 33.0])]);
    }

    #[test]
    fn an_unknown_reduction_is_refused() {
        let inputs = [value(i64s(&[1], &[1])), value(i64s(&[1], &[0])), value(i64s(&[1], &[1]))];
        assert!(refusal(&OPERATOR, &[("reduction", string("mean"))], &inputs).to_string().contains("mean"));
    }
}
