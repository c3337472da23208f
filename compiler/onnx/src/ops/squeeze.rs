//! Squeeze: drops dims of extent 1: those that `axes` name, or all.
//!
//! <https://onnx.ai/onnx/operators/onnx__Squeeze.html>
//!
//! | opset | change |
//! |---|---|
//! | 1 | first |
//! | 11 | wording of the specification |
//! | 13 | bfloat16; `axes` is an input |
//! | 21 | 8-bit floats, 4-bit integers |
//! | 23 | float4e2m1 |
//! | 24 | float8e8m0 |
//! | 25 | 2-bit integers |
//!
//! Dtypes: all but strings.
//!
//! Refused: `axes` of unknown length, as they decide the rank.

use graph::builder::BuildError;
use graph::dim::{Dim, Pred};

use crate::operator::{AttrKind, Ctx, Operator, attr, between, exactly};
use crate::sizes;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "Squeeze",
    domain: "",
    versions: &[1, 11, 13, 21, 23, 24, 25],
    inputs: between(1, 2),
    outputs: exactly(1),
    attrs: &[attr("axes", AttrKind::Ints)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let x = ctx.input(0)?;
    let from = ctx.shape(0)?;
    let axes = match sizes::axes(ctx, 1, from.len())? {
        Some(axes) => axes,
        None => {
            for extent in from.iter().filter(|e| e.as_const().is_none()) {
                let one = Pred::Eq(extent.clone(), Dim::constant(1));
                ctx.b.assume(Pred::Not(Box::new(one)), "an unknown extent that Squeeze keeps is not 1")?;
            }
            (0..from.len()).filter(|d| from[*d].is(1)).map(Dim::from).collect()
        }
    };
    for (d, extent) in from.iter().enumerate() {
        let kept = Pred::Not(Box::new(sizes::any_names(&axes, d, from.len())));
        let one = Pred::Eq(extent.clone(), Dim::constant(1));
        ctx.b.assume(Pred::Or(vec![kept, one]), "a squeezed extent is 1")?;
    }
    let shape = sizes::without_axes(ctx.b, &from, &axes);
    Ok(vec![ctx.b.reshape(x, shape)?.into()])
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{check, constant, f32s, i64s, refusal, value};

    #[test]
    fn axes_at_run_time() {
        let x = f32s(&[1, 2, 1, 3], &[0.5; 6]);
        check(&OPERATOR, &[], &[value(x.clone()), value(i64s(&[1], &[-2]))], &[f32s(&[1, 2, 3], &[0.5; 6])]);
        check(&OPERATOR, &[], &[value(x.clone()), value(i64s(&[2], &[2, 0]))], &[f32s(&[2, 3], &[0.5; 6])]);
        check(&OPERATOR, &[], &[value(x)], &[f32s(&[2, 3], &[0.5; 6])]);
    }

    #[test]
    fn an_extent_of_two_is_refused() {
        let error = refusal(&OPERATOR, &[], &[value(f32s(&[2], &[1.0, 2.0])), constant(i64s(&[1], &[0]))]);
        assert!(error.to_string().starts_with("a squeezed extent is 1 cannot hold"), "{error}");
    }
}
