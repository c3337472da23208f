//! ConvTranspose: transposed convolution of `[N, C, spatial…]` with `[C, M/group, kernel…]`, plus a bias a channel.
//!
//! <https://onnx.ai/onnx/operators/onnx__ConvTranspose.html>
//!
//! | opset | change |
//! |---|---|
//! | 1 | first |
//! | 11 | defaults written down; SAME pads what makes the output `input * stride` |
//! | 22 | bfloat16 |
//!
//! Dtypes: all floats, summed in f32 or wider and rounded once, after the bias. Refused: no spatial dim.

use graph::builder::BuildError;
use graph::dim::Dim;
use graph::region::contract::{Maths, accumulator};
use graph::region::conv_transpose::ConvTranspose;
use graph::region::window::Window;

use super::conv::biased;
use crate::operator::{AttrKind, Ctx, Operator, attr, between, exactly};
use crate::sliding::{self, AutoPad};
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "ConvTranspose",
    domain: "",
    versions: &[1, 11, 22],
    inputs: between(2, 3),
    outputs: exactly(1),
    attrs: &[
        sliding::ATTRS[0],
        sliding::ATTRS[1],
        sliding::ATTRS[2],
        sliding::ATTRS[3],
        sliding::ATTRS[4],
        attr("group", AttrKind::Int),
        attr("output_padding", AttrKind::Ints),
        attr("output_shape", AttrKind::Ints),
    ],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let (x, w, bias) = (ctx.input(0)?, ctx.input(1)?, ctx.optional(2)?);
    let input = sliding::spatial(&ctx.b.shape(x)?, "ConvTranspose input X")?;
    let kernel = sliding::spatial(&ctx.b.shape(w)?, "ConvTranspose weight W")?;
    if kernel.len() != input.len() {
        let (expected, found) = ((input.len() + 2).to_string(), kernel.len() + 2);
        return Err(BuildError::Rank { what: "ConvTranspose weight W".to_string(), expected, found });
    }
    let dtype = ctx.b.dtype(x)?;
    let window = window(ctx, &input, &kernel)?;
    let groups = ctx.int_or("group", 1);
    let conv = ConvTranspose { window, groups, acc: accumulator(dtype), maths: Maths::Exact };
    let y = ctx.b.conv_transpose(&conv, x, w)?;
    Ok(vec![biased(ctx.b, y, bias, dtype)?.into()])
}

fn window(ctx: &Ctx<'_>, input: &[Dim], kernel: &[Dim]) -> Result<Window, BuildError> {
    let rank = input.len();
    let auto = sliding::auto_pad(ctx)?;
    let (pads_begin, pads_end) = sliding::pads(ctx, rank)?;
    let strides = sliding::per_dim(ctx, "strides", rank)?;
    let dilations = sliding::per_dim(ctx, "dilations", rank)?;
    let extra = match ctx.ints("output_padding") {
        None | Some([]) => vec![0; rank],
        Some(found) if found.len() == rank => found.to_vec(),
        Some(found) => return Err(sliding::mismatch("output_padding", &format!("{rank} numbers"), found)),
    };
    let wanted = match ctx.ints("output_shape") {
        None | Some([]) => None,
        Some(found) if found.len() == rank => Some(found),
        // Some exporters write the whole shape.
        Some(found) if found.len() == rank + 2 => Some(&found[2..]),
        Some(found) => return Err(sliding::mismatch("output_shape", &format!("{rank} numbers"), found)),
    };
    let mut window = Window { strides, dilations, pads_begin, pads_end, output: Vec::new() };
    let symbols = &ctx.b.model().symbols;
    for d in 0..rank {
        let steps = &(&input[d] - &Dim::constant(1)) * &Dim::constant(window.strides[d]);
        let whole = &(&steps + &Dim::constant(extra[d])) + &window.span(d, &kernel[d]);
        let same = matches!(auto, AutoPad::SameUpper | AutoPad::SameLower);
        let target = match wanted {
            Some(sizes) => Some(Dim::constant(sizes[d])),
            None if same => Some(&input[d] * &Dim::constant(window.strides[d])),
            None => None,
        };
        let Some(target) = target else {
            if auto == AutoPad::Valid {
                (window.pads_begin[d], window.pads_end[d]) = (Dim::constant(0), Dim::constant(0));
            }
            window.output.push(&(&whole - &window.pads_begin[d]) - &window.pads_end[d]);
            continue;
        };
        // Explicit pads stand even where a shape is asked for; else what is too much goes to both sides.
        if same || ctx.ints("pads").is_none_or(<[i64]>::is_empty) {
            let total = symbols.max(&Dim::constant(0), &(&whole - &target));
            let small = symbols.floor_div(&total, &Dim::constant(2));
            let large = &total - &small;
            let upper = auto == AutoPad::SameUpper;
            (window.pads_begin[d], window.pads_end[d]) = if upper { (small, large) } else { (large, small) };
        }
        window.output.push(target);
    }
    Ok(window)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::{check, f32s, int, ints, refusal, value};

    #[test]
    fn grouped_with_stride_and_pads() {
        let x = f32s(&[1, 2, 2], &[1.0, 2.0, 3.0, 4.0]);
        let w = f32s(&[2, 1, 3], &[1.0, 10.0, 100.0, 1.0, 1.0, 1.0]);
        let attrs =
            [("group", int(2)), ("strides", ints(&[2])), ("pads", ints(&[1, 0])), ("output_padding", ints(&[1]))];
        // Whole: 1 10 102 20 200 | 3 3 7 4 4; one zero more at the end, one element less at the start.
        let y = f32s(&[1, 2, 5], &[10.0, 102.0, 20.0, 200.0, 0.0, 3.0, 7.0, 4.0, 4.0, 0.0]);
        check(&OPERATOR, &attrs, &[value(x), value(w)], &[y]);
    }

    #[test]
    fn a_short_output_shape_is_refused() {
        let x = f32s(&[1, 1, 2, 2], &[0.0; 4]);
        let error = refusal(&OPERATOR, &[("output_shape", ints(&[4]))], &[value(x.clone()), value(x)]);
        assert!(error.to_string().contains("attribute output_shape: expected 2 numbers"), "{error}");
    }
}
