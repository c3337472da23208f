//! BlackmanWindow: a window of `size` weights, `0.42 - 0.5 cos(2 pi n / N) + 0.08 cos(4 pi n / N)`.
//!
//! <https://onnx.ai/onnx/operators/onnx__BlackmanWindow.html>
//!
//! | opset | change |
//! |---|---|
//! | 17 | first |
//!
//! Dtypes: the size is i32 or i64, maybe computed at run time; the result is any number dtype, computed in f64. N is the size,
//! or one less where the window is not `periodic`.

use graph::builder::BuildError;
use graph::dim::Dim;
use graph::dtype::DType;
use graph::expr::UnOp;

use crate::operator::{AttrKind, Ctx, Operator, attr, exactly};
use crate::sizes;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "BlackmanWindow",
    domain: "",
    versions: &[17],
    inputs: exactly(1),
    outputs: exactly(1),
    attrs: &[attr("output_datatype", AttrKind::Int), attr("periodic", AttrKind::Int)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    cosines(ctx, [0.42, -0.5, 0.08])
}

/// `a + b cos(2 pi n / N) + c cos(4 pi n / N)` for n below the size that input 0 is.
pub fn cosines(ctx: &mut Ctx<'_>, [a, b, c]: [f64; 3]) -> Result<Vec<ImportValue>, BuildError> {
    let size = sizes::single(ctx, 0, 0, None)?;
    let dtype = ctx.dtype_attr("output_datatype")?.unwrap_or(DType::F32);
    let periodic = ctx.int_or("periodic", 1) != 0;
    let steps = if periodic { size.clone() } else { &size - &Dim::constant(1) };
    let window = ctx.b.compute(&[], vec![size], |p| {
        let (n, steps) = (p.index(0), p.dim(&steps));
        let (n, steps) = (p.cast(n, DType::F64), p.cast(steps, DType::F64));
        let mut sum = p.number(DType::F64, a);
        for (turns, factor) in [(1.0, b), (2.0, c)] {
            if factor == 0.0 {
                continue;
            }
            let (turn, factor) = (p.number(DType::F64, turns * std::f64::consts::TAU), p.number(DType::F64, factor));
            let angle = p.mul(n, turn);
            let angle = p.div(angle, steps);
            let cos = p.unary(UnOp::Cos, angle);
            let term = p.mul(cos, factor);
            sum = p.add(sum, term);
        }
        let weight = p.cast(sum, dtype);
        p.out(weight);
    })?;
    Ok(vec![window.into()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::{check, f32s, i64s, int, refusal, value};

    #[test]
    fn symmetric() {
        let y = f32s(&[3], &[0.0, 1.0, 0.0]);
        check(&OPERATOR, &[("periodic", int(0))], &[value(i64s(&[], &[3]))], &[y]);
    }

    #[test]
    fn two_sizes_are_refused() {
        let error = refusal(&OPERATOR, &[], &[value(i64s(&[2], &[1, 1]))]);
        assert!(error.to_string().contains("expected one element, found 2"), "{error}");
    }
}
