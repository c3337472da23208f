//! STFT: discrete Fourier transforms of overlapping frames of a signal, weighted by a window.
//!
//! <https://onnx.ai/onnx/operators/onnx__STFT.html>
//!
//! | opset | change |
//! |---|---|
//! | 17 | first |
//!
//! Dtypes: all floats, computed in f32 or wider. The signal is `[batch, length, 1 or 2]`, or `[batch, length]`; the result
//! `[batch, frames, frequencies, 2]`. Sizes may be computed at run time.

use graph::builder::BuildError;
use graph::dim::Dim;

use crate::operator::{AttrKind, Ctx, Operator, attr, between, exactly};
use crate::sizes;
use crate::spectrum::{Transform, transform};
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "STFT",
    domain: "",
    versions: &[17],
    inputs: between(2, 4),
    outputs: exactly(1),
    attrs: &[attr("onesided", AttrKind::Int)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let mut signal = ctx.input(0)?;
    if ctx.b.rank(signal)? == 2 {
        signal = ctx.b.unsqueeze(signal, &[2])?;
    }
    let shape = ctx.b.shape(signal)?;
    let [batch, samples, parts] = shape.as_slice() else {
        let what = "STFT signal".to_string();
        return Err(BuildError::Rank { what, expected: "2 or 3".to_string(), found: shape.len() });
    };
    let step = sizes::single(ctx, 1, 1, None)?;
    let window = ctx.optional(2)?;
    let length = match (ctx.optional(3)?, window) {
        (Some(_), _) => sizes::single(ctx, 3, 1, None)?,
        (None, Some(window)) => ctx.b.shape(window)?.first().cloned().unwrap_or_default(),
        (None, None) => samples.clone(),
    };
    if let Some(window) = window {
        let found = ctx.b.shape(window)?.first().cloned().unwrap_or_default();
        ctx.b.assume_equal(&found, &length, "the window is as long as a frame")?;
    }
    let frames = &ctx.b.model().symbols.floor_div(&(samples - &length), &step) + &Dim::constant(1);
    let operands: Vec<_> = [signal].into_iter().chain(window).collect();
    let framed = vec![batch.clone(), frames, length.clone(), parts.clone()];
    let framed = ctx.b.compute(&operands, framed, |p| {
        let index = p.indices();
        let step = p.dim(&step);
        let start = p.mul(index[1], step);
        let at = p.add(start, index[2]);
        let mut value = p.load(0, &[index[0], at, index[3]]);
        if window.is_some() {
            let weight = p.load(1, &index[2..3]);
            let weight = p.cast(weight, p.dtype(value));
            value = p.mul(value, weight);
        }
        p.out(value);
    })?;
    let onesided = ctx.int_or("onesided", 1) != 0;
    Ok(vec![transform(ctx.b, framed, 2, &Transform { length, inverse: false, onesided })?.into()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::{check, f32s, i64s, refusal, value};

    #[test]
    fn frames_of_two_under_a_window() {
        let signal = f32s(&[1, 4], &[1.0, 2.0, 3.0, 4.0]);
        let inputs = [value(signal), value(i64s(&[], &[2])), value(f32s(&[2], &[1.0, 10.0]))];
        let y = f32s(&[1, 2, 2, 2], &[21.0, 0.0, -19.0, 0.0, 43.0, 0.0, -37.0, 0.0]);
        check(&OPERATOR, &[], &inputs, &[y]);
    }

    #[test]
    fn a_vector_is_refused() {
        let error = refusal(&OPERATOR, &[], &[value(f32s(&[1], &[0.0])), value(i64s(&[], &[1]))]);
        assert!(error.to_string().contains("rank 1 of STFT signal"), "{error}");
    }
}
