//! ld and st.

use crate::block::Wrong;
use crate::exec::spaces::Place;
use crate::fault::FaultKind;
use crate::inst::{Access, Addr, Order};
use crate::machine::Machine;
use crate::race::{Knowledge, View, parts};
use crate::types::Ty;
use crate::warp::{Lanes, Warp, lanes};

impl Machine<'_> {
    /// Addresses of all lanes.
    pub fn addresses(&mut self, warp: &Warp, addr: &Addr, mask: u32, line: u32) -> Lanes {
        self.check1(warp, &addr.base, mask, line);
        let mut out = warp.copy(&addr.base);
        if addr.offset != 0 {
            out.iter_mut().for_each(|a| *a = a.wrapping_add_signed(addr.offset));
        }
        out
    }

    pub fn load(&mut self, warp: &mut Warp, access: &Access, mask: u32, line: u32) {
        let addresses = self.addresses(warp, &access.addr, mask, line);
        let bytes = access.ty.bytes() as usize;
        let total = bytes * access.to.len();
        let mut out = [[0u64; 32]; 4];
        for lane in lanes(mask) {
            let address = addresses[lane];
            let (place, at) = match self.locate(access.space, address, total as u64) {
                Ok(found) => found,
                Err((kind, detail)) => {
                    self.fault(warp, lane as u32, kind, line, Some(address), &detail);
                    continue;
                }
            };
            let view = View { clock: &warp.clock, lane: lane as u32, strong: access.order.strong };
            let view = self.options.races.then_some(view);
            let mut wrong = None;
            match place {
                Place::Param => {
                    for (k, slot) in out.iter_mut().enumerate().take(access.to.len()) {
                        let start = at + k * bytes;
                        let found = &self.launch.params[start..start + bytes];
                        slot[lane] = found.iter().rev().fold(0, |v, b| v << 8 | u64::from(*b));
                    }
                }
                Place::Local => {
                    let block = &mut warp.local[lane];
                    wrong = block.reads(at, total, None);
                    (0..access.to.len()).for_each(|k| out[k][lane] = block.peek(at + k * bytes, bytes));
                }
                Place::Global(_) | Place::Shared(_) => {
                    if let Some(block) = self.block(place) {
                        wrong = block.reads(at, total, view.as_ref());
                        (0..access.to.len()).for_each(|k| out[k][lane] = block.peek(at + k * bytes, bytes));
                    }
                    if matches!(place, Place::Global(_)) {
                        self.stats.global_bytes_read += total as u64;
                    }
                    if access.order.strong && self.options.races {
                        self.see(warp, place, at, access.order);
                    }
                }
            }
            if let Some(wrong) = wrong {
                self.wrong(warp, lane, line, address, at, wrong);
            }
        }
        for (k, to) in access.to.iter().enumerate() {
            let Some(to) = to else { continue };
            let width = u32::from(self.entry.regs[*to as usize]);
            if access.ty.signed() && access.ty.bits() < width {
                out[k].iter_mut().for_each(|v| *v = sign_extend(*v, access.ty, width));
            }
            warp.put(*to, &out[k], mask);
        }
    }

    pub fn store(&mut self, warp: &mut Warp, access: &Access, mask: u32, line: u32) {
        let addresses = self.addresses(warp, &access.addr, mask, line);
        let bytes = access.ty.bytes() as usize;
        let total = bytes * access.from.len();
        let mut values = [[0u64; 32]; 4];
        for (k, from) in access.from.iter().enumerate() {
            self.check1(warp, from, mask, line);
            values[k] = warp.copy(from);
        }
        self.events += 1;
        for lane in lanes(mask) {
            let address = addresses[lane];
            let (place, at) = match self.locate(access.space, address, total as u64) {
                Ok(found) => found,
                Err((kind, detail)) => {
                    self.fault(warp, lane as u32, kind, line, Some(address), &detail);
                    continue;
                }
            };
            let mark = write_mark(warp, lane);
            let view = View { clock: &warp.clock, lane: lane as u32, strong: access.order.strong };
            let view = self.options.races.then_some(view);
            let mut wrong = None;
            let count = access.from.len();
            match place {
                Place::Param => {
                    let detail = "parameters cannot be written";
                    self.fault(warp, lane as u32, FaultKind::OutOfBounds, line, Some(address), detail);
                }
                Place::Local => {
                    let block = &mut warp.local[lane];
                    for (k, values) in values.iter().enumerate().take(count) {
                        block.writes(at + k * bytes, bytes, values[lane], None);
                        block.poke(at + k * bytes, bytes, values[lane]);
                    }
                }
                Place::Global(_) | Place::Shared(_) => {
                    if let Some(block) = self.block(place) {
                        for (k, values) in values.iter().enumerate().take(count) {
                            let found = block.writes(at + k * bytes, bytes, values[lane], view.as_ref());
                            wrong = wrong.or(found);
                            block.poke(at + k * bytes, bytes, values[lane]);
                        }
                        block.written_by(at, total, mark);
                    }
                    if matches!(place, Place::Global(_)) {
                        self.stats.global_bytes_written += total as u64;
                    }
                    if access.order.strong && self.options.races {
                        self.show(warp, place, at, access.order);
                    }
                }
            }
            if let Some(wrong) = wrong {
                self.wrong(warp, lane, line, address, at, wrong);
            }
        }
        if !access.order.strong {
            warp.clock.fenced = false;
        }
    }

    /// Reports what a block found.
    pub fn wrong(&mut self, warp: &Warp, lane: usize, line: u32, address: u64, at: usize, wrong: Wrong) {
        let address = address.wrapping_add(wrong.at as u64).wrapping_sub(at as u64);
        let detail = match wrong.kind {
            FaultKind::Race => {
                let (group, other, lane, _) = parts(wrong.other);
                let per_cta = self.ctas[self.cta].warps.len().max(1) as u32;
                let (rank, other) = (other / per_cta, other % per_cta);
                let thread = other * 32 + lane;
                if group == warp.clock.group {
                    format!(
                        "thread {thread} of rank {rank} of this cluster accesses the byte too, with nothing between"
                    )
                } else {
                    format!("thread {thread} of rank {rank} of cluster {} accesses the byte too", group - 1)
                }
            }
            FaultKind::MissingWait => "an asynchronous operation on these bytes is not waited for".to_string(),
            FaultKind::Mbarrier => "these bytes hold an mbarrier".to_string(),
            _ => "nothing wrote this byte".to_string(),
        };
        self.fault(warp, lane as u32, wrong.kind, line, Some(address), &detail);
    }

    /// Where the knowledge released at an address is kept.
    fn flag(&self, place: Place, at: usize) -> u64 {
        match place {
            Place::Global(k) => self.global.list[k].start + at as u64,
            Place::Shared(c) => 1 << 63 | (c as u64) << 32 | at as u64,
            Place::Local | Place::Param => 0,
        }
    }

    /// A strong read sees what was released there.
    pub fn see(&mut self, warp: &mut Warp, place: Place, at: usize, order: Order) {
        let Some(found) = self.flags.get(&self.flag(place, at)) else { return };
        if order.acquire {
            warp.clock.acquire(found);
        } else {
            warp.clock.seen.get_or_insert_with(Knowledge::default).join(found);
        }
    }

    /// A strong write after a fence, or with release, shows what the warp knows.
    pub fn show(&mut self, warp: &mut Warp, place: Place, at: usize, order: Order) {
        if order.release || warp.clock.fenced {
            let knows = warp.clock.knows.published(warp.clock.group);
            let flag = self.flag(place, at);
            self.flags.entry(flag).or_default().join(&knows);
            warp.clock.tick();
        }
    }
}

fn sign_extend(value: u64, ty: Ty, width: u32) -> u64 {
    let value = match ty.bits() {
        8 => value as i8 as u64,
        16 => value as i16 as u64,
        _ => value as i32 as u64,
    };
    if width >= 64 { value } else { value & ((1 << width) - 1) }
}

/// Thread and count of its proxy fences, for generic writes that the asynchronous proxy may read.
pub(super) fn write_mark(warp: &Warp, lane: usize) -> u32 {
    match warp.proxy_fences.get(lane) {
        Some(fences) => (warp.index * 32 + lane as u32) << 20 | fences & 0xf_ffff,
        None => 0,
    }
}
