//! RNN: a plain recurrent layer, `h' = f(x W' + h R' + Wb + Rb)`, in one direction or both.
//!
//! <https://onnx.ai/onnx/operators/onnx__RNN.html>
//!
//! | opset | change |
//! |---|---|
//! | 1 | first; `output_sequence` without effect on what is named |
//! | 7 | that attribute gone |
//! | 14 | `layout` |
//! | 22 | bfloat16 |
//!
//! Dtypes: all floats, computed in f32 or wider. `clip` bounds what the activation takes.

use graph::builder::BuildError;
use graph::region::rnn::Cell;

use crate::operator::{Ctx, Operator, between};
use crate::recurrent::{self, ATTRS};
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "RNN",
    domain: "",
    versions: &[1, 7, 14, 22],
    inputs: between(3, 6),
    outputs: between(0, 2),
    attrs: &ATTRS,
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    recurrent::layer(ctx, Cell::Plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::AttrValue;
    use crate::ops_testing::{check, f32s, float, int, refusal, string, value};

    #[test]
    fn batch_first_with_clip() {
        let x = f32s(&[2, 2, 1], &[1.0, 2.0, 3.0, 9.0]);
        let w = f32s(&[1, 1, 1], &[1.0]);
        let attrs =
            [("layout", int(1)), ("clip", float(4.0)), ("activations", AttrValue::Strings(vec!["LeakyRelu".into()]))];
        let y = f32s(&[2, 2, 1, 1], &[1.0, 3.0, 3.0, 4.0]);
        let h = f32s(&[2, 1, 1], &[3.0, 4.0]);
        check(&OPERATOR, &attrs, &[value(x), value(w.clone()), value(w)], &[y, h]);
    }

    #[test]
    fn an_unknown_direction_is_refused() {
        let m = f32s(&[1, 1, 1], &[1.0]);
        let inputs = [value(m.clone()), value(m.clone()), value(m)];
        let error = refusal(&OPERATOR, &[("direction", string("sideways"))], &inputs);
        assert!(error.to_string().contains("forward, reverse or bidirectional"), "{error}");
    }
}
