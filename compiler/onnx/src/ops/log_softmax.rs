//! LogSoftmax: `x - log(sum exp(x))` along an axis.
//!
//! <https://onnx.ai/onnx/operators/onnx__LogSoftmax.html>
//!
//! | opset | change |
//! |---|---|
//! | 1 | first; X counts as a matrix, the dims from `axis` on being its columns; `axis` is 1 by default |
//! | 11 | negative axes |
//! | 13 | one axis, by default the last; bfloat16 |
//!
//! Dtypes: all floats, computed in f32 or wider.

use graph::builder::BuildError;
use graph::region::softmax::Softmax;

use super::softmax::along_axis;
use crate::operator::{AttrKind, Ctx, Operator, attr, exactly};
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "LogSoftmax",
    domain: "",
    versions: &[1, 11, 13],
    inputs: exactly(1),
    outputs: exactly(1),
    attrs: &[attr("axis", AttrKind::Int)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    along_axis(ctx, |b, x, axis| b.softmax(Softmax { axis, log: true }, x))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::{Case, f32s, int, refusal, value};

    #[test]
    fn a_matrix_in_old_versions() {
        let y = f32s(&[1, 2, 2], &[-(4f32.ln()); 4]);
        Case::new(&OPERATOR).opset(1).value(f32s(&[1, 2, 2], &[100.0; 4])).expect(&[y]);
    }

    #[test]
    fn an_axis_that_is_not_there_is_refused() {
        let error = refusal(&OPERATOR, &[("axis", int(-2))], &[value(f32s(&[1], &[0.0]))]);
        assert_eq!(error.to_string(), "axis -2 is outside -1..1");
    }
}
