//! PRelu: `x` where not negative, else `slope x`; the slope broadcasts to `x`.
//!
//! <https://onnx.ai/onnx/operators/onnx__PRelu.html>
//!
//! | opset | change |
//! |---|---|
//! | 1 | first |
//! | 6 | `consumed_inputs` gone |
//! | 7 | the slope broadcasts as in NumPy |
//! | 9 | int32, int64, uint32, uint64 |
//! | 16 | bfloat16 |
//!
//! Dtypes: all floats, int32, int64, uint32, uint64.
//!
//! Refused: a slope of higher rank than `x`.

use graph::builder::BuildError;

use crate::operator::{AttrKind, Ctx, Operator, attr, exactly};
use crate::pointwise;
use crate::value::ImportValue;

pub const OPERATOR: Operator = Operator {
    name: "PRelu",
    domain: "",
    versions: &[1, 6, 7, 9, 16],
    inputs: exactly(2),
    outputs: exactly(1),
    attrs: &[attr("consumed_inputs", AttrKind::Ints)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let (x, mut slope) = (ctx.input(0)?, ctx.input(1)?);
    pointwise::require_class(ctx, 0, pointwise::NUMBERS)?;
    let (rank, own) = (ctx.b.rank(x)?, ctx.shape(1)?);
    if let [extent] = own.as_slice()
        && ctx.opset < 7
        && rank > 2
        && !extent.is(1)
    {
        let axes: Vec<usize> = (1..rank - 1).collect();
        slope = ctx.b.unsqueeze(slope, &axes)?;
    }
    if own.len() > rank {
        return Err(BuildError::Rank {
            what: "the slope".to_string(),
            expected: format!("at most {rank}"),
            found: own.len(),
        });
    }
    let y = ctx.b.map(&[x, slope], |p, v| {
        let dtype = p.dtype(v[0]);
        let zero = p.zero(dtype);
        let (scaled, negative) = (p.mul(v[1], v[0]), p.lt(v[0], zero));
        p.select(negative, scaled, v[0])
    })?;
    Ok(vec![y.into()])
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{Case, f32s, refusal, value};

    #[test]
    fn slope_per_channel_of_old_opsets() {
        let x = f32s(&[1, 2, 2, 1], &[-1.0, 1.0, -2.0, -3.0]);
        let case = Case::new(&OPERATOR).opset(6).value(x).value(f32s(&[2], &[2.0, 10.0]));
        case.expect(&[f32s(&[1, 2, 2, 1], &[-2.0, 1.0, -20.0, -30.0])]);
    }

    #[test]
    fn slope_of_higher_rank_is_refused() {
        let error = refusal(&OPERATOR, &[], &[value(f32s(&[1], &[1.0])), value(f32s(&[1, 1], &[1.0]))]);
        assert_eq!(error.to_string(), "rank 2 of the slope, expected at most 1");
    }
}
