//! BitCast: the same bits as another dtype of equal width.
//!
//! <https://onnx.ai/onnx/operators/onnx__BitCast.html>
//!
//! | opset | change |
//! |---|---|
//! | 26 | first |
//!
//! Dtypes: all but strings and complex.

use graph::builder::BuildError;
use graph::dtype::DType;
use graph::expr::Expr;

use crate::operator::{AttrKind, Ctx, Operator, exactly, required};
use crate::pointwise;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "BitCast",
    domain: "",
    versions: &[26],
    inputs: exactly(1),
    outputs: exactly(1),
    attrs: &[required("to", AttrKind::Int)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let x = ctx.input(0)?;
    pointwise::require_class(ctx, 0, pointwise::NOT_STRINGS)?;
    let to = ctx.dtype_attr("to")?.filter(|to| *to != DType::Str).ok_or_else(|| BuildError::Attr {
        name: "to".to_string(),
        expected: "a dtype of fixed width".to_string(),
        found: "nothing or strings".to_string(),
    })?;
    if to == ctx.dtype(0)? {
        return Ok(vec![x.into()]);
    }
    let y = ctx.b.map(&[x], |p, v| p.add_expr(Expr::Bitcast { to, value: v[0] }))?;
    Ok(vec![y.into()])
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{check, f32s, int, refusal, tensor, value};
    use graph::dtype::DType;

    #[test]
    fn floats_as_integers() {
        let y = tensor(DType::I32, &[2], &[1065353216.0, -2147483648.0]);
        check(&OPERATOR, &[("to", int(6))], &[value(f32s(&[2], &[1.0, -0.0]))], &[y]);
    }

    #[test]
    fn another_width_is_refused() {
        let error = refusal(&OPERATOR, &[("to", int(7))], &[value(f32s(&[1], &[1.0]))]);
        assert_eq!(error.to_string(), "a bitcast from f32 to i64 changes the width");
    }
}
