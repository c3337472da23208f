//! Running combinations along an axis.
//!
//! Many or short lines: a thread a line, in order. Few long ones: a CTA a line, 256 elements at a time; within them a scan by
//! shuffles, over the warps' totals in shared memory, and what came before carried along. Few very long ones: 256 CTAs a line, each with a
//! segment; a launch before leaves the segments' totals in the scratch. Sums and products of floats run in `f64` always.

use graph::dim::{Dim, Pred};
use graph::expr::ExprId;
use graph::node::{Acc, Combiner};
use graph::symbol::Symbols;
use nest::kernel::Kernel;
use ptx::{Shuffle, Space, Type};
use ptx_expr::{Int, IntOp, Relation, Width};

use crate::compile::Ctx;
use crate::error::PtxError;
use crate::facts::{all, at_least, at_most};
use crate::index::Ix;
use crate::launch::GpuKernel;
use crate::memory::Region;
use crate::points::{blocks, compute_position};
use crate::reduce::{SLOT, combine_all, get, put};
use crate::schedule::THREADS;
use crate::state::{State, Taken};
use crate::writer::{V, Writer};

/// What runs along the axis, and how.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    pub combiner: Combiner,
    pub exclusive: bool,
    pub reverse: bool,
}

/// The extents of all dims but the axis.
pub fn lines(shape: &[Dim], axis: usize) -> Vec<Dim> {
    shape.iter().enumerate().filter(|(d, _)| *d != axis).map(|(_, e)| e.clone()).collect()
}

/// Indices of a line with a position along the axis put in.
pub fn along_line(line: &[V], axis: usize, at: V) -> Vec<V> {
    let mut index = line.to_vec();
    index.insert(axis.min(line.len()), at);
    index
}

pub fn launches(ctx: Ctx<'_>, axis: usize, order: Order) -> Result<Vec<GpuKernel>, PtxError> {
    let shape = ctx.kernel.operands.first().map(|o| o.shape.clone());
    let shape = shape.ok_or(PtxError::Malformed("a prefix of nothing"))?;
    let extent = shape.get(axis).ok_or(PtxError::Malformed("no such axis"))?;
    let count = Dim::product(&lines(&shape, axis));
    let long = is_long(&count, extent, ctx.symbols);
    let not_long = Pred::Not(Box::new(long.clone()));
    let few = all([not_long.clone(), at_most(&count, 2048), at_least(extent, 128)], ctx.symbols);
    let many = all(
        [not_long, Pred::Not(Box::new(all([at_most(&count, 2048), at_least(extent, 128)], ctx.symbols)))],
        ctx.symbols,
    );
    let mut out = Vec::new();
    let one = || Dim::constant(1);
    if ctx.symbols.prove(&long) != Some(false) {
        let ctas = &count * &Dim::constant(i64::from(SEGMENTS));
        let mut w = Writer::new("prefix_totals", ctx.sm);
        totals(&mut w, ctx, axis, order, &shape)?;
        out.push(ctx.launch(w, &long, [ctas.clone(), one(), one()], THREADS)?);
        let mut w = Writer::new("prefix_segments", ctx.sm);
        by_cta(&mut w, ctx, axis, order, &shape, true)?;
        out.push(ctx.launch(w, &long, [ctas, one(), one()], THREADS)?);
    }
    if ctx.symbols.prove(&few) != Some(false) {
        let mut w = Writer::new("prefix_line", ctx.sm);
        by_cta(&mut w, ctx, axis, order, &shape, false)?;
        out.push(ctx.launch(w, &few, [count.clone(), one(), one()], THREADS)?);
    }
    if ctx.symbols.prove(&many) != Some(false) {
        let mut w = Writer::new("prefix_lines", ctx.sm);
        by_thread(&mut w, ctx, axis, order, &shape)?;
        out.push(ctx.launch(w, &many, [blocks(&count, THREADS), one(), one()], THREADS)?);
    }
    Ok(out)
}

/// CTAs of a very long line; as many as a CTA has threads.
const SEGMENTS: u32 = THREADS;

/// Whether lines are few and very long.
fn is_long(count: &Dim, extent: &Dim, symbols: &Symbols) -> Pred {
    all([at_most(count, 64), at_least(extent, 1 << 14)], symbols)
}

/// Elements of a segment: whole turns of a CTA.
fn segment(extent: &Dim) -> Dim {
    &blocks(&blocks(extent, SEGMENTS), THREADS) * &Dim::constant(i64::from(THREADS))
}

/// Bytes of scratch: the totals of all segments.
pub fn workspace(kernel: &Kernel, axis: usize, combiner: Combiner, symbols: &Symbols) -> Dim {
    let Some(port) = kernel.operands.first() else { return Dim::constant(0) };
    let Some(extent) = port.shape.get(axis) else { return Dim::constant(0) };
    let count = Dim::product(&lines(&port.shape, axis));
    let acc = Acc { combiner, dtype: port.dtype, value: ExprId(0) };
    let slots = crate::state::widths(&acc, port.dtype).len() as i64;
    let bytes = &count * &Dim::constant(8 * slots * i64::from(SEGMENTS));
    symbols.select(&is_long(&count, extent, symbols), &bytes, &Dim::constant(0))
}

/// The address of the total of a segment, counted over all lines.
fn total_at(w: &mut Writer, state: &State, number: V) -> V {
    let base = w.workspace(&Dim::constant(0));
    w.global_address(base, Ix::Wide, number, 8 * state.widths().len() as i64)
}

/// A CTA a segment: its total into the scratch.
fn totals(w: &mut Writer, ctx: Ctx<'_>, axis: usize, order: Order, shape: &[Dim]) -> Result<(), PtxError> {
    let cta = w.cta(Ix::Wide);
    let (number, part) = w.ix_divide(Ix::Wide, cta, &Dim::constant(i64::from(SEGMENTS)));
    let line = line(w, ctx, axis, order, shape, number)?;
    let state = line.state(w)?;
    let thread = w.thread();
    let wide = w.ix_from32(Ix::Wide, thread);
    let (first, end) = range(w, &line.extent, part);
    let start = w.ix_add(Ix::Wide, first, wide);
    let step = w.m.i64(i64::from(THREADS));
    w.count(Ix::Wide, start, end, step, |w, k| {
        let at = line.place(w, k);
        let value = line.load(w, at, None)?;
        state.take(w, Taken::Value(value), None, &mut nowhere)
    })?;
    combine_all(w, &state, THREADS)?;
    let zero = w.m.u32(0);
    let first = w.m.icmp(Relation::Eq, Int::U32, thread, zero);
    w.when(first, |w| {
        let at = total_at(w, &state, cta);
        let at = w.address(at);
        for (k, (reg, width)) in state.regs.iter().zip(state.widths()).enumerate() {
            let ty = if width == Width::B64 { Type::B64 } else { Type::B32 };
            let reg = w.reg(*reg, ty);
            w.b().st(Space::Global, ty, at.plus(8 * k as i64), reg);
        }
        Ok(())
    })
}

/// Where a segment begins and ends.
fn range(w: &mut Writer, extent: &Dim, part: V) -> (V, V) {
    let size = w.size(Ix::Wide, &segment(extent));
    let first = w.ix_mul(Ix::Wide, part, size);
    let end = w.ix_add(Ix::Wide, first, size);
    let all = w.size(Ix::Wide, extent);
    (first, w.ix_min(Ix::Wide, end, all))
}

/// Takes in the totals of the segments of a line before one: those of the CTA's threads whose numbers are below it.
fn carry_over(w: &mut Writer, carry: &State, cta: V, part: V) -> Result<(), PtxError> {
    let thread = w.thread();
    let wide = w.ix_from32(Ix::Wide, thread);
    let earlier = w.ix_less(Ix::Wide, wide, part);
    let start = w.ix_sub(Ix::Wide, cta, part);
    let number = w.ix_add(Ix::Wide, start, wide);
    w.when(earlier, |w| {
        let at = total_at(w, carry, number);
        let at = w.address(at);
        for (k, (reg, width)) in carry.regs.iter().zip(carry.widths()).enumerate() {
            let ty = if width == Width::B64 { Type::B64 } else { Type::B32 };
            let value = w.b().ld(Space::Global, ty, at.plus(8 * k as i64));
            let value = w.value_of(value);
            w.set(*reg, value);
        }
        Ok(())
    })?;
    combine_all(w, carry, THREADS)
}

struct Line<'a> {
    ctx: Ctx<'a>,
    axis: usize,
    order: Order,
    extent: Dim,
    index: Vec<V>,
    from: Region,
    to: Region,
}

impl Line<'_> {
    /// The index along the axis of step `k`.
    fn place(&self, w: &mut Writer, k: V) -> V {
        if !self.order.reverse {
            return k;
        }
        let last = w.size(Ix::Wide, &(&self.extent - &Dim::constant(1)));
        w.ix_sub(Ix::Wide, last, k)
    }

    fn load(&self, w: &mut Writer, at: V, guard: Option<V>) -> Result<V, PtxError> {
        let port = self.ctx.kernel.operands.first().ok_or(PtxError::Malformed("a prefix of nothing"))?;
        let index = along_line(&self.index, self.axis, at);
        let address = w.view_address(Ix::Wide, &port.access, &index);
        w.load(&self.from, Ix::Wide, address, guard)
    }

    fn store(&self, w: &mut Writer, at: V, value: V, guard: Option<V>) -> Result<(), PtxError> {
        let port = self.ctx.kernel.results.first().ok_or(PtxError::Malformed("a prefix of nothing"))?;
        let index = along_line(&self.index, self.axis, at);
        let address = w.view_address(Ix::Wide, &port.access, &index);
        w.store(&self.to, Ix::Wide, address, value, guard)
    }

    fn state(&self, w: &mut Writer) -> Result<State, PtxError> {
        let dtype = self.from.dtype;
        State::new(w, &Acc { combiner: self.order.combiner, dtype, value: ExprId(0) }, dtype)
    }
}

fn line<'a>(
    w: &mut Writer,
    ctx: Ctx<'a>,
    axis: usize,
    order: Order,
    shape: &[Dim],
    number: V,
) -> Result<Line<'a>, PtxError> {
    let index = w.unravel(Ix::Wide, number, &lines(shape, axis));
    let extent = shape.get(axis).cloned().ok_or(PtxError::Malformed("no such axis"))?;
    let from = w.operand(ctx.kernel, 0)?;
    let to = w.results(ctx.kernel)?.first().copied().ok_or(PtxError::Malformed("a prefix without a result"))?;
    Ok(Line { ctx, axis, order, extent, index, from, to })
}

fn nowhere(w: &mut Writer) -> V {
    w.m.i64(0)
}

fn by_thread(w: &mut Writer, ctx: Ctx<'_>, axis: usize, order: Order, shape: &[Dim]) -> Result<(), PtxError> {
    let count = Dim::product(&lines(shape, axis));
    let (number, inside) = compute_position(w, Ix::Wide, &count);
    w.when(inside, |w| {
        let line = line(w, ctx, axis, order, shape, number)?;
        let state = line.state(w)?;
        let (zero, one) = (w.m.i64(0), w.m.i64(1));
        let end = w.size(Ix::Wide, &line.extent);
        w.count(Ix::Wide, zero, end, one, |w, k| {
            let at = line.place(w, k);
            let value = line.load(w, at, None)?;
            if order.exclusive {
                let before = state.finish(w)?;
                line.store(w, at, before, None)?;
            }
            state.take(w, Taken::Value(value), None, &mut nowhere)?;
            if !order.exclusive {
                let now = state.finish(w)?;
                line.store(w, at, now, None)?;
            }
            Ok(())
        })
    })
}

/// The state of the lane so many places before; garbage in the first ones.
fn shuffled_up(w: &mut Writer, state: &State, distance: u32) -> Vec<V> {
    let mut out = Vec::new();
    for (reg, width) in state.regs.iter().zip(state.widths()) {
        if width == Width::B64 {
            let whole = w.reg(*reg, Type::B64);
            let parts = w.b().unpack(whole);
            let moved: Vec<ptx::Reg> = parts.into_iter().map(|p| w.b().shfl(Shuffle::Up, p, distance)).collect();
            let whole = w.b().pack(&moved);
            out.push(w.value_of(whole));
        } else {
            let reg = w.reg(*reg, Type::B32);
            let moved = w.b().shfl(Shuffle::Up, reg, distance);
            out.push(w.value_of(moved));
        }
    }
    out
}

/// Puts `earlier` before a state, where `guard` holds.
fn prepend(w: &mut Writer, state: &State, earlier: &[V], guard: Option<V>) -> Result<(), PtxError> {
    let widths = state.widths();
    let copies: Vec<V> = earlier.iter().zip(&widths).map(|(v, width)| w.var(*width, *v)).collect();
    let first = state.with(copies);
    first.merge(w, &state.regs, None)?;
    for (own, new) in state.regs.iter().zip(&first.regs) {
        match guard {
            Some(guard) => w.set_if(guard, *own, *new),
            None => w.set(*own, *new),
        }
    }
    Ok(())
}

/// An inclusive scan over the lanes of a warp, of which the first `lanes` count.
fn scan_warp(w: &mut Writer, state: &State, lane: V, lanes: u32) -> Result<(), PtxError> {
    let mut distance = 1;
    while distance < lanes {
        let earlier = shuffled_up(w, state, distance);
        let limit = w.m.u32(distance);
        let has = w.m.icmp(Relation::Ge, Int::U32, lane, limit);
        prepend(w, state, &earlier, Some(has))?;
        distance *= 2;
    }
    Ok(())
}

/// A CTA a line, or a segment of it.
fn by_cta(
    w: &mut Writer,
    ctx: Ctx<'_>,
    axis: usize,
    order: Order,
    shape: &[Dim],
    segments: bool,
) -> Result<(), PtxError> {
    let cta = w.cta(Ix::Wide);
    let (number, part) =
        if segments { w.ix_divide(Ix::Wide, cta, &Dim::constant(i64::from(SEGMENTS))) } else { (cta, cta) };
    let line = line(w, ctx, axis, order, shape, number)?;
    let carry = line.state(w)?;
    if segments {
        carry_over(w, &carry, cta, part)?;
    }
    let thread = w.thread();
    let (warp, lane) = w.ix_divide(Ix::Narrow, thread, &Dim::constant(32));
    let slot = w.m.u32(SLOT);
    let base = w.scratch();
    let own_slot = w.ix_mad(Ix::Narrow, warp, slot, base);
    let step = w.m.i64(i64::from(THREADS));
    let (start, end) =
        if segments { range(w, &line.extent, part) } else { (w.m.i64(0), w.size(Ix::Wide, &line.extent)) };
    w.count(Ix::Wide, start, end, step, |w, first| {
        let offset = w.ix_from32(Ix::Wide, thread);
        let k = w.ix_add(Ix::Wide, first, offset);
        let inside = w.ix_less(Ix::Wide, k, end);
        let at = line.place(w, k);
        let value = line.load(w, at, Some(inside))?;
        let state = line.state(w)?;
        state.take(w, Taken::Value(value), Some(inside), &mut nowhere)?;
        scan_warp(w, &state, lane, 32)?;
        // The last lane of each warp leaves the warp's total; the first warp scans the totals.
        let last = w.m.u32(31);
        let is_last = w.m.icmp(Relation::Eq, Int::U32, lane, last);
        w.when(is_last, |w| {
            put(w, &state, own_slot);
            Ok(())
        })?;
        w.barrier();
        let warps = THREADS / 32;
        let limit = w.m.u32(warps);
        let totals = w.ix_less(Ix::Narrow, thread, limit);
        let zero32 = w.m.u32(0);
        let first_warp = w.m.icmp(Relation::Eq, Int::U32, warp, zero32);
        w.when(first_warp, |w| {
            let total = line.state(w)?;
            let at = w.ix_mad(Ix::Narrow, thread, slot, base);
            w.when(totals, |w| {
                let regs = get(w, &total, at);
                total.regs.iter().zip(regs).for_each(|(own, new)| w.set(*own, new));
                Ok(())
            })?;
            scan_warp(w, &total, lane, warps)?;
            w.when(totals, |w| {
                put(w, &total, at);
                Ok(())
            })
        })?;
        w.barrier();
        // What lies before this warp, then what lies before these elements.
        let has_before = w.is_not_zero(warp);
        w.when(has_before, |w| {
            let slot_before = w.m.int2(IntOp::Sub, Int::U32, own_slot, slot);
            let before = get(w, &state, slot_before);
            prepend(w, &state, &before, None)
        })?;
        let carried = carry.regs.clone();
        prepend(w, &state, &carried, None)?;
        if order.exclusive {
            // The element before, or what lies before the warp and these elements.
            let shifted = state.with(shuffled_up(w, &state, 1));
            let before = line.state(w)?;
            before.regs.iter().zip(&carried).for_each(|(own, new)| w.set(*own, *new));
            w.when(has_before, |w| {
                let slot_before = w.m.int2(IntOp::Sub, Int::U32, own_slot, slot);
                let totals = get(w, &before, slot_before);
                before.merge(w, &totals, None)
            })?;
            let inner = w.is_not_zero(lane);
            for (own, new) in before.regs.iter().zip(&shifted.regs) {
                w.set_if(inner, *own, *new);
            }
            let value = before.finish(w)?;
            line.store(w, at, value, Some(inside))?;
        } else {
            let value = state.finish(w)?;
            line.store(w, at, value, Some(inside))?;
        }
        let last_slot = w.m.u32((warps - 1) * SLOT);
        let last_slot = w.ix_add(Ix::Narrow, base, last_slot);
        let total = get(w, &carry, last_slot);
        carry.merge(w, &total, None)?;
        w.barrier();
        Ok(())
    })
}
