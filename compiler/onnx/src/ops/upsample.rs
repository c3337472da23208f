//! Upsample: resamples by scales, nearest (rounding down) or linear, with asymmetric coordinates.
//!
//! <https://onnx.ai/onnx/operators/onnx__Upsample.html>
//!
//! | opset | change |
//! |---|---|
//! | 1 | first; `height_scale`, `width_scale` of images |
//! | 7 | attribute `scales` |
//! | 9 | input `scales` |
//! | 10 | deprecated in favour of Resize |
//!
//! Dtypes: all numbers. Refused: opset 1.

use graph::builder::BuildError;
use graph::tensor::Tensor;

use super::resize::by_scales;
use crate::interpolation::{Coordinates, Filter, Nearest, Resampling, resample};
use crate::operator::{AttrKind, Ctx, Operator, attr, between, exactly};
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "Upsample",
    domain: "",
    versions: &[7, 9, 10],
    inputs: between(1, 2),
    outputs: exactly(1),
    attrs: &[attr("mode", AttrKind::String), attr("scales", AttrKind::Floats)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let x = ctx.input(0)?;
    let shape = ctx.b.shape(x)?;
    let scales = match ctx.floats("scales") {
        Some(scales) => {
            let tensor = Tensor::from_f32s(scales);
            ctx.b.constant(tensor)?
        }
        None => ctx.input(1)?,
    };
    let filter = match ctx.string("mode").unwrap_or("nearest") {
        "nearest" => Filter::Nearest(Nearest::Floor),
        "linear" | "bilinear" => Filter::Linear,
        other => {
            return Err(BuildError::Attr {
                name: "mode".to_string(),
                expected: "nearest or linear".to_string(),
                found: other.to_string(),
            });
        }
    };
    let positions: Vec<usize> = (0..shape.len()).collect();
    let axes = by_scales(ctx, scales, &positions, &shape)?;
    let how = Resampling {
        coordinates: Coordinates::Asymmetric,
        filter,
        antialias: false,
        exclude_outside: false,
        roi: None,
        extrapolation: 0.0,
    };
    Ok(vec![resample(ctx.b, x, &axes, &how)?.into()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::{check, f32s, refusal, string, value};

    #[test]
    fn by_half_and_by_three_at_run_time() {
        let x = f32s(&[2, 2], &[1.0, 2.0, 3.0, 4.0]);
        let scales = f32s(&[2], &[0.5, 1.5]);
        check(&OPERATOR, &[], &[value(x), value(scales)], &[f32s(&[1, 3], &[1.0, 1.0, 2.0])]);
    }

    #[test]
    fn cubic_is_refused() {
        let inputs = [value(f32s(&[1], &[0.0])), value(f32s(&[1], &[1.0]))];
        let error = refusal(&OPERATOR, &[("mode", string("cubic"))], &inputs);
        assert!(error.to_string().contains("nearest or linear"), "{error}");
    }
}
