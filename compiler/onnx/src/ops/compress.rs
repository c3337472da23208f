//! Compress: the slices along an axis (or the elements of the flattened input) whose condition is true.
//!
//! <https://onnx.ai/onnx/operators/onnx__Compress.html>
//!
//! | opset | change |
//! |---|---|
//! | 9 | first |
//! | 11 | negative axis |
//!
//! Dtypes: all. A condition shorter than the axis counts as false beyond its end.

use graph::builder::BuildError;
use graph::dtype::DType;

use crate::operator::{AttrKind, Ctx, Operator, attr, exactly};
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "Compress",
    domain: "",
    versions: &[9, 11],
    inputs: exactly(2),
    outputs: exactly(1),
    attrs: &[attr("axis", AttrKind::Int)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let (mut x, condition) = (ctx.input(0)?, ctx.input(1)?);
    let ty = ctx.b.tensor(condition)?;
    if ty.dtype != DType::Bool || ty.rank() != 1 {
        return Err(BuildError::Operand {
            what: "condition of Compress".into(),
            expected: "a rank-1 bool tensor".into(),
            found: format!("{} of rank {}", ty.dtype, ty.rank()),
        });
    }
    let axis = match ctx.int("axis") {
        Some(axis) => ctx.b.axis(axis, ctx.b.rank(x)?)?,
        None => {
            let count = ctx.b.tensor(x)?.count();
            x = ctx.b.reshape(x, vec![count])?;
            0
        }
    };
    let extent = ctx.b.shape(x)?.swap_remove(axis);
    let mask = ctx.b.compute(&[condition], vec![extent], |p| {
        let (i, no) = (p.index(0), p.zero(DType::Bool));
        let chosen = p.load_or(0, &[i], no);
        p.out(chosen);
    })?;
    let (positions, _) = ctx.b.positions(mask)?;
    Ok(vec![ctx.b.gather(x, positions, axis)?.into()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::*;

    #[test]
    fn a_short_condition_drops_the_rest() {
        let x = f32s(&[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let y = f32s(&[2, 1], &[2.0, 5.0]);
        check(&OPERATOR, &[("axis", int(-1))], &[value(x), value(bools(&[2], &[false, true]))], &[y]);
    }

    #[test]
    fn strings_move_by_number() {
        let strings = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|w| w.to_string()).collect();
            graph::tensor::Tensor::from_strings(vec![words.len()], words).unwrap()
        };
        let inputs = [value(strings(&["a", "b", "c"])), value(bools(&[3], &[true, false, true]))];
        check(&OPERATOR, &[], &inputs, &[strings(&["a", "c"])]);
    }

    #[test]
    fn a_matrix_condition_is_refused() {
        let args = [value(f32s(&[1], &[1.0])), value(bools(&[1, 1], &[true]))];
        assert!(refusal(&OPERATOR, &[], &args).to_string().contains("rank-1"));
    }
}
