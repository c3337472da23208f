//! Hardmax: 1 at the first largest element along an axis, 0 elsewhere.
//!
//! <https://onnx.ai/onnx/operators/onnx__Hardmax.html>
//!
//! | opset | change |
//! |---|---|
//! | 1 | first; X counts as a matrix, the dims from `axis` on being its columns; `axis` is 1 by default |
//! | 11 | negative axes |
//! | 13 | one axis, by default the last; bfloat16 |
//!
//! Dtypes: all floats.

use graph::builder::BuildError;
use graph::node::Combiner;

use super::softmax::along_axis;
use crate::operator::{AttrKind, Ctx, Operator, attr, exactly};
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "Hardmax",
    domain: "",
    versions: &[1, 11, 13],
    inputs: exactly(1),
    outputs: exactly(1),
    attrs: &[attr("axis", AttrKind::Int)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    along_axis(ctx, |b, x, axis| {
        let (shape, dtype) = (b.shape(x)?, b.dtype(x)?);
        let best = b.reduce(x, &[axis], true, Combiner::ArgMax { last: false })?;
        b.compute(&[best], shape, |p| {
            let mut index = p.indices();
            let here = index[axis];
            index[axis] = p.int(0);
            let best = p.load(0, &index);
            let hit = p.eq(here, best);
            let y = p.cast(hit, dtype);
            p.out(y);
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::{check, f32s, int, refusal, value};

    #[test]
    fn the_first_of_equals_wins() {
        let x = f32s(&[3, 1], &[1.0, 2.0, 2.0]);
        check(&OPERATOR, &[("axis", int(0))], &[value(x)], &[f32s(&[3, 1], &[0.0, 1.0, 0.0])]);
    }

    #[test]
    fn an_axis_that_is_not_there_is_refused() {
        let error = refusal(&OPERATOR, &[("axis", int(3))], &[value(f32s(&[1, 1], &[0.0]))]);
        assert_eq!(error.to_string(), "axis 3 is outside -2..2");
    }
}
