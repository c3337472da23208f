//! SequenceEmpty: a sequence without elements. It dissolves at import; its dtype matters only where it becomes a run-time
//! sequence, and there the values that join it say it too.
//!
//! <https://onnx.ai/onnx/operators/onnx__SequenceEmpty.html>
//!
//! | opset | change |
//! |---|---|
//! | 11 | first |
//!
//! Dtypes: all. Refused: a `dtype` that is no tensor dtype.

use graph::builder::BuildError;

use crate::operator::{AttrKind, Ctx, Operator, attr, exactly};
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "SequenceEmpty",
    domain: "",
    versions: &[11],
    inputs: exactly(0),
    outputs: exactly(1),
    attrs: &[attr("dtype", AttrKind::Int)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    ctx.dtype_attr("dtype")?;
    Ok(vec![ImportValue::Seq(Vec::new())])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::*;

    #[test]
    fn it_dissolves() {
        let built = Case::new(&OPERATOR).attr("dtype", int(7)).build().unwrap();
        assert_eq!(built.outputs, vec![ImportValue::Seq(Vec::new())]);
    }

    #[test]
    fn complex_elements_are_refused() {
        assert!(refusal(&OPERATOR, &[("dtype", int(14))], &[]).to_string().contains("14"));
    }
}
