//! ScatterND: `output = data`, then `output[indices[i]] = updates[i]` (or combined), where an index addresses an element or
//! a slice.
//!
//! <https://onnx.ai/onnx/operators/onnx__ScatterND.html>
//!
//! | opset | change |
//! |---|---|
//! | 11 | first |
//! | 13 | bfloat16 |
//! | 16 | `reduction`: none, add, mul |
//! | 18 | `reduction`: max, min |
//!
//! Dtypes: all; reductions for numbers. Without a reduction the later of two updates wins. Indices out of range are skipped.
//! Refused: indices whose last extent is not a constant.

use graph::builder::{BuildError, wrap_index};
use graph::dim::Dim;

use crate::operator::{AttrKind, Ctx, Operator, attr, exactly};
use crate::scatter_mode::scatter_mode;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "ScatterND",
    domain: "",
    versions: &[11, 13, 16, 18],
    inputs: exactly(3),
    outputs: exactly(1),
    attrs: &[attr("reduction", AttrKind::String)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let mode = scatter_mode(ctx)?;
    let operands = [ctx.input(0)?, ctx.input(1)?, ctx.input(2)?];
    let (base, indices, updates) = (ctx.shape(0)?, ctx.shape(1)?, ctx.shape(2)?);
    let Some((last, batch)) = indices.split_last() else {
        return Err(BuildError::Rank { what: "indices of ScatterND".into(), expected: "at least 1".into(), found: 0 });
    };
    let depth = last.as_size().filter(|d| *d <= base.len()).ok_or_else(|| BuildError::Unsupported {
        what: format!("indices of ScatterND with last extent {last:?}"),
        closest: format!("a constant of at most {}", base.len()),
    })?;
    let expected: Vec<Dim> = batch.iter().chain(&base[depth..]).cloned().collect();
    if expected.len() != updates.len() {
        let found = updates.len();
        return Err(BuildError::Rank {
            what: "updates of ScatterND".into(),
            expected: expected.len().to_string(),
            found,
        });
    }
    for (a, b) in expected.iter().zip(&updates) {
        ctx.b.assume_equal(a, b, "updates of ScatterND fit its indices")?;
    }
    let y = ctx.b.scatter(&operands, updates, mode, |p| {
        let at = p.indices();
        let mut index = Vec::with_capacity(base.len());
        for (d, extent) in base.iter().enumerate().take(depth) {
            let mut place = at[..batch.len()].to_vec();
            place.push(p.int(d as i64));
            let position = p.load(1, &place);
            index.push(wrap_index(p, position, extent));
        }
        index.extend_from_slice(&at[batch.len()..]);
        let value = p.load(2, &at);
        (index, value)
    })?;
    Ok(vec![y.into()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::*;

    #[test]
    fn slices_are_updated_as_a_whole() {
        let inputs = [
            value(i64s(&[3, 2], &[1, 2, 3, 4, 5, 6])),
            value(i64s(&[2, 1], &[-1, 0])),
            value(i64s(&[2, 2], &[10, 1, 0, 9])),
        ];
        check(&OPERATOR, &[("reduction", string("max"))], &inputs, &[i64s(&[3, 2], &[1, 9, 3, 4, 10, 6])]);
    }

    #[test]
    fn indices_deeper_than_the_data_are_refused() {
        let inputs = [value(i64s(&[1], &[1])), value(i64s(&[1, 2], &[0, 0])), value(i64s(&[1], &[1]))];
        assert!(refusal(&OPERATOR, &[], &inputs).to_string().contains("at most 1"));
    }
}
