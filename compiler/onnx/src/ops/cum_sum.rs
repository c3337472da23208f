//! CumSum: running sum along an axis; `exclusive` leaves the element itself out, `reverse` starts at the end.
//!
//! <https://onnx.ai/onnx/operators/onnx__CumSum.html>
//!
//! | opset | change |
//! |---|---|
//! | 11 | first |
//! | 14 | bfloat16, float16 |
//!
//! Dtypes: all floats, int32, int64, uint32, uint64.

use graph::builder::BuildError;
use graph::dim::Dim;
use graph::node::Combiner;

use crate::operator::{AttrKind, Ctx, Operator, attr, exactly};
use crate::value::ImportValue;
use crate::{pointwise, sizes};

pub const OPERATOR: Operator = Operator {
    name: "CumSum",
    domain: "",
    versions: &[11, 14],
    inputs: exactly(2),
    outputs: exactly(1),
    attrs: &[attr("exclusive", AttrKind::Int), attr("reverse", AttrKind::Int)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    let x = ctx.input(0)?;
    pointwise::require_class(ctx, 0, pointwise::NUMBERS)?;
    let rank = ctx.b.rank(x)?;
    let (exclusive, reverse) = (ctx.int_or("exclusive", 0) != 0, ctx.int_or("reverse", 0) != 0);
    let axis = sizes::single(ctx, 1, -(rank as i64), Some(rank as i64 - 1))?;
    if let Some(axis) = axis.as_const() {
        let axis = ctx.b.axis(axis, rank)?;
        return Ok(vec![ctx.b.prefix(x, axis, Combiner::Sum, exclusive, reverse)?.into()]);
    }
    let mut y = x;
    for d in 0..rank {
        let along = ctx.b.prefix(x, d, Combiner::Sum, exclusive, reverse)?;
        let here = ctx.b.model().symbols.select(&sizes::names(&axis, d, rank), &Dim::constant(1), &Dim::constant(0));
        y = ctx.b.map(&[along, y], |p, v| {
            let (here, one) = (p.dim(&here), p.int(1));
            let taken = p.eq(here, one);
            p.select(taken, v[0], v[1])
        })?;
    }
    Ok(vec![y.into()])
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{check, constant, i64s, int, refusal, value};

    #[test]
    fn exclusive_from_the_end_with_the_axis_at_run_time() {
        let x = i64s(&[2, 3], &[1, 2, 3, 4, 5, 6]);
        let attrs = [("exclusive", int(1)), ("reverse", int(1))];
        let y = i64s(&[2, 3], &[5, 3, 0, 11, 6, 0]);
        check(&OPERATOR, &attrs, &[value(x.clone()), value(i64s(&[], &[-1]))], &[y.clone()]);
        check(&OPERATOR, &attrs, &[value(x), constant(i64s(&[1], &[1]))], &[y]);
    }

    #[test]
    fn an_axis_beyond_the_rank_is_refused() {
        let error = refusal(&OPERATOR, &[], &[value(i64s(&[1], &[1])), constant(i64s(&[], &[1]))]);
        assert_eq!(error.to_string(), "axis 1 is outside -1..1");
    }
}
