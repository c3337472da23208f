//! mbarrier objects: phases, arrivals, transaction bytes. What is in flight for a barrier arrives when somebody asks for the barrier's
//! phase, and not before.

use crate::exec::Flow;
use crate::exec::bulk::{Effect, Pending};
use crate::exec::spaces::Place;
use crate::fault::FaultKind;
use crate::inst::{Addr, Mbar};
use crate::machine::Machine;
use crate::race::{Knowledge, View};
use crate::types::Space;
use crate::warp::{Warp, lanes};

/// Most bytes that may be outstanding, and most arrivals.
const MOST: i64 = (1 << 20) - 1;

/// One mbarrier.
#[derive(Debug, Default)]
pub(crate) struct Object {
    expected: i64,
    left: i64,
    bytes: i64,
    /// Phases that are complete.
    phase: u64,
    knows: Knowledge,
    done: Knowledge,
}

impl Object {
    fn turn(&mut self) {
        if self.left == 0 && self.bytes == 0 {
            self.phase += 1;
            self.left = self.expected;
            self.done = self.knows.clone();
        }
    }
}

/// A barrier's place: resident CTA and offset.
pub(crate) type Where = (usize, u32);

impl Machine<'_> {
    pub fn mbarrier(&mut self, warp: &mut Warp, f: &Mbar, addr: &Addr, space: Space, mask: u32, line: u32) -> Flow {
        let addresses = self.addresses(warp, addr, mask, line);
        for operand in operands(f) {
            self.check1(warp, operand, mask, line);
        }
        let (mut done, mut tokens) = (0u32, [0u64; 32]);
        for lane in lanes(mask) {
            let at = match self.locate(space, addresses[lane], 8) {
                Ok((Place::Shared(c), at)) => (c, at as u32),
                Ok(_) => {
                    let detail = "an mbarrier lies in shared memory";
                    self.fault(warp, lane as u32, FaultKind::OutOfBounds, line, Some(addresses[lane]), detail);
                    continue;
                }
                Err((kind, detail)) => {
                    self.fault(warp, lane as u32, kind, line, Some(addresses[lane]), &detail);
                    continue;
                }
            };
            match f {
                Mbar::Init { count } => {
                    let count = warp.copy(count)[lane] as i64;
                    self.create(warp, lane, at, count, addresses[lane], line);
                    continue;
                }
                Mbar::Wait { token, parity, .. } => {
                    let token = warp.copy(token)[lane];
                    if self.known(warp, lane, at, addresses[lane], line)
                        && self.passed(warp, at, token, *parity, mask == warp.alive)
                    {
                        done |= 1 << lane;
                    }
                    continue;
                }
                _ => {}
            }
            if !self.known(warp, lane, at, addresses[lane], line) {
                continue;
            }
            self.events += 1;
            match f {
                Mbar::Inval => {
                    self.ctas[at.0].mbarriers.remove(&at.1);
                    self.ctas[at.0].shared.state[at.1 as usize..at.1 as usize + 8].fill(0);
                }
                Mbar::Arrive { count, expect, drop, .. } => {
                    let count = count.map_or(1, |c| warp.copy(&c)[lane] as i64);
                    if let Some(bytes) = expect {
                        let bytes = warp.copy(bytes)[lane] as i64;
                        self.expect_bytes(warp, lane, at, bytes, line);
                    }
                    tokens[lane] = self.object(at).map_or(0, |o| o.phase);
                    self.arrive_at(warp, lane, at, count, *drop, line);
                }
                Mbar::ExpectTx { bytes } => {
                    let bytes = warp.copy(bytes)[lane] as i64;
                    self.expect_bytes(warp, lane, at, bytes, line);
                }
                Mbar::CompleteTx { bytes } => {
                    let bytes = warp.copy(bytes)[lane] as i64;
                    self.complete_bytes(warp, lane as u32, at, bytes, line);
                }
                Mbar::AfterCopies { counted } => self.after_copies(warp, lane, at, *counted, line),
                Mbar::Init { .. } | Mbar::Wait { .. } => {}
            }
        }
        if let Mbar::Arrive { state: Some(state), .. } = f {
            warp.put(*state, &tokens, mask);
        }
        if let Mbar::Wait { done: d, .. } = f {
            warp.put_pred(*d, done, mask);
            if done & mask != mask {
                // Whoever fails lets everybody else go first.
                let (active, next) = (warp.active, warp.pc + 1);
                warp.set_aside(active, next);
                warp.spinning |= active;
                return Flow::Jumped;
            }
        }
        Flow::Next
    }

    pub fn object(&mut self, at: Where) -> Option<&mut Object> {
        self.ctas[at.0].mbarriers.get_mut(&at.1)
    }

    fn create(&mut self, warp: &mut Warp, lane: usize, at: Where, count: i64, address: u64, line: u32) {
        if !(1..=MOST).contains(&count) {
            let detail = format!("an mbarrier of {count} arrivals");
            return self.fault(warp, lane as u32, FaultKind::Mbarrier, line, Some(address), &detail);
        }
        let view = View { clock: &warp.clock, lane: lane as u32, strong: false };
        let view = self.options.races.then_some(view);
        let offset = at.1 as usize;
        let block = &mut self.ctas[at.0].shared;
        let wrong = block.writes(offset, 8, 0, view.as_ref());
        block.state[offset..offset + 8].fill(crate::block::WRITTEN | crate::block::OBJECT);
        if let Some(wrong) = wrong {
            self.wrong(warp, lane, line, address, offset, wrong);
        }
        self.events += 1;
        let object = Object { expected: count, left: count, ..Object::default() };
        self.ctas[at.0].mbarriers.insert(at.1, object);
    }

    /// Whether there is an mbarrier, and its initialisation is ordered before this use.
    pub fn known(&mut self, warp: &Warp, lane: usize, at: Where, address: u64, line: u32) -> bool {
        if !self.ctas[at.0].mbarriers.contains_key(&at.1) {
            let detail = "no mbarrier is initialised there";
            self.fault(warp, lane as u32, FaultKind::Mbarrier, line, Some(address), detail);
            return false;
        }
        if self.options.races {
            let view = View { clock: &warp.clock, lane: lane as u32, strong: true };
            let stamps = &mut self.ctas[at.0].shared.stamps;
            if let Some((byte, other)) = stamps.read(at.1 as usize, 4, &view) {
                let wrong = crate::block::Wrong { kind: FaultKind::Race, at: byte, other };
                self.wrong(warp, lane, line, address, at.1 as usize, wrong);
            }
        }
        true
    }

    fn passed(&mut self, warp: &mut Warp, at: Where, token: u64, parity: bool, whole: bool) -> bool {
        let passed = |o: &Object| if parity { o.phase & 1 != token & 1 } else { o.phase > token };
        if !self.object(at).is_some_and(|o| passed(o)) {
            self.deliver(warp, at);
        }
        let races = self.options.races;
        let Some(object) = self.object(at).filter(|o| passed(o)) else { return false };
        if races {
            warp.clock.acquire(&object.done);
            if whole {
                warp.clock.order_lanes_until(&object.done);
            }
        }
        true
    }

    /// What the warp did so far is seen by whoever waits for the phase.
    pub fn contribute(&mut self, warp: &mut Warp, at: Where) {
        if self.options.races {
            if let Some(object) = self.object(at) {
                object.knows.join(&warp.clock.knows);
            }
            warp.clock.tick();
        }
    }

    pub fn arrive_at(&mut self, warp: &mut Warp, lane: usize, at: Where, count: i64, drop: bool, line: u32) {
        self.contribute(warp, at);
        let Some(object) = self.object(at) else { return };
        object.left -= count;
        if drop {
            object.expected -= count;
        }
        let left = object.left;
        if left >= 0 && count > 0 {
            object.turn();
        } else {
            let detail = format!("{count} arrivals where {} are left in the phase", left + count);
            self.fault(warp, lane as u32, FaultKind::Mbarrier, line, Some(u64::from(at.1)), &detail);
        }
    }

    fn expect_bytes(&mut self, warp: &Warp, lane: usize, at: Where, bytes: i64, line: u32) {
        let Some(object) = self.object(at) else { return };
        object.bytes += bytes;
        let total = object.bytes;
        if total > MOST {
            let detail = format!("{total} bytes outstanding; {MOST} are allowed");
            self.fault(warp, lane as u32, FaultKind::Mbarrier, line, Some(u64::from(at.1)), &detail);
        }
    }

    pub fn complete_bytes(&mut self, warp: &Warp, lane: u32, at: Where, bytes: i64, line: u32) {
        let Some(object) = self.object(at) else { return };
        object.bytes -= bytes;
        let total = object.bytes;
        if total < -MOST {
            let detail = format!("{} bytes more than expected", -total);
            self.fault(warp, lane, FaultKind::Mbarrier, line, Some(u64::from(at.1)), &detail);
        } else {
            object.turn();
        }
    }

    /// cp.async.mbarrier.arrive: the copies of the thread so far happen with the arrival.
    fn after_copies(&mut self, warp: &mut Warp, lane: usize, at: Where, counted: bool, line: u32) {
        let mut copies = Vec::new();
        for group in &mut warp.copy_groups {
            let all = std::mem::take(&mut group.copies);
            let (mine, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|c| c.lane as usize == lane);
            group.copies = others;
            copies.extend(mine);
        }
        let all = std::mem::take(&mut warp.open_copies);
        let (mine, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|c| c.lane as usize == lane);
        warp.open_copies = others;
        copies.extend(mine);
        if !counted && let Some(object) = self.object(at) {
            object.left += 1;
        }
        let effect = Effect::Arrive { warp: warp.index, lane: lane as u32, copies };
        self.ctas[at.0].pending.push(Pending { at: at.1, line, from: self.cta, effect });
    }
}

fn operands(f: &Mbar) -> Vec<&crate::inst::Src> {
    match f {
        Mbar::Init { count } => vec![count],
        Mbar::Arrive { count, expect, .. } => count.iter().chain(expect).collect(),
        Mbar::ExpectTx { bytes } | Mbar::CompleteTx { bytes } => vec![bytes],
        Mbar::Wait { token, .. } => vec![token],
        Mbar::Inval | Mbar::AfterCopies { .. } => Vec::new(),
    }
}
