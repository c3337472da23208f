//! LSTM: a long short-term memory layer, in one direction or both.
//!
//! <https://onnx.ai/onnx/operators/onnx__LSTM.html>
//!
//! ```text
//! i, o, f = f(x Wiof' + h Riof' + Piof * c + Wbiof + Rbiof)      c' = f * c + i * g(x Wc' + h Rc' + Wbc + Rbc)
//! h' = o * h(c')                                                 (the output gate sees c')
//! ```
//!
//! | opset | change |
//! |---|---|
//! | 1 | first; `output_sequence` without effect on what is named |
//! | 7 | that attribute gone |
//! | 14 | `layout` |
//! | 22 | bfloat16 |
//!
//! Dtypes: all floats, computed in f32 or wider. `clip` bounds what every activation takes.

use graph::builder::BuildError;
use graph::region::rnn::Cell;

use crate::operator::{AttrKind, Ctx, Operator, attr, between};
use crate::recurrent::{self, ATTRS};
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "LSTM",
    domain: "",
    versions: &[1, 7, 14, 22],
    inputs: between(3, 8),
    outputs: between(0, 3),
    attrs: &[
        ATTRS[0],
        ATTRS[1],
        ATTRS[2],
        ATTRS[3],
        ATTRS[4],
        ATTRS[5],
        ATTRS[6],
        ATTRS[7],
        attr("input_forget", AttrKind::Int),
    ],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let input_forget = ctx.int_or("input_forget", 0) != 0;
    recurrent::layer(ctx, Cell::Lstm { input_forget })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::AttrValue;
    use crate::ops_testing::{check, f32s, missing, refusal, string, tensor, value};
    use graph::dtype::DType;

    fn linear() -> AttrValue {
        AttrValue::Strings(vec!["Affine".into(); 6])
    }

    #[test]
    fn both_directions_with_lengths_and_peepholes() {
        // Affine activations make every gate its input: i = o = f = x, c~ = x with all weights one.
        let x = f32s(&[2, 1, 1], &[2.0, 3.0]);
        let w = f32s(&[2, 4, 1], &[1.0; 8]);
        let r = f32s(&[2, 4, 1], &[0.0; 8]);
        let p = f32s(&[2, 3], &[0.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
        let lengths = tensor(DType::I32, &[1], &[1.0]);
        let inputs = [value(x), value(w), value(r), missing(), value(lengths), missing(), missing(), value(p)];
        // c = x*x = 4; forward o = x + c = 6, h = 24; backward o = 2, h = 8; the second step is beyond the length.
        let attrs = [("direction", string("bidirectional")), ("activations", linear())];
        let y = f32s(&[2, 2, 1, 1], &[24.0, 8.0, 0.0, 0.0]);
        let (h, c) = (f32s(&[2, 1, 1], &[24.0, 8.0]), f32s(&[2, 1, 1], &[4.0, 4.0]));
        check(&OPERATOR, &attrs, &inputs, &[y, h, c]);
    }

    #[test]
    fn too_few_activations_are_refused() {
        let m = f32s(&[1, 4, 1], &[1.0; 4]);
        let attrs = [("activations", AttrValue::Strings(vec!["Tanh".into()]))];
        let error = refusal(&OPERATOR, &attrs, &[value(m.clone()), value(m.clone()), value(m)]);
        assert!(error.to_string().contains("attribute activations: expected 3 names"), "{error}");
    }
}
