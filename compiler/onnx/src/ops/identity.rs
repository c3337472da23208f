//! Identity: the input itself, whatever it is.
//!
//! <https://onnx.ai/onnx/operators/onnx__Identity.html>
//!
//! | opset | change |
//! |---|---|
//! | 1 | first |
//! | 13 | bfloat16 |
//! | 14 | wording of the specification |
//! | 16 | wording of the specification |
//! | 19 | 8-bit floats |
//! | 21 | 4-bit integers |
//! | 23 | float4e2m1 |
//! | 24 | float8e8m0 |
//! | 25 | 2-bit integers |
//!
//! Dtypes: all; sequences and optionals too.

use graph::builder::BuildError;

use crate::operator::{Ctx, Operator, exactly};
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "Identity",
    domain: "",
    versions: &[1, 13, 14, 16, 19, 21, 23, 24, 25],
    inputs: exactly(1),
    outputs: exactly(1),
    attrs: &[],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    Ok(vec![ctx.value(0)?.clone()])
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{Case, missing, refusal, typed};
    use graph::dim::Dim;
    use graph::dtype::DType;

    #[test]
    fn nothing_is_added() {
        let built = Case::new(&OPERATOR).arg(typed(DType::I4, &[Dim::constant(3)])).build().unwrap();
        assert!(built.model.graph.nodes.is_empty());
    }

    #[test]
    fn a_missing_input_is_refused() {
        let error = refusal(&OPERATOR, &[], &[missing()]);
        assert_eq!(error.to_string(), "input 0: expected a value, found nothing");
    }
}
