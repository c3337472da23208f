//! Running sums of one number a thread within a CTA.

use ptx::{Shuffle, Space, Type};
use ptx_expr::{Int, IntOp, Relation, Width};

use crate::index::Ix;
use crate::writer::{V, Writer};

/// The sum of the numbers (32 bits) of the threads before this one, and of all. Threads: a multiple of 32, at most 1024. In a loop a
/// barrier must follow, before the next turn writes the sums of warps.
pub fn exclusive(w: &mut Writer, value: V, threads: u32) -> (V, V) {
    let thread = w.thread();
    let (five, mask) = (w.m.u32(5), w.m.u32(31));
    let warp = w.m.int2(IntOp::Shr, Int::U32, thread, five);
    let lane = w.m.and(Width::B32, thread, mask);
    let inclusive = within_warp(w, value, lane);
    let totals = w.shared("totals", 4 * 32);
    let four = w.m.u32(4);
    let own = w.ix_mad(Ix::Narrow, warp, four, totals);
    let last = w.m.icmp(Relation::Eq, Int::U32, lane, mask);
    let (at, number, last) = (w.address(own), w.reg(inclusive, Type::U32), w.pred(last));
    let form = ptx::Form::new(ptx::Op::St, (Space::Shared, ptx::Vector::One, Type::B32));
    w.b().guarded(last, |b| b.emit(form, [ptx::Operand::Address(at), number.into()]));
    w.barrier();
    let warps = w.m.u32(threads / 32);
    let highest = w.m.u32(threads / 32 - 1);
    let there = w.ix_less(Ix::Narrow, lane, warps);
    let slot = w.ix_min(Ix::Narrow, lane, highest);
    let at = w.ix_mad(Ix::Narrow, slot, four, totals);
    let at = w.address(at);
    let total = w.b().ld(Space::Shared, Type::B32, at);
    let (total, zero) = (w.value_of(total), w.m.u32(0));
    let total = w.m.select(Width::B32, there, total, zero);
    let sums = within_warp(w, total, lane);
    let all = from_lane(w, sums, mask);
    let one = w.m.u32(1);
    let previous = w.m.int2(IntOp::Sub, Int::U32, warp, one);
    let previous = w.m.and(Width::B32, previous, mask);
    let before = from_lane(w, sums, previous);
    let first = w.m.icmp(Relation::Eq, Int::U32, warp, zero);
    let before = w.m.select(Width::B32, first, zero, before);
    let own = w.m.int2(IntOp::Sub, Int::U32, inclusive, value);
    let sum = w.m.int2(IntOp::Add, Int::U32, before, own);
    (sum, all)
}

/// The sum of the numbers of the lanes up to this one.
fn within_warp(w: &mut Writer, value: V, lane: V) -> V {
    let mut sum = value;
    let mut distance = 1;
    while distance < 32 {
        let reg = w.reg(sum, Type::B32);
        let other = w.b().shfl(Shuffle::Up, reg, distance);
        let limit = w.m.u32(distance);
        let has = w.m.icmp(Relation::Ge, Int::U32, lane, limit);
        let (other, zero) = (w.value_of(other), w.m.u32(0));
        let other = w.m.select(Width::B32, has, other, zero);
        sum = w.m.int2(IntOp::Add, Int::U32, sum, other);
        distance *= 2;
    }
    sum
}

fn from_lane(w: &mut Writer, value: V, lane: V) -> V {
    let reg = w.reg(value, Type::B32);
    let lane: ptx::Operand = match lane {
        ptx_expr::Value::Const(_, bits) => ptx::Operand::Imm(bits),
        ptx_expr::Value::Reg(reg) => reg.into(),
    };
    let moved = w.b().shfl(Shuffle::Idx, reg, lane);
    w.value_of(moved)
}
