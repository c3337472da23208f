//! Trilu: the upper or lower triangle of the last two dims, from diagonal `k` on; 0 elsewhere.
//!
//! <https://onnx.ai/onnx/operators/onnx__Trilu.html>
//!
//! | opset | change |
//! |---|---|
//! | 14 | first |
//!
//! Dtypes: all but strings.

use graph::builder::BuildError;
use graph::graph::ValueId;

use crate::operator::{AttrKind, Ctx, Operator, attr, between, exactly};
use crate::pointwise;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "Trilu",
    domain: "",
    versions: &[14],
    inputs: between(1, 2),
    outputs: exactly(1),
    attrs: &[attr("upper", AttrKind::Int)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let x = ctx.input(0)?;
    let shape = ctx.shape(0)?;
    let upper = ctx.int_or("upper", 1) != 0;
    let k = pointwise::scalar(ctx, 1)?;
    let Some(row) = shape.len().checked_sub(2) else {
        return Err(BuildError::Rank {
            what: "the input of Trilu".to_string(),
            expected: "2 or more".to_string(),
            found: shape.len(),
        });
    };
    let operands: Vec<ValueId> = std::iter::once(x).chain(k).collect();
    let y = ctx.b.compute(&operands, shape, |p| {
        let index = p.indices();
        let k = if k.is_some() { p.load(1, &[]) } else { p.int(0) };
        let distance = p.sub(index[row + 1], index[row]);
        let inside = if upper { p.le(k, distance) } else { p.le(distance, k) };
        let value = p.load(0, &index);
        let dtype = p.dtype(value);
        let zero = p.zero(dtype);
        let value = p.select(inside, value, zero);
        p.out(value);
    })?;
    Ok(vec![y.into()])
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{check, i64s, int, refusal, value};

    #[test]
    fn lower_triangle_above_the_diagonal() {
        let x = i64s(&[2, 3], &[1, 2, 3, 4, 5, 6]);
        let inputs = [value(x), value(i64s(&[], &[1]))];
        check(&OPERATOR, &[("upper", int(0))], &inputs, &[i64s(&[2, 3], &[1, 2, 0, 4, 5, 6])]);
    }

    #[test]
    fn a_vector_is_refused() {
        let error = refusal(&OPERATOR, &[], &[value(i64s(&[1], &[0]))]);
        assert_eq!(error.to_string(), "rank 1 of the input of Trilu, expected 2 or more");
    }
}
