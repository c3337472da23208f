//! Conv: convolution of `[N, C, spatial…]` with `[M, C/group, kernel…]`, plus a bias a channel.
//!
//! <https://onnx.ai/onnx/operators/onnx__Conv.html>
//!
//! | opset | change |
//! |---|---|
//! | 1 | first |
//! | 11 | default strides and dilations written down |
//! | 22 | bfloat16 |
//!
//! Dtypes: all floats, summed in f32 or wider and rounded once, after the bias. Refused: no spatial dim; `kernel_shape` other
//! than the weight's.

use graph::builder::{BuildError, Builder};
use graph::dim::Dim;
use graph::dtype::DType;
use graph::graph::ValueId;
use graph::region::contract::{Maths, accumulator};
use graph::region::conv::Conv;

use crate::operator::{AttrKind, Ctx, Operator, attr, between, exactly};
use crate::sliding;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "Conv",
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
    ],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let (x, w, bias) = (ctx.input(0)?, ctx.input(1)?, ctx.optional(2)?);
    let dtype = ctx.b.dtype(x)?;
    let conv = attributes(ctx, x, w, accumulator(dtype))?;
    let y = ctx.b.conv(&conv, x, w)?;
    Ok(vec![biased(ctx.b, y, bias, dtype)?.into()])
}

/// The region's attributes, from the node's.
pub fn attributes(ctx: &Ctx<'_>, x: ValueId, w: ValueId, acc: DType) -> Result<Conv, BuildError> {
    let input = sliding::spatial(&ctx.b.shape(x)?, "Conv input X")?;
    let kernel = sliding::spatial(&ctx.b.shape(w)?, "Conv weight W")?;
    if kernel.len() != input.len() {
        let (expected, found) = ((input.len() + 2).to_string(), kernel.len() + 2);
        return Err(BuildError::Rank { what: "Conv weight W".to_string(), expected, found });
    }
    if let Some(declared) = ctx.ints("kernel_shape") {
        let fits = declared.len() == kernel.len() && declared.iter().zip(&kernel).all(|(d, k)| k.is(*d));
        if !fits && kernel.iter().all(|k| k.as_const().is_some()) {
            return Err(sliding::mismatch("kernel_shape", &format!("that of the weight, {kernel:?}"), declared));
        }
    }
    let window = sliding::window(ctx, &input, &kernel, false)?;
    Ok(Conv { window, groups: ctx.int_or("group", 1), acc, maths: Maths::Exact })
}

/// Adds a bias `[C]` to `[N, C, …]`, if there is one, and converts.
pub fn biased(b: &mut Builder, y: ValueId, bias: Option<ValueId>, dtype: DType) -> Result<ValueId, BuildError> {
    let Some(bias) = bias else { return b.cast(y, dtype) };
    let shape = b.shape(y)?;
    match (b.shape(bias)?.as_slice(), shape.as_slice()) {
        ([found], [_, channels, ..]) => b.assume_equal(found, channels, "one bias a channel")?,
        (found, _) => {
            let what = "bias".to_string();
            return Err(BuildError::Rank { what, expected: "1".to_string(), found: found.len() });
        }
    }
    b.compute(&[y, bias], shape, |p| {
        let index = p.indices();
        let (value, bias) = (p.load(0, &index), p.load(1, &index[1..2]));
        let wide = p.dtype(value);
        let bias = p.cast(bias, wide);
        let sum = p.add(value, bias);
        let sum = p.cast(sum, dtype);
        p.out(sum);
    })
}

/// A vector `[C]` shaped to broadcast over `[N, C, …]` of a rank.
pub fn per_channel(b: &mut Builder, vector: ValueId, rank: usize) -> Result<ValueId, BuildError> {
    let mut shape = b.shape(vector)?;
    shape.extend((2..rank).map(|_| Dim::constant(1)));
    b.reshape(vector, shape)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::{Case, check, f32s, int, ints, refusal, string, typed, value};

    #[test]
    fn depthwise_with_uneven_pads_and_bias() {
        let x = f32s(&[1, 2, 4], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
        let w = f32s(&[2, 1, 2], &[1.0, 10.0, 1.0, -1.0]);
        let b = f32s(&[2], &[0.5, 0.0]);
        let attrs = [("group", int(2)), ("pads", ints(&[1, 0])), ("strides", ints(&[2])), ("dilations", ints(&[2]))];
        let y = f32s(&[1, 2, 2], &[20.5, 42.5, -6.0, 6.0 - 8.0]);
        check(&OPERATOR, &attrs, &[value(x), value(w), value(b)], &[y]);
    }

    #[test]
    fn same_padding_of_unknown_extents() {
        let mut b = Builder::new("sizes");
        let h = b.input_symbol("h", 1, None);
        let dims = [Dim::from(1i64), Dim::from(3i64), h.clone()];
        let case = |stride| {
            Case::new(&OPERATOR)
                .arg(typed(DType::F32, &dims))
                .arg(typed(DType::F32, &[8i64, 3, 3].map(Dim::from)))
                .attr("auto_pad", string("SAME_LOWER"))
                .attr("strides", ints(&[stride]))
                .symbols(b.model().symbols.clone())
        };
        assert_eq!(case(1).shapes(), vec![vec![Dim::from(1i64), Dim::from(8i64), h.clone()]]);
        let half = b.model().symbols.ceil_div(&h, &Dim::from(2i64));
        assert_eq!(case(2).shapes(), vec![vec![Dim::from(1i64), Dim::from(8i64), half]]);
    }

    #[test]
    fn no_spatial_dim_is_refused() {
        let error = refusal(&OPERATOR, &[], &[value(f32s(&[1, 1], &[0.0])), value(f32s(&[1, 1], &[0.0]))]);
        assert!(error.to_string().contains("rank 2 of Conv input X"), "{error}");
    }
}
