//! Normalizer (ai.onnx.ml): divides each row by its greatest element, its sum of absolute values or its Euclidean norm.
//!
//! <https://onnx.ai/onnx/operators/onnx_aionnxml_Normalizer.html>
//!
//! | opset | change |
//! |---|---|
//! | 1 | first |
//!
//! Dtypes: f32, f64, i32, i64; the result is f32. Rows run along the last of one or two dims; a row whose divisor is 0
//! stays as it is. `MAX` takes the greatest element, not the greatest magnitude, as the specification's formula has it
//! (ONNX's reference implementation takes the magnitude). Refused: another `norm`, more dims.

use graph::builder::BuildError;
use graph::dtype::DType;
use graph::expr::UnOp;
use graph::node::Combiner;

use crate::operator::{AttrKind, Ctx, Operator, attr, exactly};
use crate::pointwise;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "Normalizer",
    domain: "ai.onnx.ml",
    versions: &[1],
    inputs: exactly(1),
    outputs: exactly(1),
    attrs: &[attr("norm", AttrKind::String)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let x = ctx.input(0)?;
    pointwise::require_class(ctx, 0, pointwise::NUMBERS)?;
    let rank = ctx.b.rank(x)?;
    if !(1..=2).contains(&rank) {
        return Err(BuildError::Rank {
            what: "input of Normalizer".to_string(),
            expected: "1 or 2".to_string(),
            found: rank,
        });
    }
    let norm = ctx.string("norm").unwrap_or("MAX").to_string();
    // Combiner of the divisor, what it combines, and what becomes of the sum.
    let (combiner, term, root): (Combiner, Term, bool) = match norm.as_str() {
        "MAX" => (Combiner::Max, Term::Value, false),
        "L1" => (Combiner::Sum, Term::Magnitude, false),
        "L2" => (Combiner::Sum, Term::Square, true),
        other => {
            let expected = "MAX, L1 or L2".to_string();
            return Err(BuildError::Attr { name: "norm".to_string(), expected, found: other.to_string() });
        }
    };
    let wide = if ctx.b.dtype(x)? == DType::F32 { DType::F32 } else { DType::F64 };
    let divisor = ctx.b.reduce_with(
        x,
        &[rank - 1],
        true,
        combiner,
        |p, e| {
            let e = p.cast(e, wide);
            match term {
                Term::Value => e,
                Term::Magnitude => p.unary(UnOp::Abs, e),
                Term::Square => p.mul(e, e),
            }
        },
        |p, sum| if root { p.unary(UnOp::Sqrt, sum) } else { sum },
    )?;
    let y = ctx.b.map(&[x, divisor], |p, v| {
        let x = p.cast(v[0], wide);
        let zero = p.zero(wide);
        let empty = p.eq(v[1], zero);
        let quotient = p.div(x, v[1]);
        let y = p.select(empty, x, quotient);
        p.cast(y, DType::F32)
    })?;
    Ok(vec![y.into()])
}

/// What the divisor combines.
#[derive(Clone, Copy)]
enum Term {
    Value,
    Magnitude,
    Square,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_testing::{check, f32s, i64s, refusal, string, value};

    fn check_rows(norm: &str, expected: &[f32]) {
        let x = f32s(&[2, 2], &[-3.0, 4.0, 0.0, 0.0]);
        check(&OPERATOR, &[("norm", string(norm))], &[value(x)], &[f32s(&[2, 2], expected)]);
    }

    #[test]
    fn rows_are_divided_and_rows_of_zeros_stay() {
        check_rows("MAX", &[-0.75, 1.0, 0.0, 0.0]);
        check_rows("L1", &[-3.0 / 7.0, 4.0 / 7.0, 0.0, 0.0]);
        check_rows("L2", &[-0.6, 0.8, 0.0, 0.0]);
    }

    #[test]
    fn integers_of_one_row_become_floats() {
        check(&OPERATOR, &[], &[value(i64s(&[2], &[1, 4]))], &[f32s(&[2], &[0.25, 1.0])]);
    }

    #[test]
    fn other_norms_and_ranks_are_refused() {
        let error = refusal(&OPERATOR, &[("norm", string("L3"))], &[value(f32s(&[1], &[0.0]))]);
        assert_eq!(error.to_string(), "attribute norm: expected MAX, L1 or L2, found L3");
        let error = refusal(&OPERATOR, &[], &[value(f32s(&[1, 1, 1], &[0.0]))]);
        assert_eq!(error.to_string(), "rank 3 of input of Normalizer, expected 1 or 2");
    }
}
