//! Mean: the mean of all inputs under NumPy broadcasting: their sum over their number.
//!
//! <https://onnx.ai/onnx/operators/onnx__Mean.html>
//!
//! | opset | change |
//! |---|---|
//! | 1 | first |
//! | 6 | `consumed_inputs` gone |
//! | 8 | NumPy broadcasting |
//! | 13 | bfloat16 |
//!
//! Dtypes: all floats.

use graph::builder::BuildError;

use crate::operator::{AttrKind, Ctx, Operator, at_least, attr, exactly};
use crate::pointwise;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "Mean",
    domain: "",
    versions: &[1, 6, 8, 13],
    inputs: at_least(1),
    outputs: exactly(1),
    attrs: &[attr("consumed_inputs", AttrKind::Ints)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let inputs = ctx.all_inputs()?;
    pointwise::require_class(ctx, 0, pointwise::FLOATS)?;
    let y = ctx.b.map(&inputs, |p, v| {
        let dtype = p.dtype(v[0]);
        let wide = pointwise::wide(dtype);
        let mut sum = p.cast(v[0], wide);
        for x in &v[1..] {
            let x = p.cast(*x, wide);
            sum = p.add(sum, x);
        }
        let count = p.number(wide, v.len() as f64);
        let mean = p.div(sum, count);
        p.cast(mean, dtype)
    })?;
    Ok(vec![y.into()])
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{check, f32s, i64s, refusal, value};

    #[test]
    fn three_inputs_broadcast() {
        let (a, b, c) = (f32s(&[2, 1], &[1.0, 4.0]), f32s(&[2], &[3.0, 9.0]), f32s(&[], &[2.0]));
        check(&OPERATOR, &[], &[value(a), value(b), value(c)], &[f32s(&[2, 2], &[2.0, 4.0, 3.0, 5.0])]);
    }

    #[test]
    fn integers_are_refused() {
        let error = refusal(&OPERATOR, &[], &[value(i64s(&[1], &[1]))]);
        assert_eq!(error.to_string(), "dtype i64 is not supported for input 0 of Mean; supported: floats");
    }
}
