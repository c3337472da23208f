//! Positions of the true elements of a mask.
//!
//! ```text
//! compact_count     a CTA counts the true elements of 4096            scratch: [count of each block]
//! compact_offsets   one CTA makes running sums of the counts          scratch: [true elements before each block] [all of them]
//! compact_write     a thread has 16 elements: their places follow from the sums of the threads before it; stored in order
//! compact_fill      zeros behind the last place
//! ```

use graph::dim::{Dim, Pred};
use graph::symbol::Symbols;
use nest::kernel::{Kernel, Port};
use ptx::{Space, Type};
use ptx_expr::{Int, IntOp, Relation, Width};

use crate::compile::Ctx;
use crate::error::PtxError;
use crate::index::Ix;
use crate::launch::GpuKernel;
use crate::points::{blocks, compute_position};
use crate::scan::exclusive;
use crate::schedule::THREADS;
use crate::writer::{V, Writer};

/// Elements of a thread.
const EACH: u32 = 16;
/// Elements of a CTA.
const BLOCK: u32 = THREADS * EACH;
/// Threads of the CTA that makes running sums.
const WALKERS: u32 = 1024;

/// Bytes of scratch: a number for each block, and one for all.
pub fn workspace(kernel: &Kernel, _: &Symbols) -> Dim {
    let extent = kernel.operands.first().and_then(|mask| mask.shape.first()).cloned().unwrap_or_default();
    &(&blocks(&extent, BLOCK) + &Dim::constant(1)) * &Dim::constant(8)
}

pub fn launches(ctx: Ctx<'_>) -> Result<Vec<GpuKernel>, PtxError> {
    let ([mask], [positions, count]) = (ctx.kernel.operands.as_slice(), ctx.kernel.results.as_slice()) else {
        return Err(PtxError::Malformed("a compact without a mask or a count"));
    };
    let (Some(extent), Some(bound)) = (mask.shape.first(), positions.shape.first()) else {
        return Err(PtxError::Malformed("a mask of rank 0"));
    };
    let grid = |x: Dim| [x, Dim::constant(1), Dim::constant(1)];
    let ctas = blocks(extent, BLOCK);
    let always = Pred::Const(true);
    let mut w = Writer::new("compact_count", ctx.sm);
    counts(&mut w, ctx, mask, extent)?;
    let mut out = vec![ctx.launch(w, &always, grid(ctas.clone()), THREADS)?];
    let mut w = Writer::new("compact_offsets", ctx.sm);
    offsets(&mut w, ctx, &ctas, bound, count)?;
    out.push(ctx.launch(w, &always, grid(Dim::constant(1)), WALKERS)?);
    let mut w = Writer::new("compact_write", ctx.sm);
    write(&mut w, ctx, mask, (extent, bound), positions)?;
    out.push(ctx.launch(w, &always, grid(ctas.clone()), THREADS)?);
    let mut w = Writer::new("compact_fill", ctx.sm);
    fill(&mut w, ctx, &ctas, bound, positions)?;
    out.push(ctx.launch(w, &always, grid(blocks(bound, THREADS)), THREADS)?);
    Ok(out)
}

/// The address of the number of a block.
fn slot(w: &mut Writer, block: V) -> V {
    let base = w.workspace(&Dim::constant(0));
    w.global_address(base, Ix::Wide, block, 8)
}

/// The elements of a thread, as predicates; and the position of the first.
fn flags(w: &mut Writer, ctx: Ctx<'_>, mask: &Port, extent: &Dim) -> Result<(V, Vec<V>), PtxError> {
    let from = w.operand(ctx.kernel, 0)?;
    let (cta, thread) = (w.cta(Ix::Wide), w.thread());
    let wide = w.ix_from32(Ix::Wide, thread);
    let (block, each) = (w.m.i64(i64::from(BLOCK)), w.m.i64(i64::from(EACH)));
    let first = w.ix_mul(Ix::Wide, cta, block);
    let first = w.ix_mad(Ix::Wide, wide, each, first);
    let end = w.size(Ix::Wide, extent);
    let dense = mask.access.block.is_none() && mask.access.strides.first().is_some_and(|s| s.is(1));
    let divides = |d: &Dim| d.as_const().is_some_and(|d| d % i64::from(EACH) == 0);
    if dense && divides(extent) && divides(&mask.access.offset) {
        let inside = w.ix_less(Ix::Wide, first, end);
        let at = w.view_address(Ix::Wide, &mask.access, &[first]);
        return Ok((first, w.load_run(&from, Ix::Wide, at, EACH, Some(inside))?));
    }
    let mut out = Vec::with_capacity(EACH as usize);
    for j in 0..EACH {
        let step = w.m.i64(i64::from(j));
        let i = w.ix_add(Ix::Wide, first, step);
        let inside = w.ix_less(Ix::Wide, i, end);
        let at = w.view_address(Ix::Wide, &mask.access, &[i]);
        let flag = w.load(&from, Ix::Wide, at, Some(inside))?;
        out.push(w.both(flag, inside));
    }
    Ok((first, out))
}

/// How many are true.
fn sum(w: &mut Writer, flags: &[V]) -> V {
    let mut sum = w.m.u32(0);
    for flag in flags {
        let bit = w.bit(*flag);
        sum = w.m.int2(IntOp::Add, Int::U32, sum, bit);
    }
    sum
}

fn counts(w: &mut Writer, ctx: Ctx<'_>, mask: &Port, extent: &Dim) -> Result<(), PtxError> {
    let (_, flags) = flags(w, ctx, mask, extent)?;
    let own = sum(w, &flags);
    let (_, all) = exclusive(w, own, THREADS);
    let (thread, zero) = (w.thread(), w.m.u32(0));
    let first = w.m.icmp(Relation::Eq, Int::U32, thread, zero);
    w.when(first, |w| {
        let cta = w.cta(Ix::Wide);
        let (at, all) = (slot(w, cta), w.ix_from32(Ix::Wide, all));
        w.store64(at, all);
        Ok(())
    })
}

fn offsets(w: &mut Writer, ctx: Ctx<'_>, ctas: &Dim, bound: &Dim, count: &Port) -> Result<(), PtxError> {
    let results = w.results(ctx.kernel)?;
    let [_, total] = results.as_slice() else { return Err(PtxError::Malformed("a compact without a count")) };
    let thread = w.thread();
    let wide = w.ix_from32(Ix::Wide, thread);
    let zero = w.m.i64(0);
    let found = w.var(Width::B64, zero);
    let (end, step) = (w.size(Ix::Wide, ctas), w.m.i64(i64::from(WALKERS)));
    w.count(Ix::Wide, zero, end, step, |w, start| {
        let block = w.ix_add(Ix::Wide, start, wide);
        let inside = w.ix_less(Ix::Wide, block, end);
        let none = w.m.u32(0);
        let own = w.var(Width::B32, none);
        w.when(inside, |w| {
            let at = slot(w, block);
            let number = w.load64(at);
            let number = w.low(number);
            w.set(own, number);
            Ok(())
        })?;
        let (before, all) = exclusive(w, own, WALKERS);
        let before = w.ix_from32(Ix::Wide, before);
        let offset = w.m.int2(IntOp::Add, Int::U64, found, before);
        w.when(inside, |w| {
            let at = slot(w, block);
            w.store64(at, offset);
            Ok(())
        })?;
        let all = w.ix_from32(Ix::Wide, all);
        let more = w.m.int2(IntOp::Add, Int::U64, found, all);
        w.set(found, more);
        if ctas.as_const().is_none_or(|ctas| ctas > i64::from(WALKERS)) {
            w.barrier();
        }
        Ok(())
    })?;
    let most = w.size(Ix::Wide, bound);
    let known = w.m.int2(IntOp::Min, Int::U64, found, most);
    let none = w.m.u32(0);
    let first = w.m.icmp(Relation::Eq, Int::U32, thread, none);
    let at = w.view_address(Ix::Wide, &count.access, &[]);
    w.store(total, Ix::Wide, at, known, Some(first))?;
    w.when(first, |w| {
        let last = w.size(Ix::Wide, ctas);
        let at = slot(w, last);
        w.store64(at, known);
        Ok(())
    })
}

fn write(
    w: &mut Writer,
    ctx: Ctx<'_>,
    mask: &Port,
    (extent, bound): (&Dim, &Dim),
    positions: &Port,
) -> Result<(), PtxError> {
    let (first, flags) = flags(w, ctx, mask, extent)?;
    let own = sum(w, &flags);
    let (before, all) = exclusive(w, own, THREADS);
    let results = w.results(ctx.kernel)?;
    let to = results.first().ok_or(PtxError::Malformed("a compact without positions"))?;
    let cta = w.cta(Ix::Wide);
    let at = slot(w, cta);
    let offset = w.load64(at);
    // The numbers of the true elements within the block, one after the other, so that neighbours store neighbours.
    let chosen = w.shared("chosen", 4 * BLOCK);
    let (thread, four, each) = (w.thread(), w.m.u32(4), w.m.u32(EACH));
    let start = w.ix_mul(Ix::Narrow, thread, each);
    let mut rank = before;
    for (j, flag) in flags.into_iter().enumerate() {
        let step = w.m.u32(j as u32);
        let number = w.ix_add(Ix::Narrow, start, step);
        let at = w.ix_mad(Ix::Narrow, rank, four, chosen);
        let (at, number, pred) = (w.address(at), w.reg(number, Type::U32), w.pred(flag));
        let form = ptx::Form::new(ptx::Op::St, (Space::Shared, ptx::Vector::One, Type::B32));
        w.b().guarded(pred, |b| b.emit(form, [ptx::Operand::Address(at), number.into()]));
        let bit = w.bit(flag);
        rank = w.m.int2(IntOp::Add, Int::U32, rank, bit);
    }
    w.barrier();
    let wide = w.ix_from32(Ix::Wide, start);
    let block = w.ix_sub(Ix::Wide, first, wide);
    let (most, step) = (w.size(Ix::Wide, bound), w.m.u32(THREADS));
    w.count(Ix::Narrow, thread, all, step, |w, k| {
        let at = w.ix_mad(Ix::Narrow, k, four, chosen);
        let at = w.address(at);
        let number = w.b().ld(Space::Shared, Type::B32, at);
        let number = w.value_of(number);
        let number = w.ix_from32(Ix::Wide, number);
        let position = w.ix_add(Ix::Wide, block, number);
        let k = w.ix_from32(Ix::Wide, k);
        let place = w.ix_add(Ix::Wide, offset, k);
        let fits = w.ix_less(Ix::Wide, place, most);
        let at = w.view_address(Ix::Wide, &positions.access, &[place]);
        w.store(to, Ix::Wide, at, position, Some(fits))
    })
}

fn fill(w: &mut Writer, ctx: Ctx<'_>, ctas: &Dim, bound: &Dim, positions: &Port) -> Result<(), PtxError> {
    let results = w.results(ctx.kernel)?;
    let to = results.first().ok_or(PtxError::Malformed("a compact without positions"))?;
    let (place, inside) = compute_position(w, Ix::Wide, bound);
    let last = w.size(Ix::Wide, ctas);
    let at = slot(w, last);
    let found = w.load64(at);
    let beyond = w.m.icmp(Relation::Ge, Int::U64, place, found);
    let fills = w.both(inside, beyond);
    let at = w.view_address(Ix::Wide, &positions.access, &[place]);
    let zero = w.m.i64(0);
    w.store(to, Ix::Wide, at, zero, Some(fills))
}
