//! LpPool: the p-norm of sliding windows.
//!
//! <https://onnx.ai/onnx/operators/onnx__LpPool.html>
//!
//! | opset | change |
//! |---|---|
//! | 1 | first; `p` is a float |
//! | 2 | `p` is an integer |
//! | 11 | defaults written down |
//! | 18 | `ceil_mode`, `dilations` |
//! | 22 | bfloat16 |
//!
//! Dtypes: all floats, summed in f32 or wider. Refused: opset 1; `p` below 1.

use graph::builder::BuildError;
use graph::region::pool::Mode;

use super::max_pool::attributes;
use crate::operator::{AttrKind, Ctx, Operator, attr, exactly};
use crate::sliding;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "LpPool",
    domain: "",
    versions: &[2, 11, 18, 22],
    inputs: exactly(1),
    outputs: exactly(1),
    attrs: &[
        sliding::ATTRS[0],
        sliding::ATTRS[1],
        sliding::ATTRS[2],
        sliding::ATTRS[3],
        sliding::ATTRS[4],
        attr("ceil_mode", AttrKind::Int),
        attr("p", AttrKind::Int),
    ],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let pool = attributes(ctx, Mode::Lp { p: ctx.int_or("p", 2) })?;
    let x = ctx.input(0)?;
    Ok(ctx.b.pool(&pool, x)?.into_iter().map(Into::into).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::{check, f32s, int, ints, refusal, value};

    #[test]
    fn cubes_of_negative_values() {
        let x = f32s(&[1, 1, 3], &[-3.0, 4.0, -5.0]);
        let attrs = [("kernel_shape", ints(&[3])), ("p", int(3))];
        check(&OPERATOR, &attrs, &[value(x)], &[f32s(&[1, 1, 1], &[6.0])]);
    }

    #[test]
    fn a_power_of_zero_is_refused() {
        let attrs = [("kernel_shape", ints(&[1])), ("p", int(0))];
        let error = refusal(&OPERATOR, &attrs, &[value(f32s(&[1, 1, 1], &[0.0]))]);
        assert!(error.to_string().contains("attribute p: expected a positive number"), "{error}");
    }
}
