//! Range: `start + i delta` for `i` below `max(0, ceil((limit - start) / delta))`.
//!
//! <https://onnx.ai/onnx/operators/onnx__Range.html>
//!
//! | opset | change |
//! |---|---|
//! | 11 | first |
//! | 27 | bfloat16, float16; attribute `stash_type` |
//!
//! Dtypes: all floats, int16, int32, int64.

use graph::builder::BuildError;
use graph::dim::{Dim, Pred};
use graph::dtype::DType;
use graph::expr::{Expr, Rounding, UnOp};
use graph::graph::ValueId;

use crate::operator::{AttrKind, Ctx, Operator, attr, exactly};
use crate::value::ImportValue;
use crate::{indexing, pointwise, sizes};

pub const OPERATOR: Operator = Operator {
    name: "Range",
    domain: "",
    versions: &[11, 27],
    inputs: exactly(3),
    outputs: exactly(1),
    attrs: &[attr("stash_type", AttrKind::Int)],
    build,
};

fn build(ctx: &mut Ctx<'_>) -> Result<Vec<ImportValue>, BuildError> {
    pointwise::require_class(ctx, 0, pointwise::NUMBERS)?;
    let y = if ctx.dtype(0)?.is_float() { of_floats(ctx)? } else { of_integers(ctx)? };
    Ok(vec![y.into()])
}

fn of_integers(ctx: &mut Ctx<'_>) -> Result<ValueId, BuildError> {
    let dtype = ctx.dtype(0)?;
    let start = sizes::single(ctx, 0, i64::MIN, None)?;
    let limit = sizes::single(ctx, 1, i64::MIN, None)?;
    let delta = sizes::single(ctx, 2, i64::MIN, None)?;
    let zero = Dim::constant(0);
    ctx.b.assume(Pred::Not(Box::new(Pred::Eq(delta.clone(), zero.clone()))), "the delta of Range is not 0")?;
    let symbols = &ctx.b.model().symbols;
    let count = match delta.as_const() {
        Some(d) if d < 0 => symbols.ceil_div(&(&start - &limit), &-&delta),
        _ => symbols.ceil_div(&(&limit - &start), &delta),
    };
    let count = symbols.max(&zero, &count);
    ctx.b.compute(&[], vec![count], |p| {
        let i = p.index(0);
        let value = indexing::stride(p, i, &start, &delta);
        let value = p.cast(value, dtype);
        p.out(value);
    })
}

fn of_floats(ctx: &mut Ctx<'_>) -> Result<ValueId, BuildError> {
    let dtype = ctx.dtype(0)?;
    let wide = if ctx.int_or("stash_type", 1) == 1 { pointwise::wide(dtype) } else { dtype };
    let mut operands = Vec::with_capacity(3);
    for position in 0..3 {
        let flat = ctx.input(position)?;
        operands.push(ctx.b.reshape(flat, Vec::new())?);
    }
    let count = ctx.b.compute(&operands, Vec::new(), |p| {
        let [start, limit, delta] = [0, 1, 2].map(|k| {
            let value = p.load(k, &[]);
            p.cast(value, wide)
        });
        let span = p.sub(limit, start);
        let steps = p.div(span, delta);
        let whole = p.unary(UnOp::Ceil, steps);
        let zero = p.zero(wide);
        let positive = p.max(whole, zero);
        let rounding = Rounding::Nearest;
        let count = p.add_expr(Expr::Cast { to: DType::I64, saturate: true, rounding, value: positive });
        p.out(count);
    })?;
    let shape = ctx.b.dims_of(count, 0, None)?;
    ctx.b.compute(&operands, shape, |p| {
        let [start, delta] = [0, 2].map(|k| {
            let value = p.load(k, &[]);
            p.cast(value, wide)
        });
        let i = p.index(0);
        let i = p.cast(i, wide);
        let offset = p.mul(i, delta);
        let value = p.add(start, offset);
        let value = p.cast(value, dtype);
        p.out(value);
    })
}

#[cfg(test)]
mod tests {
    use super::OPERATOR;
    use crate::ops_testing::{check, constant, f32s, i64s, refusal, value};

    #[test]
    fn both_directions_at_run_time() {
        let run = |start, limit, delta, y: &[i64]| {
            let inputs = [start, limit, delta].map(|v| value(i64s(&[], &[v])));
            check(&OPERATOR, &[], &inputs, &[i64s(&[y.len()], y)]);
        };
        run(10, 4, -2, &[10, 8, 6]);
        run(0, 5, 2, &[0, 2, 4]);
        run(0, 5, -1, &[]);
        let inputs = [0.0, 1.0, 0.25].map(|v| value(f32s(&[], &[v])));
        check(&OPERATOR, &[], &inputs, &[f32s(&[4], &[0.0, 0.25, 0.5, 0.75])]);
    }

    #[test]
    fn a_delta_of_zero_is_refused() {
        let zero = || constant(i64s(&[], &[0]));
        let error = refusal(&OPERATOR, &[], &[zero(), zero(), zero()]);
        assert!(error.to_string().starts_with("the delta of Range is not 0 cannot hold"), "{error}");
    }
}
