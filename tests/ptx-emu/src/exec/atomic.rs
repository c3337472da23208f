//! atom and red: lane after lane, each step whole.

use crate::exec::access::write_mark;
use crate::exec::spaces::Place;
use crate::fault::FaultKind;
use crate::float;
use crate::inst::{Atom, AtomOp};
use crate::machine::Machine;
use crate::race::View;
use crate::types::{Round, Ty};
use crate::warp::{Warp, lanes};

impl Machine<'_> {
    pub fn atomic(&mut self, warp: &mut Warp, atom: &Atom, mask: u32, line: u32) {
        let addresses = self.addresses(warp, &atom.addr, mask, line);
        let bytes = atom.ty.bytes() as usize;
        let total = bytes * atom.from.len();
        for from in atom.from.iter().chain(&atom.swap) {
            self.check1(warp, from, mask, line);
        }
        let values: Vec<_> = atom.from.iter().map(|s| warp.copy(s)).collect();
        let swap = atom.swap.map(|s| warp.copy(&s));
        let mut out = [[0u64; 32]; 4];
        self.events += 1;
        for lane in lanes(mask) {
            let address = addresses[lane];
            let found = self.locate(atom.space, address, total as u64);
            let (place, at) = match found {
                Ok((place @ (Place::Global(_) | Place::Shared(_)), at)) => (place, at),
                Ok(_) => {
                    let detail = "atomics are for global and shared memory";
                    self.fault(warp, lane as u32, FaultKind::OutOfBounds, line, Some(address), detail);
                    continue;
                }
                Err((kind, detail)) => {
                    self.fault(warp, lane as u32, kind, line, Some(address), &detail);
                    continue;
                }
            };
            if self.options.races {
                self.see(warp, place, at, atom.order);
            }
            let mark = write_mark(warp, lane);
            let view = View { clock: &warp.clock, lane: lane as u32, strong: true };
            let view = self.options.races.then_some(view);
            let mut wrong = None;
            if let Some(block) = self.block(place) {
                for (k, values) in values.iter().enumerate() {
                    let at = at + k * bytes;
                    wrong = wrong.or(block.reads(at, bytes, view.as_ref()));
                    let old = block.peek(at, bytes);
                    out[k.min(3)][lane] = old;
                    let new = combine(atom.op, atom.ty, old, values[lane], swap.map(|s| s[lane]));
                    wrong = wrong.or(block.writes(at, bytes, new, view.as_ref()));
                    block.poke(at, bytes, new);
                }
                block.written_by(at, total, mark);
            }
            if matches!(place, Place::Global(_)) {
                self.stats.global_bytes_written += total as u64;
            }
            if self.options.races {
                self.show(warp, place, at, atom.order);
            }
            if let Some(wrong) = wrong {
                self.wrong(warp, lane, line, address, at, wrong);
            }
        }
        for (k, to) in atom.to.iter().enumerate() {
            if let Some(to) = to {
                warp.put(*to, &out[k.min(3)], mask);
            }
        }
    }
}

/// The new value of a place.
pub(super) fn combine(op: AtomOp, ty: Ty, old: u64, value: u64, swap: Option<u64>) -> u64 {
    match (op, ty) {
        (AtomOp::Exch, _) => return value,
        (AtomOp::Cas, _) => return if old == value { swap.unwrap_or(old) } else { old },
        (AtomOp::And, _) => return old & value,
        (AtomOp::Or, _) => return old | value,
        (AtomOp::Xor, _) => return old ^ value,
        (AtomOp::Inc, _) => return if old >= value { 0 } else { old + 1 },
        (AtomOp::Dec, _) => return if old == 0 || old > value { value } else { old - 1 },
        _ => {}
    }
    match ty {
        Ty::F64 => (f64::from_bits(old) + f64::from_bits(value)).to_bits(),
        Ty::F32 | Ty::F16 | Ty::Bf16 => element(op, ty, old, value),
        Ty::F16x2 | Ty::Bf16x2 => {
            let half = |by: u32| element(op, ty, old >> by & 0xffff, value >> by & 0xffff);
            half(0) | half(16) << 16
        }
        _ => integer(op, ty, old, value),
    }
}

fn element(op: AtomOp, ty: Ty, old: u64, value: u64) -> u64 {
    let format = float::of_type(ty).unwrap_or(float::F32);
    let (x, y) = (format.value(old), format.value(value));
    let f = match op {
        AtomOp::Add => return format.round(float::add(x, y), Round::Nearest, false),
        AtomOp::Min => crate::inst::F::Min,
        _ => crate::inst::F::Max,
    };
    format.round(super::real::extremum(f, x, y), Round::Nearest, false)
}

fn integer(op: AtomOp, ty: Ty, old: u64, value: u64) -> u64 {
    let low = u64::MAX >> (64 - ty.bits());
    let key = |v: u64| match ty {
        Ty::S32 => i128::from(v as i32),
        Ty::S64 => i128::from(v as i64),
        _ => i128::from(v),
    };
    match op {
        AtomOp::Min => {
            if key(old) <= key(value) {
                old
            } else {
                value
            }
        }
        AtomOp::Max => {
            if key(old) >= key(value) {
                old
            } else {
                value
            }
        }
        _ => old.wrapping_add(value) & low,
    }
}
