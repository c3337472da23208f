//! What reductions share: axes of every opset, known or only at run time.
//!
//! An axis list of static length fixes the rank of the result, so lists that only the running model knows are no special
//! case: a dim that may or may not be reduced has a result extent and a reduction extent of which one is 1, and the sum of
//! both indices is the position in the input.

use graph::builder::{BuildError, Point};
use graph::dim::{Dim, Pred};
use graph::dtype::DType;
use graph::expr::{ExprId, UnOp};
use graph::graph::ValueId;
use graph::node::Combiner;

use crate::operator::Ctx;
use crate::pointwise::{self, Outputs};
use crate::sizes;

/// One dim of the input of a reduction.
struct Part {
    extent: Dim,
    /// `None`: only the running model knows.
    reduced: Option<bool>,
    /// Extent in the result with reduced dims kept.
    kept: Dim,
    /// Elements that come together.
    depth: Dim,
}

/// What is reduced, and how the result looks.
pub struct Reduction {
    x: ValueId,
    parts: Vec<Part>,
    /// Shape of the result.
    shape: Vec<Dim>,
    /// Elements that come together in one result.
    pub count: Dim,
}

impl Reduction {
    /// Reads input 0, the axes (attribute, or input 1) and `keepdims`.
    pub fn of(ctx: &mut Ctx<'_>) -> Result<Reduction, BuildError> {
        let x = ctx.input(0)?;
        let from = ctx.shape(0)?;
        let mut axes = sizes::axes(ctx, 1, from.len())?.unwrap_or_default();
        if axes.is_empty() && ctx.int_or("noop_with_empty_axes", 0) == 0 {
            axes = sizes::all_axes(from.len());
        }
        let keep = ctx.int_or("keepdims", 1) != 0;
        let shape = if keep { None } else { Some(sizes::without_axes(ctx.b, &from, &axes)) };
        let symbols = &ctx.b.model().symbols;
        let one = Dim::constant(1);
        let rank = from.len();
        let parts: Vec<Part> = from
            .into_iter()
            .enumerate()
            .map(|(d, extent)| {
                let here = sizes::any_names(&axes, d, rank);
                let kept = symbols.select(&here, &one, &extent);
                let depth = symbols.select(&here, &extent, &one);
                Part { reduced: symbols.prove(&here), extent, kept, depth }
            })
            .collect();
        let shape = shape.unwrap_or_else(|| parts.iter().map(|p| p.kept.clone()).collect());
        let count = parts.iter().fold(one, |acc, p| &acc * &p.depth);
        Ok(Reduction { x, parts, shape, count })
    }

    /// Combines `before(element)` of `x` (input 0 or a value of its shape); applies `after` to the result.
    pub fn run(
        &self,
        ctx: &mut Ctx<'_>,
        x: ValueId,
        combiner: Combiner,
        before: impl FnOnce(&mut Point<'_>, ExprId) -> ExprId,
        after: impl FnOnce(&mut Point<'_>, ExprId) -> ExprId,
    ) -> Result<ValueId, BuildError> {
        let kept = self.run_kept(ctx, x, combiner, before, after)?;
        ctx.b.reshape(kept, self.shape.clone())
    }

    /// As [`Reduction::run`], with reduced dims kept.
    pub fn run_kept(
        &self,
        ctx: &mut Ctx<'_>,
        x: ValueId,
        combiner: Combiner,
        before: impl FnOnce(&mut Point<'_>, ExprId) -> ExprId,
        after: impl FnOnce(&mut Point<'_>, ExprId) -> ExprId,
    ) -> Result<ValueId, BuildError> {
        let shape: Vec<Dim> = self.parts.iter().map(|p| p.kept.clone()).collect();
        ctx.b.compute(&[x], shape, |p| {
            let mut index = Vec::with_capacity(self.parts.len());
            for (d, part) in self.parts.iter().enumerate() {
                let parallel = p.index(d);
                index.push(match part.reduced {
                    Some(false) => parallel,
                    Some(true) => p.reduce(&part.depth),
                    None => {
                        let along = p.reduce(&part.depth);
                        p.add(parallel, along)
                    }
                });
            }
            let element = p.load(0, &index);
            let value = before(p, element);
            let idle = self.parts.iter().all(|part| part.reduced == Some(false));
            let acc = if idle { value } else { p.acc(combiner, value) };
            let out = after(p, acc);
            p.out(out);
        })
    }

    /// Element of an operand with reduced dims kept that belongs to the present element of the input's shape.
    fn load_kept(&self, p: &mut Point<'_>, operand: usize) -> ExprId {
        let mut index = Vec::with_capacity(self.parts.len());
        for (d, part) in self.parts.iter().enumerate() {
            let here = p.index(d);
            index.push(match part.reduced {
                Some(false) => here,
                Some(true) => p.int(0),
                None => {
                    let (kept, one, zero) = (p.dim(&part.kept), p.int(1), p.int(0));
                    let flat = p.eq(kept, one);
                    p.select(flat, zero, here)
                }
            });
        }
        p.load(operand, &index)
    }

    /// `combine(element, kept)` of the input and a value with reduced dims kept.
    fn spread(
        &self,
        ctx: &mut Ctx<'_>,
        x: ValueId,
        kept: ValueId,
        combine: impl FnOnce(&mut Point<'_>, ExprId, ExprId) -> ExprId,
    ) -> Result<ValueId, BuildError> {
        let shape: Vec<Dim> = self.parts.iter().map(|p| p.extent.clone()).collect();
        ctx.b.compute(&[x, kept], shape, |p| {
            let index = p.indices();
            let (element, kept) = (p.load(0, &index), self.load_kept(p, 1));
            let out = combine(p, element, kept);
            p.out(out);
        })
    }
}

/// A reduction in the dtype of the input.
pub fn plain(ctx: &mut Ctx<'_>, combiner: Combiner) -> Outputs {
    pointwise::require_class(ctx, 0, pointwise::NUMBERS)?;
    let reduction = Reduction::of(ctx)?;
    Ok(vec![reduction.run(ctx, reduction.x, combiner, |_, e| e, |_, acc| acc)?.into()])
}

/// An extremum; of truth values, whether any or all hold.
pub fn extremum(ctx: &mut Ctx<'_>, of_numbers: Combiner, of_bools: Combiner) -> Outputs {
    pointwise::require_class(ctx, 0, pointwise::NOT_STRINGS)?;
    let combiner = if ctx.dtype(0)? == DType::Bool { of_bools } else { of_numbers };
    let reduction = Reduction::of(ctx)?;
    Ok(vec![reduction.run(ctx, reduction.x, combiner, |_, e| e, |_, acc| acc)?.into()])
}

/// A sum of `before(element)` to which `after` is applied. Floats narrower than 32 bits are computed in f32; integers as
/// they are, or in f64 where `real`.
pub fn sum(
    ctx: &mut Ctx<'_>,
    real: bool,
    before: impl FnOnce(&mut Point<'_>, ExprId) -> ExprId,
    after: impl FnOnce(&mut Point<'_>, ExprId, &Dim) -> ExprId,
) -> Outputs {
    pointwise::require_class(ctx, 0, pointwise::NUMBERS)?;
    let dtype = ctx.dtype(0)?;
    let wide = if dtype.is_float() || real { pointwise::wide(dtype) } else { dtype };
    let reduction = Reduction::of(ctx)?;
    let y = reduction.run(
        ctx,
        reduction.x,
        Combiner::Sum,
        |p, e| {
            let e = p.cast(e, wide);
            before(p, e)
        },
        |p, acc| {
            let y = after(p, acc, &reduction.count);
            p.cast(y, dtype)
        },
    )?;
    Ok(vec![y.into()])
}

/// `log(sum(e^x))`, with the largest element taken out of the exponents unless it is infinite.
pub fn log_sum_exp(ctx: &mut Ctx<'_>) -> Outputs {
    pointwise::require_class(ctx, 0, pointwise::NUMBERS)?;
    let dtype = ctx.dtype(0)?;
    let wide = pointwise::wide(dtype);
    let reduction = Reduction::of(ctx)?;
    let top = reduction.run_kept(
        ctx,
        reduction.x,
        Combiner::Max,
        |p, e| p.cast(e, wide),
        |p, top| {
            let (infinite, zero) = (p.unary(UnOp::IsInf, top), p.zero(wide));
            p.select(infinite, zero, top)
        },
    )?;
    let terms = reduction.spread(ctx, reduction.x, top, |p, e, top| {
        let e = p.cast(e, wide);
        let below = p.sub(e, top);
        p.unary(UnOp::Exp, below)
    })?;
    let log = reduction.run_kept(ctx, terms, Combiner::Sum, |_, e| e, |p, total| p.unary(UnOp::Log, total))?;
    let y = ctx.b.map(&[log, top], |p, v| {
        let sum = p.add(v[0], v[1]);
        p.cast(sum, dtype)
    })?;
    Ok(vec![ctx.b.reshape(y, reduction.shape.clone())?.into()])
}

/// Position of the best element along `axis`.
pub fn arg(ctx: &mut Ctx<'_>, combiner: fn(bool) -> Combiner) -> Outputs {
    pointwise::require_class(ctx, 0, pointwise::NUMBERS)?;
    let x = ctx.input(0)?;
    let axis = ctx.b.axis(ctx.int_or("axis", 0), ctx.b.rank(x)?)?;
    let (keep, last) = (ctx.int_or("keepdims", 1) != 0, ctx.int_or("select_last_index", 0) != 0);
    let extent = ctx.b.shape(x)?.swap_remove(axis);
    let filled = Pred::Le(Dim::constant(1), extent);
    ctx.b.assume(filled, "the axis that is searched has elements")?;
    Ok(vec![ctx.b.reduce(x, &[axis], keep, combiner(last))?.into()])
}
