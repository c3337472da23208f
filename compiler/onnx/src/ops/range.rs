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
use graph::node::Op;

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
    let shape = match whole_count(ctx)? {
        Some(count) => vec![count],
        None => counted(ctx, &operands, wide)?,
    };
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

/// Integers up to this are `f32`s.
const EXACT: i64 = 1 << 24;

/// How many there are if start, limit and delta are whole numbers that are known as sizes.
fn whole_count(ctx: &mut Ctx<'_>) -> Result<Option<Dim>, BuildError> {
    if !matches!(ctx.dtype(0)?, DType::F32 | DType::F64) {
        return Ok(None);
    }
    let [start, limit, delta] = [0, 1, 2].map(|position| whole(ctx, position));
    let (Some(start), Some(limit), Some(delta)) = (start, limit, delta.and_then(|d| d.as_const())) else {
        return Ok(None);
    };
    if delta == 0 {
        return Ok(None);
    }
    for end in [&start, &limit] {
        ctx.b.assume(Pred::Le(end.clone(), Dim::constant(EXACT)), "a size that Range counts to is at most 2^24")?;
    }
    let symbols = &ctx.b.model().symbols;
    let span = if delta < 0 { &start - &limit } else { &limit - &start };
    let count = symbols.ceil_div(&span, &Dim::constant(delta.saturating_abs()));
    Ok(Some(symbols.max(&Dim::constant(0), &count)))
}

/// An input as a size: a whole constant, or what was an integer before it was cast.
fn whole(ctx: &mut Ctx<'_>, position: usize) -> Option<Dim> {
    let value = ctx.input(position).ok()?;
    if let Some(tensor) = ctx.b.const_tensor(value) {
        let [number] = tensor.to_f64s()[..] else { return None };
        let fits = number.fract() == 0.0 && number.abs() <= EXACT as f64;
        return fits.then(|| Dim::constant(number as i64));
    }
    let node = ctx.b.graph().nodes.iter().rev().find(|n| n.results.contains(&value))?;
    let (Op::Compute(compute), [source]) = (&node.op, node.operands.as_slice()) else { return None };
    let [out] = compute.outs[..] else { return None };
    let Expr::Cast { value: cast, .. } = compute.exprs.get(out)? else { return None };
    let Expr::Load { or: None, .. } = compute.exprs.get(*cast)? else { return None };
    let contents = ctx.b.contents(*source)?;
    let [size] = &contents[..] else { return None };
    (ctx.b.model().symbols.range(size).lo >= -i128::from(EXACT)).then(|| size.clone())
}

/// The number of steps, counted in floats while the model runs.
fn counted(ctx: &mut Ctx<'_>, operands: &[ValueId], wide: DType) -> Result<Vec<Dim>, BuildError> {
    let count = ctx.b.compute(operands, Vec::new(), |p| {
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
    ctx.b.dims_of(count, 0, None)
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
