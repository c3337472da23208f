//! Binarizer (ai.onnx.ml): 1 where an element exceeds the threshold, else 0.
//!
//! <https://onnx.ai/onnx/operators/onnx_aionnxml_Binarizer.html>
//!
//! | opset | change |
//! |---|---|
//! | 1 | first |
//!
//! Dtypes: numbers.

use graph::builder::BuildError;

use crate::operator::{AttrKind, Ctx, Operator, attr, exactly};
use crate::pointwise;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "Binarizer",
    domain: "ai.onnx.ml",
    versions: &[1],
    inputs: exactly(1),
    outputs: exactly(1),
    attrs: &[attr("threshold", AttrKind::Float)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let x = ctx.input(0)?;
    pointwise::require_class(ctx, 0, pointwise::NUMBERS)?;
    let threshold = f64::from(ctx.float_or("threshold", 0.0));
    let y = ctx.b.map(&[x], |p, v| {
        let dtype = p.dtype(v[0]);
        let wide = p.cast(v[0], pointwise::wide(dtype));
        let limit = p.number(pointwise::wide(dtype), threshold);
        let above = p.lt(limit, wide);
        p.cast(above, dtype)
    })?;
    Ok(vec![y.into()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::*;

    #[test]
    fn the_threshold_itself_is_0() {
        check(&OPERATOR, &[("threshold", float(1.5))], &[value(i64s(&[2], &[1, 2]))], &[i64s(&[2], &[0, 1])]);
        check(&OPERATOR, &[], &[value(f32s(&[2], &[0.0, 0.1]))], &[f32s(&[2], &[0.0, 1.0])]);
    }

    #[test]
    fn truth_values_are_refused() {
        assert!(refusal(&OPERATOR, &[], &[value(bools(&[1], &[true]))]).to_string().contains("bool"));
    }
}
