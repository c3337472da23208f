//! Relu: `max(x, 0)`, NaN stays.
//!
//! <https://onnx.ai/onnx/operators/onnx__Relu.html>
//!
//! | opset | change |
//! |---|---|
//! | 1 | first; attribute `consumed_inputs` without effect |
//! | 6 | that attribute gone |
//! | 13 | bfloat16 |
//! | 14 | signed integers |
//!
//! Dtypes: all floats and signed integers.

use graph::builder::BuildError;

use crate::operator::{AttrKind, Ctx, Operator, attr, exactly};
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "Relu",
    domain: "",
    versions: &[1, 6, 13, 14],
    inputs: exactly(1),
    outputs: exactly(1),
    attrs: &[attr("consumed_inputs", AttrKind::Ints)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let x = ctx.input(0)?;
    let y = ctx.b.map(&[x], |p, v| {
        let dtype = p.dtype(v[0]);
        let zero = p.zero(dtype);
        p.max(v[0], zero)
    })?;
    Ok(vec![y.into()])
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{bools, check, f32s, refusal, value};

    #[test]
    fn nan_stays() {
        let x = f32s(&[3], &[-1.5, f32::NAN, 2.0]);
        check(&OPERATOR, &[], &[value(x)], &[f32s(&[3], &[0.0, f32::NAN, 2.0])]);
    }

    #[test]
    fn bool_is_refused() {
        let error = refusal(&OPERATOR, &[], &[value(bools(&[1], &[true]))]);
        assert_eq!(error.to_string(), "max is not defined on bool");
    }
}
