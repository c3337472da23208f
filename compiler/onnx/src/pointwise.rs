//! What elementwise operators share: broadcasting of every opset, dtype checks, the width that formulas are computed in.

use graph::builder::{BuildError, Point};
use graph::dtype::{Class, DType};
use graph::expr::{BinOp, CmpOp, Expr, ExprId, UnOp};
use graph::graph::ValueId;

use crate::operator::Ctx;
use crate::value::ImportValue;

/// What an operator's `build` yields.
pub type Outputs = Result<Vec<ImportValue>, BuildError>;

/// Floats.
pub const FLOATS: &[Class] = &[Class::Float];
/// Signed and unsigned integers.
pub const INTEGERS: &[Class] = &[Class::Signed, Class::Unsigned];
/// Floats and integers.
pub const NUMBERS: &[Class] = &[Class::Float, Class::Signed, Class::Unsigned];
/// Truth values.
pub const BOOLS: &[Class] = &[Class::Bool];
/// Whatever has a fixed width: all but strings.
pub const NOT_STRINGS: &[Class] = &[Class::Float, Class::Signed, Class::Unsigned, Class::Bool];

/// One operation on every element of the input, whose dtype must be of these classes.
pub fn unary(ctx: &mut Ctx<'_>, op: UnOp, classes: &[Class]) -> Outputs {
    let x = ctx.input(0)?;
    require_class(ctx, 0, classes)?;
    let y = ctx.b.unary(op, x)?;
    Ok(vec![y.into()])
}

/// One operation on every pair of elements of the two inputs.
pub fn binary(ctx: &mut Ctx<'_>, op: BinOp, classes: &[Class]) -> Outputs {
    let [a, b] = pair(ctx)?;
    require_class(ctx, 0, classes)?;
    let y = ctx.b.binary(op, a, b)?;
    Ok(vec![y.into()])
}

/// One comparison of every pair of elements of the two inputs.
pub fn compare(ctx: &mut Ctx<'_>, op: CmpOp, classes: &[Class]) -> Outputs {
    let [a, b] = pair(ctx)?;
    require_class(ctx, 0, classes)?;
    let y = ctx.b.map(&[a, b], |p, v| p.add_expr(Expr::Compare(op, v[0], v[1])))?;
    Ok(vec![y.into()])
}

/// One operation over all inputs, from the first to the last.
pub fn variadic(ctx: &mut Ctx<'_>, op: BinOp) -> Outputs {
    let inputs = ctx.all_inputs()?;
    require_class(ctx, 0, NUMBERS)?;
    let y = ctx.b.map(&inputs, |p, v| v[1..].iter().fold(v[0], |acc, x| p.binary(op, acc, *x)))?;
    Ok(vec![y.into()])
}

/// A formula over every element of a float input, computed in f32 where the dtype is narrower.
pub fn formula(ctx: &mut Ctx<'_>, describe: impl FnOnce(&mut Point<'_>, ExprId) -> ExprId) -> Outputs {
    let x = ctx.input(0)?;
    require_class(ctx, 0, FLOATS)?;
    let y = ctx.b.map(&[x], |p, v| {
        let dtype = p.dtype(v[0]);
        let wide = p.cast(v[0], wide(dtype));
        let y = describe(p, wide);
        p.cast(y, dtype)
    })?;
    Ok(vec![y.into()])
}

/// The dtype that formulas are computed in: f64 for f64 and integers, else f32.
pub fn wide(dtype: DType) -> DType {
    if dtype.is_float() && dtype != DType::F64 { DType::F32 } else { DType::F64 }
}

/// The two inputs, the second brought into place where an opset before 7 says so by `broadcast` and `axis`.
pub fn pair(ctx: &mut Ctx<'_>) -> Result<[ValueId; 2], BuildError> {
    let (a, b) = (ctx.input(0)?, ctx.input(1)?);
    let Some(axis) = ctx.int("axis").filter(|_| ctx.opset < 7 && ctx.int_or("broadcast", 0) != 0) else {
        return Ok([a, b]);
    };
    let (rank, own) = (ctx.b.rank(a)?, ctx.b.rank(b)?);
    let axis = ctx.b.axis(axis, rank)?;
    let behind = rank.checked_sub(axis + own).ok_or_else(|| BuildError::Rank {
        what: "input 1".to_string(),
        expected: format!("at most {} behind axis {axis}", rank - axis),
        found: own,
    })?;
    let axes: Vec<usize> = (own..own + behind).collect();
    Ok([a, ctx.b.unsqueeze(b, &axes)?])
}

/// Refuses an input whose dtype is of none of these classes.
pub fn require_class(ctx: &Ctx<'_>, position: usize, classes: &[Class]) -> Result<(), BuildError> {
    let found = ctx.dtype(position)?;
    if classes.contains(&found.class()) {
        return Ok(());
    }
    let names: Vec<&str> = classes.iter().map(|c| class_name(*c)).collect();
    Err(BuildError::DType { what: format!("input {position} of {}", ctx.op_type), expected: names.join(", "), found })
}

fn class_name(class: Class) -> &'static str {
    match class {
        Class::Float => "floats",
        Class::Signed => "signed integers",
        Class::Unsigned => "unsigned integers",
        Class::Bool => "bool",
        Class::Str => "strings",
    }
}

/// The only element of a tensor of one element, as a tensor of rank 0.
pub fn scalar(ctx: &mut Ctx<'_>, position: usize) -> Result<Option<ValueId>, BuildError> {
    match ctx.optional(position)? {
        Some(value) => ctx.b.reshape(value, Vec::new()).map(Some),
        None => Ok(None),
    }
}

/// `ln(1 + e^x)` as `max(x, 0) + ln(1 + e^-|x|)`, which does not overflow.
pub fn softplus(p: &mut Point<'_>, x: ExprId) -> ExprId {
    let dtype = p.dtype(x);
    let (zero, magnitude) = (p.zero(dtype), p.unary(UnOp::Abs, x));
    let negative = p.unary(UnOp::Neg, magnitude);
    let tail = p.unary(UnOp::Exp, negative);
    let (log, line) = (p.unary(UnOp::Log1p, tail), p.max(x, zero));
    p.add(line, log)
}
