//! Resize: resamples along axes to given sizes or by given scales: nearest, linear or cubic.
//!
//! <https://onnx.ai/onnx/operators/onnx__Resize.html>
//!
//! | opset | change |
//! |---|---|
//! | 10 | first; scales only; asymmetric coordinates, nearest rounds down |
//! | 11 | inputs `roi`, `sizes`; coordinate modes, cubic |
//! | 13 | bfloat16; `tf_half_pixel_for_nn` gone |
//! | 18 | `antialias`, `axes`, `keep_aspect_ratio_policy` |
//! | 19 | `half_pixel_symmetric` |
//!
//! Dtypes: all numbers; linear and cubic are computed in f32 or wider, integers rounded and saturated. Sizes and scales may be
//! computed at run time. Refused: `antialias` with nearest; a scale that is not positive.

use graph::builder::BuildError;
use graph::dim::{Dim, Pred};
use graph::dtype::DType;
use graph::expr::UnOp;
use graph::graph::ValueId;

use crate::interpolation::{Axis, Coordinates, Filter, Nearest, Resampling, Scale, resample};
use crate::operator::{AttrKind, Ctx, Operator, attr, between, exactly};
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "Resize",
    domain: "",
    versions: &[10, 11, 13, 18, 19],
    inputs: between(1, 4),
    outputs: exactly(1),
    attrs: &[
        attr("antialias", AttrKind::Int),
        attr("axes", AttrKind::Ints),
        attr("coordinate_transformation_mode", AttrKind::String),
        attr("cubic_coeff_a", AttrKind::Float),
        attr("exclude_outside", AttrKind::Int),
        attr("extrapolation_value", AttrKind::Float),
        attr("keep_aspect_ratio_policy", AttrKind::String),
        attr("mode", AttrKind::String),
        attr("nearest_mode", AttrKind::String),
    ],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let x = ctx.input(0)?;
    let shape = ctx.b.shape(x)?;
    let rank = shape.len();
    let positions: Vec<usize> = match ctx.ints("axes") {
        Some(axes) => axes.iter().map(|a| ctx.b.axis(*a, rank)).collect::<Result<_, _>>()?,
        None => (0..rank).collect(),
    };
    let (scales, sizes, roi) =
        if ctx.opset < 11 { (ctx.optional(1)?, None, None) } else { (given(ctx, 2)?, given(ctx, 3)?, given(ctx, 1)?) };
    let axes = match (scales, sizes) {
        (_, Some(sizes)) => by_sizes(ctx, sizes, &positions, &shape)?,
        (Some(scales), None) => by_scales(ctx, scales, &positions, &shape)?,
        (None, None) => {
            return Err(BuildError::Operand {
                what: "scales and sizes of Resize".to_string(),
                expected: "one of the two".to_string(),
                found: "neither".to_string(),
            });
        }
    };
    let how = resampling(ctx, roi)?;
    Ok(vec![resample(ctx.b, x, &axes, &how)?.into()])
}

/// An input that is there and has elements.
fn given(ctx: &mut Ctx<'_>, position: usize) -> Result<Option<ValueId>, BuildError> {
    let Some(value) = ctx.optional(position)? else { return Ok(None) };
    let empty = ctx.b.shape(value)?.iter().any(|d| d.is(0));
    Ok((!empty).then_some(value))
}

fn resampling(ctx: &Ctx<'_>, roi: Option<ValueId>) -> Result<Resampling, BuildError> {
    let old = ctx.opset < 11;
    let text = |name: &str, default: &str| ctx.string(name).unwrap_or(default).to_string();
    let refused = |name: &str, expected: &str, found: &str| BuildError::Attr {
        name: name.to_string(),
        expected: expected.to_string(),
        found: found.to_string(),
    };
    let mode = text("coordinate_transformation_mode", if old { "asymmetric" } else { "half_pixel" });
    let coordinates = match mode.as_str() {
        "half_pixel" => Coordinates::HalfPixel,
        "half_pixel_symmetric" => Coordinates::HalfPixelSymmetric,
        "pytorch_half_pixel" => Coordinates::PytorchHalfPixel,
        "tf_half_pixel_for_nn" => Coordinates::TfHalfPixelForNn,
        "align_corners" => Coordinates::AlignCorners,
        "asymmetric" => Coordinates::Asymmetric,
        "tf_crop_and_resize" => Coordinates::TfCropAndResize,
        other => return Err(refused("coordinate_transformation_mode", "one of the spec's", other)),
    };
    if coordinates == Coordinates::TfCropAndResize && roi.is_none() {
        return Err(BuildError::Operand {
            what: "roi of Resize".to_string(),
            expected: "a value with tf_crop_and_resize".to_string(),
            found: "nothing".to_string(),
        });
    }
    let nearest_mode = text("nearest_mode", if old { "floor" } else { "round_prefer_floor" });
    let nearest = match nearest_mode.as_str() {
        "round_prefer_floor" => Nearest::RoundPreferFloor,
        "round_prefer_ceil" => Nearest::RoundPreferCeil,
        "floor" => Nearest::Floor,
        "ceil" => Nearest::Ceil,
        other => return Err(refused("nearest_mode", "one of the spec's", other)),
    };
    let mode = text("mode", "nearest");
    let filter = match mode.as_str() {
        "nearest" => Filter::Nearest(nearest),
        "linear" | "bilinear" => Filter::Linear,
        "cubic" => Filter::Cubic(f64::from(ctx.float_or("cubic_coeff_a", -0.75))),
        other => return Err(refused("mode", "nearest, linear or cubic", other)),
    };
    let antialias = ctx.int_or("antialias", 0) != 0;
    if antialias && mode == "nearest" {
        return Err(refused("antialias", "0 with nearest", "1"));
    }
    Ok(Resampling {
        coordinates,
        filter,
        antialias,
        exclude_outside: ctx.int_or("exclude_outside", 0) != 0,
        roi,
        extrapolation: f64::from(ctx.float_or("extrapolation_value", 0.0)),
    })
}

fn by_sizes(ctx: &mut Ctx<'_>, sizes: ValueId, positions: &[usize], shape: &[Dim]) -> Result<Vec<Axis>, BuildError> {
    let sizes = ctx.b.dims_of(sizes, 0, None)?;
    require_count(sizes.len(), positions.len())?;
    let policy = ctx.string("keep_aspect_ratio_policy").unwrap_or("stretch");
    let larger = match policy {
        "stretch" => None,
        "not_larger" => Some(false),
        "not_smaller" => Some(true),
        other => {
            return Err(BuildError::Attr {
                name: "keep_aspect_ratio_policy".to_string(),
                expected: "stretch, not_larger or not_smaller".to_string(),
                found: other.to_string(),
            });
        }
    };
    let pairs: Vec<(Dim, Dim)> = sizes.iter().cloned().zip(positions.iter().map(|a| shape[*a].clone())).collect();
    let symbols = &ctx.b.model().symbols;
    let common = larger.and_then(|larger| {
        pairs.iter().cloned().reduce(|(a, b), (c, d)| {
            // a/b stays where it is no further from one side than c/d.
            let (left, right) = (&a * &d, &c * &b);
            let keep = if larger { Pred::Le(right, left) } else { Pred::Le(left, right) };
            (symbols.select(&keep, &a, &c), symbols.select(&keep, &b, &d))
        })
    });
    let two = Dim::constant(2);
    let axes = pairs.into_iter().zip(positions).enumerate().map(|(k, ((size, input), axis))| {
        let (output, scale) = match &common {
            Some((a, b)) => {
                let doubled = &(&(a * &input) * &two) + b;
                (symbols.floor_div(&doubled, &(b * &two)), Scale::Ratio(a.clone(), b.clone()))
            }
            None => (size.clone(), Scale::Ratio(size, input)),
        };
        Axis { axis: *axis, output, scale, roi: (k, k + positions.len()) }
    });
    Ok(axes.collect())
}

/// Axes with an extent of `floor(input * scale)` each.
pub fn by_scales(
    ctx: &mut Ctx<'_>,
    scales: ValueId,
    positions: &[usize],
    shape: &[Dim],
) -> Result<Vec<Axis>, BuildError> {
    let count = ctx.b.shape(scales)?.first().and_then(Dim::as_size).unwrap_or(1);
    require_count(count, positions.len())?;
    let known = ctx.b.const_tensor(scales).map(|t| t.to_f64s());
    let mut axes = Vec::with_capacity(positions.len());
    for (k, axis) in positions.iter().enumerate() {
        let input = &shape[*axis];
        let (output, scale) = match known.as_ref().and_then(|v| v.get(k)) {
            Some(scale) => (scaled_extent(ctx, input, *scale)?, Scale::Constant(*scale)),
            None => {
                let extent = ctx.b.compute(&[scales], Vec::new(), |p| {
                    let at = p.int(k as i64);
                    let scale = p.load(0, &[at]);
                    let (scale, input) = (p.cast(scale, DType::F64), p.dim(input));
                    let input = p.cast(input, DType::F64);
                    let product = p.mul(scale, input);
                    let whole = p.unary(UnOp::Floor, product);
                    let whole = p.cast(whole, DType::I64);
                    p.out(whole);
                })?;
                (ctx.b.bind(extent, 0, None)?, Scale::Element(scales, k))
            }
        };
        axes.push(Axis { axis: *axis, output, scale, roi: (k, k + positions.len()) });
    }
    Ok(axes)
}

/// `floor(input * scale)`; the scale, a binary float, is taken as the exact fraction it is.
fn scaled_extent(ctx: &Ctx<'_>, input: &Dim, scale: f64) -> Result<Dim, BuildError> {
    if scale <= 0.0 || !scale.is_finite() {
        return Err(BuildError::Operand {
            what: "scales of Resize".to_string(),
            expected: "positive numbers".to_string(),
            found: scale.to_string(),
        });
    }
    let (mut numerator, mut denominator) = (scale, 1i64);
    while numerator.fract() != 0.0 && denominator < 1 << 40 {
        numerator *= 2.0;
        denominator *= 2;
    }
    let product = input * &Dim::constant(numerator as i64);
    Ok(ctx.b.model().symbols.floor_div(&product, &Dim::constant(denominator)))
}

fn require_count(found: usize, expected: usize) -> Result<(), BuildError> {
    if found == expected {
        return Ok(());
    }
    Err(BuildError::Operand {
        what: "scales or sizes of Resize".to_string(),
        expected: format!("{expected} elements"),
        found: found.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::{Case, check, constant, f32s, i64s, int, ints, missing, refusal, string, typed, value};

    #[test]
    fn linear_by_sizes_known_at_run_time() {
        let x = f32s(&[1, 2], &[0.0, 4.0]);
        let inputs = [value(x), missing(), missing(), value(i64s(&[1], &[4]))];
        let attrs = [("mode", string("linear")), ("axes", ints(&[-1]))];
        check(&OPERATOR, &attrs, &inputs, &[f32s(&[1, 4], &[0.0, 1.0, 3.0, 4.0])]);
    }

    #[test]
    fn a_whole_factor_repeats() {
        let x = f32s(&[2], &[1.0, 2.0]);
        let inputs = [value(x), missing(), constant(f32s(&[1], &[3.0]))];
        check(&OPERATOR, &[], &inputs, &[f32s(&[6], &[1.0, 1.0, 1.0, 2.0, 2.0, 2.0])]);
        let built = Case::of(&OPERATOR, &[], &inputs).build().unwrap();
        assert_eq!(built.model.graph.nodes.len(), 2);
    }

    #[test]
    fn antialiasing_averages_when_shrinking() {
        let x = f32s(&[4], &[0.0, 2.0, 4.0, 6.0]);
        let inputs = [value(x), missing(), value(f32s(&[1], &[0.5]))];
        let attrs = [("mode", string("linear")), ("antialias", int(1)), ("exclude_outside", int(1))];
        // Weights 1/8 3/8 3/8 1/8 around each centre, what lies outside left out.
        let y = [(0.0 * 3.0 + 2.0 * 3.0 + 4.0) / 7.0, (2.0 + 4.0 * 3.0 + 6.0 * 3.0) / 7.0];
        check(&OPERATOR, &attrs, &inputs, &[f32s(&[2], &y)]);
    }

    #[test]
    fn unknown_extents_scale() {
        let mut b = graph::builder::Builder::new("sizes");
        let h = b.input_symbol("h", 1, None);
        let case = |scale| {
            Case::new(&OPERATOR)
                .symbols(b.model().symbols.clone())
                .arg(typed(DType::F32, std::slice::from_ref(&h)))
                .arg(missing())
                .constant(f32s(&[1], &[scale]))
        };
        assert_eq!(case(2.0).shapes(), vec![vec![&h * &Dim::constant(2)]]);
        let expected = b.model().symbols.floor_div(&(&h * &Dim::constant(3)), &Dim::constant(4));
        assert_eq!(case(0.75).shapes(), vec![vec![expected]]);
    }

    #[test]
    fn neither_scales_nor_sizes_is_refused() {
        let error = refusal(&OPERATOR, &[], &[value(f32s(&[1], &[0.0]))]);
        assert!(error.to_string().contains("expected one of the two, found neither"), "{error}");
    }
}
