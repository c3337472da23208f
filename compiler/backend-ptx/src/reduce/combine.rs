//! The states of the lanes of a point become one.

use graph::dim::Dim;
use ptx::{Shuffle, Space, Type};
use ptx_expr::{Int, Relation, Width};

use crate::error::PtxError;
use crate::index::Ix;
use crate::reduce::Share;
use crate::state::State;
use crate::writer::{V, Writer};

/// Combines the states of the lanes of each point; lane 0 has the result.
pub fn combine(w: &mut Writer, states: &[State], share: Share, lane: V) -> Result<(), PtxError> {
    if share.lanes == 1 {
        return Ok(());
    }
    for state in states {
        if share.rows {
            combine_rows(w, state, share, lane)?;
        } else {
            combine_columns(w, state, share, lane)?;
        }
    }
    Ok(())
}

/// Within each warp by shuffles, then the warps' results by the first warp.
fn combine_rows(w: &mut Writer, state: &State, share: Share, lane: V) -> Result<(), PtxError> {
    shuffle_down(w, state, share.lanes.min(32))?;
    let warps = share.lanes / 32;
    if warps <= 1 {
        return Ok(());
    }
    let base = w.free_scratch();
    let (warp, within) = w.ix_divide(Ix::Narrow, lane, &Dim::constant(32));
    let zero = w.m.u32(0);
    let first = w.m.icmp(Relation::Eq, Int::U32, within, zero);
    let slot = w.m.u32(SLOT);
    let at = w.ix_mad(Ix::Narrow, warp, slot, base);
    w.when(first, |w| {
        put(w, state, at);
        Ok(())
    })?;
    w.barrier();
    let limit = w.m.u32(warps);
    let reads = w.ix_less(Ix::Narrow, lane, limit);
    let at = w.ix_mad(Ix::Narrow, lane, slot, base);
    w.when(reads, |w| {
        let regs = get(w, state, at);
        for (own, new) in state.regs.iter().zip(regs) {
            w.set(*own, new);
        }
        Ok(())
    })?;
    shuffle_down(w, state, warps)
}

/// Combines the states of groups of `lanes` neighbouring threads; all of them have the result. More than a warp: of the whole CTA.
pub fn combine_all(w: &mut Writer, state: &State, lanes: u32) -> Result<(), PtxError> {
    if lanes == 1 {
        return Ok(());
    }
    let within_warp = lanes.min(32);
    shuffle_down(w, state, within_warp)?;
    let thread = w.thread();
    if lanes > 32 {
        let warps = lanes / 32;
        let base = w.shared("row_states", warps * SLOT);
        let (warp, within) = w.ix_divide(Ix::Narrow, thread, &Dim::constant(32));
        let (zero, slot) = (w.m.u32(0), w.m.u32(SLOT));
        let first = w.m.icmp(Relation::Eq, Int::U32, within, zero);
        let at = w.ix_mad(Ix::Narrow, warp, slot, base);
        w.when(first, |w| {
            put(w, state, at);
            Ok(())
        })?;
        w.barrier();
        let mask = w.m.u32(warps - 1);
        let own = w.m.and(Width::B32, within, mask);
        let at = w.ix_mad(Ix::Narrow, own, slot, base);
        let regs = get(w, state, at);
        for (own, new) in state.regs.iter().zip(regs) {
            w.set(*own, new);
        }
        shuffle_down(w, state, warps)?;
    }
    let mask = w.m.u32(32 - within_warp);
    let leader = w.m.and(Width::B32, thread, mask);
    for (reg, width) in state.regs.iter().zip(state.widths()) {
        let value = moved(w, *reg, width, Shuffle::Idx, leader);
        w.set(*reg, value);
    }
    Ok(())
}

/// Bytes of a state in shared memory.
pub const SLOT: u32 = 16;

pub fn put(w: &mut Writer, state: &State, at: V) {
    let at = w.address(at);
    for (k, (reg, width)) in state.regs.iter().zip(state.widths()).enumerate() {
        let ty = if width == Width::B64 { Type::B64 } else { Type::B32 };
        let reg = w.reg(*reg, ty);
        w.b().st(Space::Shared, ty, at.plus(8 * k as i64), reg);
    }
}

pub fn get(w: &mut Writer, state: &State, at: V) -> Vec<V> {
    let at = w.address(at);
    let mut out = Vec::new();
    for (k, width) in state.widths().into_iter().enumerate() {
        let ty = if width == Width::B64 { Type::B64 } else { Type::B32 };
        let reg = w.b().ld(Space::Shared, ty, at.plus(8 * k as i64));
        out.push(w.value_of(reg));
    }
    out
}

fn shuffle_down(w: &mut Writer, state: &State, lanes: u32) -> Result<(), PtxError> {
    let mut distance = lanes / 2;
    while distance > 0 {
        let other: Vec<V> =
            state.regs.iter().zip(state.widths()).map(|(reg, width)| shuffled(w, *reg, width, distance)).collect();
        state.merge(w, &other, None)?;
        distance /= 2;
    }
    Ok(())
}

/// The value of the lane so many places on.
pub fn shuffled(w: &mut Writer, value: V, width: Width, distance: u32) -> V {
    let distance = w.m.u32(distance);
    moved(w, value, width, Shuffle::Down, distance)
}

/// The value of another lane of the warp.
fn moved(w: &mut Writer, value: V, width: Width, how: Shuffle, by: V) -> V {
    let by: ptx::Operand = match by {
        ptx_expr::Value::Const(_, bits) => ptx::Operand::Imm(bits),
        ptx_expr::Value::Reg(reg) => reg.into(),
    };
    if width == Width::B64 {
        let whole = w.reg(value, Type::B64);
        let parts = w.b().unpack(whole);
        let moved: Vec<ptx::Reg> = parts.into_iter().map(|p| w.b().shfl(how, p, by.clone())).collect();
        let whole = w.b().pack(&moved);
        return w.value_of(whole);
    }
    let value = w.reg(value, Type::B32);
    let moved = w.b().shfl(how, value, by);
    w.value_of(moved)
}

/// By halves through shared memory, a slot a thread.
fn combine_columns(w: &mut Writer, state: &State, share: Share, lane: V) -> Result<(), PtxError> {
    let base = w.free_scratch();
    let (thread, slot) = (w.thread(), w.m.u32(SLOT));
    let own = w.ix_mad(Ix::Narrow, thread, slot, base);
    put(w, state, own);
    w.barrier();
    let mut distance = share.lanes / 2;
    while distance > 0 {
        let limit = w.m.u32(distance);
        let takes = w.ix_less(Ix::Narrow, lane, limit);
        w.when(takes, |w| {
            let step = w.m.u32(distance * share.points * SLOT);
            let at = w.ix_add(Ix::Narrow, own, step);
            let other = get(w, state, at);
            state.merge(w, &other, None)?;
            put(w, state, own);
            Ok(())
        })?;
        distance /= 2;
        if distance > 0 {
            w.barrier();
        }
    }
    Ok(())
}

/// The results of lane 0 in the registers of all threads of the CTA, which work on one point and have just combined the states by rows.
pub fn broadcast(w: &mut Writer, states: &[State], lane: V) -> Result<(), PtxError> {
    let base = w.scratch();
    let zero = w.m.u32(0);
    let first = w.m.icmp(Relation::Eq, Int::U32, lane, zero);
    for (k, state) in states.iter().enumerate() {
        // The thread that writes the slot now is the one that read it last, until all others have read it.
        if k > 0 {
            w.barrier();
        }
        w.when(first, |w| {
            put(w, state, base);
            Ok(())
        })?;
        w.barrier();
        let regs = get(w, state, base);
        for (own, new) in state.regs.iter().zip(regs) {
            w.set(*own, new);
        }
    }
    Ok(())
}
