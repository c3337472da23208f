//! AveragePool: the mean of sliding windows.
//!
//! <https://onnx.ai/onnx/operators/onnx__AveragePool.html>
//!
//! | opset | change |
//! |---|---|
//! | 1 | first; padding is never counted |
//! | 7 | `count_include_pad` |
//! | 10 | `ceil_mode` |
//! | 11 | defaults written down |
//! | 19 | `dilations` |
//! | 22 | bfloat16 |
//!
//! Dtypes: all floats, summed in f32 or wider. Refused: no spatial dim.

use graph::builder::BuildError;
use graph::region::pool::Mode;

use super::max_pool::attributes;
use crate::operator::{AttrKind, Ctx, Operator, attr, exactly};
use crate::sliding;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "AveragePool",
    domain: "",
    versions: &[1, 7, 10, 11, 19, 22],
    inputs: exactly(1),
    outputs: exactly(1),
    attrs: &[
        sliding::ATTRS[0],
        sliding::ATTRS[1],
        sliding::ATTRS[2],
        sliding::ATTRS[3],
        sliding::ATTRS[4],
        attr("ceil_mode", AttrKind::Int),
        attr("count_include_pad", AttrKind::Int),
    ],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let pool = attributes(ctx, Mode::Average { count_padding: ctx.int_or("count_include_pad", 0) != 0 })?;
    let x = ctx.input(0)?;
    Ok(ctx.b.pool(&pool, x)?.into_iter().map(Into::into).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::{check, f32s, int, ints, refusal, value};

    #[test]
    fn padding_counts_or_not() {
        let x = f32s(&[1, 1, 3], &[2.0, 4.0, 6.0]);
        let attrs = |count| {
            [
                ("kernel_shape", ints(&[2])),
                ("dilations", ints(&[2])),
                ("pads", ints(&[1, 1])),
                ("count_include_pad", int(count)),
            ]
        };
        check(&OPERATOR, &attrs(0), &[value(x.clone())], &[f32s(&[1, 1, 3], &[4.0, 4.0, 4.0])]);
        check(&OPERATOR, &attrs(1), &[value(x)], &[f32s(&[1, 1, 3], &[2.0, 4.0, 2.0])]);
    }

    #[test]
    fn wrong_number_of_pads_is_refused() {
        let attrs = [("kernel_shape", ints(&[2])), ("pads", ints(&[1, 1, 1]))];
        let error = refusal(&OPERATOR, &attrs, &[value(f32s(&[1, 1, 3], &[0.0; 3]))]);
        assert!(error.to_string().contains("attribute pads: expected 2 numbers"), "{error}");
    }
}
