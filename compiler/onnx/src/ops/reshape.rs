//! Reshape: the same elements in row-major order under another shape. 0 keeps an extent (unless `allowzero`), -1 is inferred.
//!
//! <https://onnx.ai/onnx/operators/onnx__Reshape.html>
//!
//! | opset | change |
//! |---|---|
//! | 1 | first |
//! | 5 | signed integers, unsigned integers, complex, bool, strings; `shape` is an input; `consumed_inputs` gone |
//! | 13 | bfloat16 |
//! | 14 | attribute `allowzero` |
//! | 19 | 8-bit floats |
//! | 21 | 4-bit integers |
//! | 23 | float4e2m1 |
//! | 24 | float8e8m0 |
//! | 25 | 2-bit integers |
//!
//! Dtypes: all but strings.
//!
//! Refused: a shape tensor of unknown length, two extents of -1.

use graph::builder::BuildError;
use graph::dim::{Dim, Pred};

use crate::operator::{AttrKind, Ctx, Operator, attr, between, exactly};
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "Reshape",
    domain: "",
    versions: &[1, 5, 13, 14, 19, 21, 23, 24, 25],
    inputs: between(1, 2),
    outputs: exactly(1),
    attrs: &[attr("allowzero", AttrKind::Int), attr("consumed_inputs", AttrKind::Ints), attr("shape", AttrKind::Ints)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let x = ctx.input(0)?;
    let from = ctx.shape(0)?;
    let wanted = match ctx.ints("shape") {
        Some(shape) => shape.iter().map(|d| Dim::constant(*d)).collect(),
        None => ctx.dims(1, -1, None)?,
    };
    let shape = target(ctx, &from, &wanted)?;
    Ok(vec![ctx.b.reshape(x, shape)?.into()])
}

/// The shape that `wanted` asks for: every 0 and -1 replaced, by selection where only the running model knows it.
fn target(ctx: &Ctx<'_>, from: &[Dim], wanted: &[Dim]) -> Result<Vec<Dim>, BuildError> {
    let symbols = &ctx.b.model().symbols;
    let keeps_zero = ctx.int_or("allowzero", 0) != 0;
    let (zero, one) = (Dim::constant(0), Dim::constant(1));
    // Made of sizes alone, an element is a size itself, neither a 0 nor a -1 with a meaning: where it is 0, so is the tensor.
    let is_size = |d: &Dim| {
        let mut natural = d.as_const().is_none();
        d.for_each_symbol(&mut |id| natural &= symbols.get(id).is_some_and(|s| s.lo >= 0));
        natural
    };
    let inferred = |d: &Dim| if is_size(d) { Pred::Const(false) } else { Pred::Eq(d.clone(), Dim::constant(-1)) };
    if let Some(value) = wanted.iter().filter_map(Dim::as_const).find(|v| *v < -1) {
        return Err(BuildError::NegativeDim { found: value });
    }
    if wanted.iter().filter(|d| d.is(-1)).count() > 1 {
        return Err(BuildError::Operand {
            what: "shape of Reshape".to_string(),
            expected: "at most one -1".to_string(),
            found: format!("{wanted:?}"),
        });
    }
    let kept: Vec<Dim> = wanted
        .iter()
        .enumerate()
        .map(|(d, size)| match from.get(d) {
            Some(extent) if !keeps_zero && !is_size(size) => {
                symbols.select(&Pred::Eq(size.clone(), zero.clone()), extent, size)
            }
            _ => size.clone(),
        })
        .collect();
    let known: Vec<Dim> = wanted.iter().zip(&kept).map(|(w, k)| symbols.select(&inferred(w), &one, k)).collect();
    let rest = symbols.floor_div(&Dim::product(from), &Dim::product(&known));
    Ok(wanted.iter().zip(&kept).map(|(w, k)| symbols.select(&inferred(w), &rest, k)).collect())
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{check, constant, f32s, i64s, int, refusal, value};

    #[test]
    fn zero_and_minus_one_at_run_time() {
        let x = f32s(&[2, 3, 4], &[1.5; 24]);
        check(&OPERATOR, &[], &[value(x.clone()), value(i64s(&[3], &[0, -1, 2]))], &[f32s(&[2, 6, 2], &[1.5; 24])]);
        check(&OPERATOR, &[], &[value(x), value(i64s(&[1], &[24]))], &[f32s(&[24], &[1.5; 24])]);
    }

    #[test]
    fn zero_is_a_size_with_allowzero() {
        let x = f32s(&[0, 3], &[]);
        let attrs = [("allowzero", int(1))];
        check(&OPERATOR, &attrs, &[value(x), value(i64s(&[3], &[5, 0, 2]))], &[f32s(&[5, 0, 2], &[])]);
    }

    #[test]
    fn two_inferred_extents_are_refused() {
        let shape = i64s(&[2], &[-1, -1]);
        let error = refusal(&OPERATOR, &[], &[value(f32s(&[4], &[0.0; 4])), constant(shape)]);
        assert!(error.to_string().starts_with("shape of Reshape: expected at most one -1"), "{error}");
    }
}
