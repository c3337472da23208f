//! HammingWindow: a window of `size` weights, `25/46 - 21/46 cos(2 pi n / N)`.
//!
//! <https://onnx.ai/onnx/operators/onnx__HammingWindow.html>
//!
//! | opset | change |
//! |---|---|
//! | 17 | first |
//!
//! Dtypes: the size is i32 or i64, maybe computed at run time; the result is any number dtype, computed in f64. N is the size,
//! or one less where the window is not `periodic`.

use graph::builder::BuildError;

use crate::operator::{AttrKind, Ctx, Operator, attr, exactly};
use crate::value::ImportValue;

use super::blackman_window::cosines;

pub const OPERATOR: Operator = Operator {
    name: "HammingWindow",
    domain: "",
    versions: &[17],
    inputs: exactly(1),
    outputs: exactly(1),
    attrs: &[attr("output_datatype", AttrKind::Int), attr("periodic", AttrKind::Int)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    cosines(ctx, [25.0 / 46.0, -21.0 / 46.0, 0.0])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::{check, f32s, i64s, int, refusal, value};

    #[test]
    fn periodic() {
        let y = f32s(&[2], &[4.0 / 46.0, 1.0]);
        check(&OPERATOR, &[("output_datatype", int(1))], &[value(i64s(&[], &[2]))], &[y]);
    }

    #[test]
    fn two_sizes_are_refused() {
        let error = refusal(&OPERATOR, &[], &[value(i64s(&[2], &[1, 1]))]);
        assert!(error.to_string().contains("expected one element, found 2"), "{error}");
    }
}
