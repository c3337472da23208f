//! Scatter: updates of a base at computed indices.
//!
//! | mode | launches |
//! |---|---|
//! | sum, maximum, minimum, any, all of 32- or 64-bit integers | copy the base; one atomic an update |
//! | the last update wins | owners = -1; owner = maximum of the positions of its updates; result = owner's value, or the base |
//! | all others | heads = -1; updates of an element become a list; each element sorts its list by the order of the domain and takes it in |
//!
//! All give the same bits whatever the order in which threads run.

mod list;

use graph::dim::{Dim, Pred};
use graph::dtype::{Class, DType};
use graph::expr::{Expr, Exprs, Leaves};
use graph::node::{Acc, Combiner, ScatterMode};
use nest::kernel::{Body, Kernel, Nest, Out, ScatterKernel, Stage as NestStage, Target};
use ptx::{Atomic, Order, Space, Type};
use ptx_expr::{Convert, Int, Relation, Width};

use crate::compile::{Ctx, compile_within, operand_places};
use crate::error::PtxError;
use crate::facts::{all, at_most};
use crate::flat::{Flat, Merge, Reads, Sink, flatten};
use crate::index::Ix;
use crate::launch::GpuKernel;
use crate::memory::Region;
use crate::point::{Point, Stage};
use crate::points::{blocks, compute_position};
use crate::reduce::with_steps;
use crate::scatter::list::Slots;
use crate::schedule::THREADS;
use crate::state::{State, Taken};
use crate::writer::{V, Writer};

/// How updates that meet are resolved.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Atomic(Atomic, Type),
    Owner,
    List,
}

fn way(dtype: DType, mode: ScatterMode) -> Way {
    let ScatterMode::Combine(combiner) = mode else { return Way::Owner };
    let ty = match (dtype.class(), dtype.bits()) {
        (Class::Signed, 32) => Type::S32,
        (Class::Unsigned, 32) => Type::U32,
        (Class::Signed, 64) => Type::S64,
        (Class::Unsigned, 64) => Type::U64,
        _ => return Way::List,
    };
    match combiner {
        Combiner::Sum => Way::Atomic(Atomic::Add, if ty.bits() == 64 { Type::U64 } else { ty }),
        Combiner::Max => Way::Atomic(Atomic::Max, ty),
        Combiner::Min => Way::Atomic(Atomic::Min, ty),
        Combiner::Prod | Combiner::Any | Combiner::All | Combiner::ArgMax { .. } | Combiner::ArgMin { .. } => Way::List,
    }
}

/// Bytes of owners, or of heads and links.
pub fn workspace(kernel: &Kernel, body: &ScatterKernel) -> Dim {
    let Some(base) = kernel.operands.first() else { return Dim::constant(0) };
    let eight = Dim::constant(8);
    let heads = &Dim::product(&base.shape) * &eight;
    match way(base.dtype, body.mode) {
        Way::Atomic(..) => Dim::constant(0),
        Way::Owner => heads,
        Way::List => &heads + &(&Dim::product(&body.domain) * &eight),
    }
}

/// The updates as a stage over the domain: one output, at computed indices.
fn updates(ctx: Ctx<'_>, body: &ScatterKernel) -> Result<Flat, PtxError> {
    let stage = NestStage {
        inner: body.domain.clone(),
        reduce: Vec::new(),
        exprs: body.exprs.clone(),
        accs: Vec::new(),
        outs: vec![Out { value: body.value, target: Target::Store { result: 0, index: body.index.clone() } }],
    };
    let reads = Reads { operands: &ctx.kernel.operands, kept: &[] };
    flatten(ctx.symbols, &[], &stage, reads, &ctx.kernel.results, Merge::Updates)
}

/// A kernel that copies the base.
fn copy(kernel: &Kernel) -> Result<Kernel, PtxError> {
    let malformed = PtxError::Malformed("a scatter without a base");
    let base = kernel.operands.first().cloned().ok_or(malformed.clone())?;
    let result = kernel.results.first().cloned().ok_or(malformed)?;
    let mut exprs = Exprs::default();
    let dtypes = [base.dtype];
    let leaves = Leaves { operands: &dtypes, accs: &[] };
    let mut index = Vec::new();
    for d in 0..base.shape.len() {
        index.push(exprs.add(Expr::Index(d as u32), leaves)?);
    }
    let value = exprs.add(Expr::Load { operand: 0, index: index.clone(), or: None }, leaves)?;
    let stage = NestStage {
        inner: base.shape.clone(),
        reduce: Vec::new(),
        exprs,
        accs: Vec::new(),
        outs: vec![Out { value, target: Target::Store { result: 0, index } }],
    };
    let body = Body::Nest(Nest { outer: Vec::new(), stages: vec![stage] });
    Ok(Kernel { params: kernel.params, operands: vec![base], results: vec![result], body })
}

pub fn launches(ctx: Ctx<'_>, body: &ScatterKernel) -> Result<Vec<GpuKernel>, PtxError> {
    let base = ctx.kernel.operands.first().ok_or(PtxError::Malformed("a scatter without a base"))?;
    let way = way(base.dtype, body.mode);
    let mut out = match way {
        Way::Atomic(..) => compile_within(&copy(ctx.kernel)?, ctx.sm, ctx.limits)?.launches,
        Way::Owner | Way::List => Vec::new(),
    };
    let flat = updates(ctx, body)?;
    let elements = Dim::product(&base.shape);
    let sizes = [flat.fits_narrow(ctx.symbols, ctx.limits), at_most(&elements, ctx.limits.narrow)];
    let narrow = all(sizes, ctx.symbols);
    let wide = Pred::Not(Box::new(narrow.clone()));
    for (when, ix) in [(narrow, Ix::Narrow), (wide, Ix::Wide)] {
        if ctx.symbols.prove(&when) == Some(false) {
            continue;
        }
        if !matches!(way, Way::Atomic(..)) {
            let per = if ix == Ix::Narrow { 2 } else { 1 };
            out.push(clear(ctx, &blocks(&elements, per), &when)?);
        }
        out.push(each_update(ctx, &flat, &when, ix, way)?);
        match way {
            Way::Atomic(..) => {}
            Way::Owner => out.push(by_owner(ctx, &flat, &when, ix)?),
            Way::List => out.push(by_list(ctx, &flat, body, &when, ix)?),
        }
    }
    Ok(out)
}

/// Sets the first `count` times 8 bytes of the scratch to ones.
fn clear(ctx: Ctx<'_>, count: &Dim, when: &Pred) -> Result<GpuKernel, PtxError> {
    let mut w = Writer::new("scatter_clear", ctx.sm);
    let (position, inside) = compute_position(&mut w, Ix::Wide, count);
    w.when(inside, |w| {
        let base = w.workspace(&Dim::constant(0));
        let at = w.global_address(base, Ix::Wide, position, 8);
        let none = w.m.i64(-1);
        w.store64(at, none);
        Ok(())
    })?;
    ctx.launch(w, when, [blocks(count, THREADS), Dim::constant(1), Dim::constant(1)], THREADS)
}

/// The index of an update: whether it is within the base, row-major position, and the point it was computed at.
fn target(w: &mut Writer, point: &mut Point<'_, '_>, flat: &Flat, shape: &[Dim]) -> Result<(V, Vec<V>), PtxError> {
    let Some((_, Sink::Indexed { index, .. })) = flat.outs.first() else {
        return Err(PtxError::Malformed("updates without indices"));
    };
    let mut inside = w.m.bool(true);
    let mut at = Vec::with_capacity(index.len());
    for (i, extent) in index.iter().zip(shape) {
        let value = point.value(w, *i)?;
        let extent = w.size(Ix::Wide, extent);
        let fits = w.m.icmp(Relation::Lt, Int::U64, value, extent);
        inside = w.both(inside, fits);
        at.push(value);
    }
    Ok((inside, at))
}

/// One thread an update: an atomic on the result, or the update's position into the scratch.
fn each_update(ctx: Ctx<'_>, flat: &Flat, when: &Pred, ix: Ix, way: Way) -> Result<GpuKernel, PtxError> {
    let mut w = Writer::new("scatter_update", ctx.sm);
    let result = ctx.kernel.results.first().ok_or(PtxError::Malformed("a scatter without a result"))?;
    let places = operand_places(&mut w, ctx.kernel, flat)?;
    let regions = w.results(ctx.kernel)?;
    let stage = Stage::new(flat, ix, places);
    let count = flat.points();
    let (position, inside) = compute_position(&mut w, ix, &count);
    w.when(inside, |w| {
        let index = w.unravel(ix, position, &flat.parallel);
        let mut point = Point::new(&stage, with_steps(w, &stage, &index, None));
        let (inside, at) = target(w, &mut point, flat, &result.shape)?;
        let value = match (way, flat.outs.first()) {
            (Way::Atomic(..), Some((value, _))) => Some(point.value(w, *value)?),
            _ => None,
        };
        w.when(inside, |w| {
            if let (Way::Atomic(op, ty), Some(value)) = (way, value) {
                let region = regions.first().copied().ok_or(PtxError::Malformed("no such result"))?;
                let at = w.view_address(Ix::Wide, &result.access, &at);
                let address = w.global_address(region.base, Ix::Wide, at, i64::from(result.dtype.bits() / 8));
                let (address, value) = (w.address(address), w.reg(value, ty));
                w.b().red(Order::Default, Space::Global, op, ty, address, value);
                return Ok(());
            }
            let element = w.ravel(Ix::Wide, &at, &result.shape);
            let heads = Slots { base: w.workspace(&Dim::constant(0)), narrow: ix == Ix::Narrow };
            let slot = heads.address(w, element);
            let (slot, wide) = (w.address(slot), w.ix_to64(ix, position));
            let (signed, bits) = if heads.narrow { (Type::S32, Type::B32) } else { (Type::S64, Type::B64) };
            let number = w.reg(position, bits);
            if way == Way::Owner {
                w.b().red(Order::Default, Space::Global, Atomic::Max, signed, slot, number);
                return Ok(());
            }
            let before = w.b().atom_exch(Order::Default, Space::Global, bits, slot, number);
            let before = w.value_of(before);
            let before = if heads.narrow { w.m.convert(Convert::ExtendSigned, before) } else { before };
            let links = w.workspace(&(&Dim::product(&result.shape) * &Dim::constant(8)));
            Slots { base: links, ..heads }.store(w, wide, before);
            Ok(())
        })
    })?;
    ctx.launch(w, when, [blocks(&count, THREADS), Dim::constant(1), Dim::constant(1)], THREADS)
}

/// What a thread that has one element of the result knows.
struct Element {
    /// Value of the base, in working form.
    old: V,
    /// The head of the scratch for it.
    head: V,
    at: V,
    region: Region,
}

fn element(w: &mut Writer, ctx: Ctx<'_>, position: V, ix: Ix) -> Result<Element, PtxError> {
    let (Some(base), Some(result)) = (ctx.kernel.operands.first(), ctx.kernel.results.first()) else {
        return Err(PtxError::Malformed("a scatter without a base"));
    };
    let index = w.unravel(ix, position, &base.shape);
    let index: Vec<V> = index.into_iter().map(|i| w.ix_to64(ix, i)).collect();
    let from = w.operand(ctx.kernel, 0)?;
    let at = w.view_address(Ix::Wide, &base.access, &index);
    let old = w.load(&from, Ix::Wide, at, None)?;
    let region = w.results(ctx.kernel)?.first().copied().ok_or(PtxError::Malformed("no such result"))?;
    let at = w.view_address(Ix::Wide, &result.access, &index);
    let heads = w.workspace(&Dim::constant(0));
    let position = w.ix_to64(ix, position);
    let head = Slots { base: heads, narrow: ix == Ix::Narrow }.load(w, position);
    Ok(Element { old, head, at, region })
}

/// The value of the update at a position.
fn update_value(w: &mut Writer, stage: &Stage<'_>, number: V) -> Result<V, PtxError> {
    let position = if stage.ix == Ix::Narrow { w.low(number) } else { number };
    let index = w.unravel(stage.ix, position, &stage.flat.parallel);
    let mut point = Point::new(stage, with_steps(w, stage, &index, None));
    let (value, _) = stage.flat.outs.first().ok_or(PtxError::Malformed("updates without a value"))?;
    point.value(w, *value)
}

fn by_owner(ctx: Ctx<'_>, flat: &Flat, when: &Pred, ix: Ix) -> Result<GpuKernel, PtxError> {
    let mut w = Writer::new("scatter_owner", ctx.sm);
    let result = ctx.kernel.results.first().ok_or(PtxError::Malformed("a scatter without a result"))?;
    let places = operand_places(&mut w, ctx.kernel, flat)?;
    let stage = Stage::new(flat, ix, places);
    let count = Dim::product(&result.shape);
    let (position, inside) = compute_position(&mut w, ix, &count);
    w.when(inside, |w| {
        let element = element(w, ctx, position, ix)?;
        let raw = w.to_bits(result.dtype, element.old)?;
        let width = if result.dtype.bits() == 64 { Width::B64 } else { Width::B32 };
        let new = w.var(width, raw);
        let zero = w.m.i64(0);
        let owned = w.m.icmp(Relation::Ge, Int::S64, element.head, zero);
        w.when(owned, |w| {
            let value = update_value(w, &stage, element.head)?;
            let raw = w.to_bits(result.dtype, value)?;
            w.set(new, raw);
            Ok(())
        })?;
        let value = w.from_bits(result.dtype, new)?;
        w.store(&element.region, Ix::Wide, element.at, value, None)
    })?;
    ctx.launch(w, when, [blocks(&count, THREADS), Dim::constant(1), Dim::constant(1)], THREADS)
}

/// Each element sorts its list and takes it in.
fn by_list(ctx: Ctx<'_>, flat: &Flat, body: &ScatterKernel, when: &Pred, ix: Ix) -> Result<GpuKernel, PtxError> {
    let ScatterMode::Combine(combiner) = body.mode else {
        return Err(PtxError::Malformed("a list of updates that do not combine"));
    };
    let mut w = Writer::new("scatter_list", ctx.sm);
    let result = ctx.kernel.results.first().ok_or(PtxError::Malformed("a scatter without a result"))?;
    let places = operand_places(&mut w, ctx.kernel, flat)?;
    let stage = Stage::new(flat, ix, places);
    let count = Dim::product(&result.shape);
    let (position, inside) = compute_position(&mut w, ix, &count);
    w.when(inside, |w| {
        let element = element(w, ctx, position, ix)?;
        let value = flat.outs.first().map(|(v, _)| *v).ok_or(PtxError::Malformed("updates without a value"))?;
        let acc = Acc { combiner, dtype: result.dtype, value };
        let state = State::new(w, &acc, result.dtype)?;
        let mut nowhere = |w: &mut Writer| w.m.i64(0);
        state.start(w, element.old)?;
        let links = w.workspace(&(&count * &Dim::constant(8)));
        let links = Slots { base: links, narrow: ix == Ix::Narrow };
        let at = list::sorted(w, links, element.head)?;
        let zero = w.m.i64(0);
        w.while_loop(
            |w| Ok(w.m.icmp(Relation::Ge, Int::S64, at, zero)),
            |w| {
                let value = update_value(w, &stage, at)?;
                state.take(w, Taken::Value(value), None, &mut nowhere)?;
                let after = list::next(w, links, at);
                w.set(at, after);
                Ok(())
            },
        )?;
        let value = state.finish(w)?;
        w.store(&element.region, Ix::Wide, element.at, value, None)
    })?;
    ctx.launch(w, when, [blocks(&count, THREADS), Dim::constant(1), Dim::constant(1)], THREADS)
}
