//! GRU: a layer of gated recurrent units, in one direction or both.
//!
//! <https://onnx.ai/onnx/operators/onnx__GRU.html>
//!
//! ```text
//! z, r = f(x Wzr' + h Rzr' + Wbzr + Rbzr)                        h' = (1 - z) * n + z * h
//! n = g(x Wh' + (r * h) Rh' + Rbh + Wbh)                         (linear_before_reset: g(x Wh' + r * (h Rh' + Rbh) + Wbh))
//! ```
//!
//! | opset | change |
//! |---|---|
//! | 1 | first; `output_sequence` without effect on what is named |
//! | 3 | `linear_before_reset` |
//! | 7 | `output_sequence` gone |
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
    name: "GRU",
    domain: "",
    versions: &[1, 3, 7, 14, 22],
    inputs: between(3, 6),
    outputs: between(0, 2),
    attrs: &[
        ATTRS[0],
        ATTRS[1],
        ATTRS[2],
        ATTRS[3],
        ATTRS[4],
        ATTRS[5],
        ATTRS[6],
        ATTRS[7],
        attr("linear_before_reset", AttrKind::Int),
    ],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let linear_before_reset = ctx.int_or("linear_before_reset", 0) != 0;
    recurrent::layer(ctx, Cell::Gru { linear_before_reset })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::AttrValue;
    use crate::ops_testing::{check, f32s, int, missing, refusal, string, value};

    /// Affine activations, all weights one; biases only on the hidden gate's state part (1).
    fn run(linear: i64, expected: f32) {
        let x = f32s(&[1, 1, 1], &[2.0]);
        let w = f32s(&[1, 3, 1], &[1.0; 3]);
        let r = f32s(&[1, 3, 1], &[0.0, 0.0, 1.0]);
        let b = f32s(&[1, 6], &[0.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
        let h = f32s(&[1, 1, 1], &[5.0]);
        let attrs = [
            ("linear_before_reset", int(linear)),
            ("activations", AttrValue::Strings(vec!["Affine".into(); 2])),
            ("direction", string("reverse")),
        ];
        let inputs = [value(x), value(w), value(r), value(b), missing(), value(h)];
        let y = f32s(&[1, 1, 1, 1], &[expected]);
        check(&OPERATOR, &attrs, &inputs, &[y, f32s(&[1, 1, 1], &[expected])]);
    }

    #[test]
    fn reset_before_or_after_the_product() {
        // z = r = 2. Before: n = 2 + 2*5 + 1 = 13, h = -13 + 10. After: n = 2 + 2*(5 + 1) = 14, h = -14 + 10.
        run(0, -3.0);
        run(1, -4.0);
    }

    #[test]
    fn an_unknown_activation_is_refused() {
        let m = f32s(&[1, 3, 1], &[1.0; 3]);
        let attrs = [("activations", AttrValue::Strings(vec!["Tanh".into(), "Swish".into()]))];
        let error = refusal(&OPERATOR, &attrs, &[value(m.clone()), value(m.clone()), value(m)]);
        assert!(error.to_string().contains("found Swish"), "{error}");
    }
}
