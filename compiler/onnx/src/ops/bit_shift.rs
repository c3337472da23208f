//! BitShift: shift by `direction` under NumPy broadcasting; by the width or more gives 0.
//!
//! <https://onnx.ai/onnx/operators/onnx__BitShift.html>
//!
//! | opset | change |
//! |---|---|
//! | 11 | first |
//!
//! Dtypes: unsigned integers.

use graph::builder::BuildError;
use graph::dtype::Class;
use graph::expr::BinOp;

use crate::operator::{AttrKind, Ctx, Operator, exactly, required};
use crate::pointwise;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "BitShift",
    domain: "",
    versions: &[11],
    inputs: exactly(2),
    outputs: exactly(1),
    attrs: &[required("direction", AttrKind::String)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let op = match ctx.string("direction") {
        Some("LEFT") => BinOp::Shl,
        Some("RIGHT") => BinOp::Shr,
        other => {
            return Err(BuildError::Attr {
                name: "direction".to_string(),
                expected: "LEFT or RIGHT".to_string(),
                found: format!("{other:?}"),
            });
        }
    };
    pointwise::binary(ctx, op, &[Class::Unsigned])
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{check, i64s, refusal, string, tensor, value};
    use graph::dtype::DType;

    #[test]
    fn beyond_the_width_nothing_stays() {
        let (x, y) = (tensor(DType::U8, &[3], &[129.0, 3.0, 1.0]), tensor(DType::U8, &[3], &[1.0, 7.0, 8.0]));
        let expected = tensor(DType::U8, &[3], &[2.0, 128.0, 0.0]);
        check(&OPERATOR, &[("direction", string("LEFT"))], &[value(x), value(y)], &[expected]);
    }

    #[test]
    fn unknown_direction_is_refused() {
        let error =
            refusal(&OPERATOR, &[("direction", string("UP"))], &[value(i64s(&[1], &[1])), value(i64s(&[1], &[1]))]);
        assert_eq!(error.to_string(), "attribute direction: expected LEFT or RIGHT, found Some(\"UP\")");
    }
}
