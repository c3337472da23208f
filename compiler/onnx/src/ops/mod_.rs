//! Mod: remainder under NumPy broadcasting: of the divisor's sign, or of the dividend's with `fmod`.
//!
//! <https://onnx.ai/onnx/operators/onnx__Mod.html>
//!
//! | opset | change |
//! |---|---|
//! | 10 | first |
//! | 13 | bfloat16 |
//!
//! Dtypes: all floats, signed integers, unsigned integers.
//!
//! Refused: floats without `fmod`, as the specification says.

use graph::builder::BuildError;
use graph::expr::BinOp;

use crate::operator::{AttrKind, Ctx, Operator, attr, exactly};
use crate::pointwise;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "Mod",
    domain: "",
    versions: &[10, 13],
    inputs: exactly(2),
    outputs: exactly(1),
    attrs: &[attr("fmod", AttrKind::Int)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let fmod = ctx.int_or("fmod", 0) != 0;
    if !fmod && ctx.dtype(0)?.is_float() {
        return Err(BuildError::Attr {
            name: "fmod".to_string(),
            expected: "1 for floats".to_string(),
            found: "0".to_string(),
        });
    }
    pointwise::binary(ctx, if fmod { BinOp::Rem } else { BinOp::Mod }, pointwise::NUMBERS)
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{check, f32s, i64s, int, refusal, value};

    #[test]
    fn sign_of_the_divisor_or_the_dividend() {
        let (a, b) = (i64s(&[4], &[-7, 7, -7, 7]), i64s(&[4], &[3, -3, -3, 3]));
        check(&OPERATOR, &[], &[value(a.clone()), value(b.clone())], &[i64s(&[4], &[2, -2, -1, 1])]);
        check(&OPERATOR, &[("fmod", int(1))], &[value(a), value(b)], &[i64s(&[4], &[-1, 1, -1, 1])]);
    }

    #[test]
    fn floats_without_fmod_are_refused() {
        let error = refusal(&OPERATOR, &[], &[value(f32s(&[1], &[1.0])), value(f32s(&[1], &[1.0]))]);
        assert_eq!(error.to_string(), "attribute fmod: expected 1 for floats, found 0");
    }
}
