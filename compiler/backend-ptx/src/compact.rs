//! Positions of the true elements of a mask: one CTA walks the mask, 1024 elements at a time.
//!
//! A thread's rank is the number of true elements before it: in its warp by a vote, of the warps before by a scan of their
//! counts, and in what came before.

use graph::dim::{Dim, Pred};
use graph::symbol::Symbols;
use nest::kernel::Kernel;
use ptx::{Shuffle, Space, Special, Type};
use ptx_expr::{BitOp, Int, IntOp, Op, Relation, Width};

use crate::compile::Ctx;
use crate::error::PtxError;
use crate::index::Ix;
use crate::launch::GpuKernel;
use crate::writer::{V, Writer};

const WALKERS: u32 = 1024;

/// Bytes of scratch.
pub fn workspace(_: &Kernel, _: &Symbols) -> Dim {
    Dim::constant(0)
}

pub fn launches(ctx: Ctx<'_>) -> Result<Vec<GpuKernel>, PtxError> {
    let ([mask], [positions, count]) = (ctx.kernel.operands.as_slice(), ctx.kernel.results.as_slice()) else {
        return Err(PtxError::Malformed("a compact without a mask or a count"));
    };
    let (Some(extent), Some(bound)) = (mask.shape.first(), positions.shape.first()) else {
        return Err(PtxError::Malformed("a mask of rank 0"));
    };
    let mut writer = Writer::new("compact", ctx.sm);
    let w = &mut writer;
    let from = w.operand(ctx.kernel, 0)?;
    let results = w.results(ctx.kernel)?;
    let [to, total] = results.as_slice() else { return Err(PtxError::Malformed("a compact without a count")) };
    let thread = w.thread();
    let wide = w.ix_from32(Ix::Wide, thread);
    let (warp, lane) = w.ix_divide(Ix::Narrow, thread, &Dim::constant(32));
    let below = w.b().special(Special::LanemaskLt);
    let below = w.value_of(below);
    let counts = w.shared("counts", 4 * WALKERS / 32);
    let four = w.m.u32(4);
    let (own, read) = (w.ix_mad(Ix::Narrow, warp, four, counts), w.ix_mad(Ix::Narrow, lane, four, counts));
    let zero = w.m.i64(0);
    let found = w.var(Width::B64, zero);
    let step = w.m.i64(i64::from(WALKERS));
    let (end, most) = (w.size(Ix::Wide, extent), w.size(Ix::Wide, bound));
    w.count(Ix::Wide, zero, end, step, |w, first| {
        let i = w.ix_add(Ix::Wide, first, wide);
        let inside = w.ix_less(Ix::Wide, i, end);
        let at = w.view_address(Ix::Wide, &mask.access, &[i]);
        let flag = w.load(&from, Ix::Wide, at, Some(inside))?;
        let flag = w.both(flag, inside);
        let pred = w.pred(flag);
        let votes = w.b().ballot(pred);
        let votes = w.value_of(votes);
        let ones = |w: &mut Writer, bits: V| w.m.apply(Op::Bits(BitOp::Ones, Width::B32), &[bits]);
        let earlier = w.m.and(Width::B32, votes, below);
        let rank = ones(w, earlier);
        let count = ones(w, votes);
        let none = w.m.u32(0);
        let leads = w.m.icmp(Relation::Eq, Int::U32, lane, none);
        w.when(leads, |w| {
            let (at, count) = (w.address(own), w.reg(count, Type::U32));
            w.b().st(Space::Shared, Type::B32, at, count);
            Ok(())
        })?;
        w.barrier();
        let at = w.address(read);
        let mine = w.b().ld(Space::Shared, Type::B32, at);
        let mine = w.value_of(mine);
        let sum = w.var(Width::B32, mine);
        let mut distance = 1;
        while distance < 32 {
            let reg = w.reg(sum, Type::B32);
            let other = w.b().shfl(Shuffle::Up, reg, distance);
            let other = w.value_of(other);
            let limit = w.m.u32(distance);
            let has = w.m.icmp(Relation::Ge, Int::U32, lane, limit);
            let more = w.m.int2(IntOp::Add, Int::U32, sum, other);
            w.set_if(has, sum, more);
            distance *= 2;
        }
        let reg = w.reg(sum, Type::B32);
        let last = w.b().shfl(Shuffle::Idx, reg, 31u32);
        let last = w.value_of(last);
        let one = w.m.u32(1);
        let previous = w.m.int2(IntOp::Sub, Int::U32, warp, one);
        let previous = w.reg(previous, Type::U32);
        let before = w.b().shfl(Shuffle::Idx, reg, previous);
        let before = w.value_of(before);
        let first_warp = w.m.icmp(Relation::Eq, Int::U32, warp, none);
        let before = w.m.select(Width::B32, first_warp, none, before);
        let place = w.m.int2(IntOp::Add, Int::U32, before, rank);
        let place = w.ix_from32(Ix::Wide, place);
        let place = w.m.int2(IntOp::Add, Int::U64, found, place);
        let fits = w.ix_less(Ix::Wide, place, most);
        let stores = w.both(flag, fits);
        let at = w.view_address(Ix::Wide, &positions.access, &[place]);
        w.store(to, Ix::Wide, at, i, Some(stores))?;
        let last = w.ix_from32(Ix::Wide, last);
        let more = w.m.int2(IntOp::Add, Int::U64, found, last);
        w.set(found, more);
        w.barrier();
        Ok(())
    })?;
    let found = w.m.int2(IntOp::Min, Int::U64, found, most);
    let rest = w.m.int2(IntOp::Add, Int::U64, found, wide);
    w.count(Ix::Wide, rest, most, step, |w, k| {
        let at = w.view_address(Ix::Wide, &positions.access, &[k]);
        let zero = w.m.i64(0);
        w.store(to, Ix::Wide, at, zero, None)
    })?;
    let none = w.m.u32(0);
    let first = w.m.icmp(Relation::Eq, Int::U32, thread, none);
    let at = w.view_address(Ix::Wide, &count.access, &[]);
    w.store(total, Ix::Wide, at, found, Some(first))?;
    let one = || Dim::constant(1);
    Ok(vec![ctx.launch(writer, &Pred::Const(true), [one(), one(), one()], WALKERS)?])
}
