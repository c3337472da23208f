//! Barriers of CTAs (sixteen, by number) and of clusters.

use crate::exec::Flow;
use crate::fault::FaultKind;
use crate::inst::{BarKind, Inst, Op};
use crate::machine::Machine;
use crate::race::Knowledge;
use crate::warp::{Warp, lanes};

/// Lanes that wait at a barrier, with where a reduction's result goes.
#[derive(Clone, Debug)]
struct Waiting {
    warp: u32,
    mask: u32,
    to: Option<u32>,
    to_pred: Option<u32>,
}

/// A numbered barrier of a CTA.
#[derive(Debug, Default)]
pub(crate) struct Named {
    arrived: u32,
    expected: u32,
    waiting: Vec<Waiting>,
    knows: Knowledge,
    /// Threads for which the predicate of a reduction was true, of all with one.
    truths: u32,
    voters: u32,
}

impl Named {
    pub fn describe(&self, id: usize) -> Option<String> {
        (self.arrived > 0)
            .then(|| format!("{} of {} threads have arrived at barrier {id}", self.arrived, self.expected))
    }
}

/// barrier.cluster.
#[derive(Debug, Default)]
pub(crate) struct ClusterBarrier {
    arrived: u32,
    phase: u32,
    waiting: Vec<(usize, u32, u32)>,
    knows: Knowledge,
    done: Knowledge,
}

impl Machine<'_> {
    pub fn bar(&mut self, warp: &mut Warp, inst: &Inst, mask: u32) -> Flow {
        let Op::Bar { kind, id, count, p, to, to_pred, aligned } = &inst.op else { return Flow::Next };
        let line = inst.line;
        let first = mask.trailing_zeros();
        if *aligned && mask != warp.alive {
            let detail = format!("lanes {:#010x} of the warp do not come along", warp.alive & !mask);
            self.fault(warp, first, FaultKind::BarrierDivergence, line, None, &detail);
            self.stop = true;
            return Flow::Next;
        }
        self.check1(warp, id, mask, line);
        let id = warp.first(id, mask) as usize;
        if id >= 16 {
            self.fault(warp, first, FaultKind::Operand, line, None, &format!("barrier {id}; there are 0 to 15"));
            return Flow::Next;
        }
        let threads: u32 = self.launch.block.iter().product();
        let mut expected = threads.next_multiple_of(32);
        if let Some(count) = count {
            self.check1(warp, count, mask, line);
            expected = warp.first(count, mask) as u32;
        }
        if !expected.is_multiple_of(32) || expected == 0 || expected > threads.next_multiple_of(32) {
            let detail = format!("{expected} threads at a barrier of a CTA of {threads}; a multiple of 32 is needed");
            self.fault(warp, first, FaultKind::Operand, line, None, &detail);
            self.stop = true;
            return Flow::Next;
        }
        self.events += 1;
        let races = self.options.races;
        let named = &mut self.ctas[self.cta].named[id];
        if named.arrived > 0 && named.expected != expected {
            let detail = format!("{expected} threads, but others at barrier {id} say {}", named.expected);
            self.fault(warp, first, FaultKind::BarrierDivergence, line, None, &detail);
            self.stop = true;
            return Flow::Next;
        }
        named.expected = expected;
        // A warp with fewer threads than lanes counts as a whole one.
        named.arrived += if mask == warp.exists { 32 } else { mask.count_ones() };
        if races {
            named.knows.join(&warp.clock.knows);
            warp.clock.tick();
        }
        if let Some(p) = p {
            named.truths += (warp.pred(p) & mask).count_ones();
            named.voters += mask.count_ones();
        }
        if *kind != BarKind::Arrive {
            let (warp_index, to, to_pred) = (warp.index, *to, *to_pred);
            named.waiting.push(Waiting { warp: warp_index, mask, to, to_pred });
            warp.blocked |= mask;
            let (pc, stays) = (warp.pc, warp.active & !mask);
            warp.set_aside(mask, pc);
            warp.place(stays, pc + 1);
        }
        let named = &mut self.ctas[self.cta].named[id];
        if named.arrived >= named.expected {
            let excess = named.arrived > named.expected;
            let done = std::mem::take(named);
            if excess {
                let detail = format!("{} threads arrive where {} are expected", done.arrived, done.expected);
                self.fault(warp, first, FaultKind::BarrierDivergence, line, None, &detail);
            }
            self.open(warp, done, *kind);
        }
        if *kind == BarKind::Arrive { Flow::Next } else { Flow::Jumped }
    }

    /// Everybody has arrived.
    fn open(&mut self, running: &mut Warp, done: Named, kind: BarKind) {
        let holds = match kind {
            BarKind::RedAnd => done.truths == done.voters,
            _ => done.truths > 0,
        };
        let cta = self.cta;
        for waiting in &done.waiting {
            let mask = waiting.mask;
            let here = running.index == waiting.warp;
            let warp = if here { &mut *running } else { &mut self.ctas[cta].warps[waiting.warp as usize] };
            lanes(mask).for_each(|l| warp.lane_pc[l] += 1);
            if let Some(to) = waiting.to {
                warp.put(to, &[u64::from(done.truths); 32], mask);
            }
            if let Some(to) = waiting.to_pred {
                warp.put_pred(to, if holds { u32::MAX } else { 0 }, mask);
            }
            self.release(running, cta, waiting.warp, mask, &done.knows);
        }
    }

    pub fn bar_cluster(&mut self, warp: &mut Warp, inst: &Inst, mask: u32) -> Flow {
        let Op::BarCluster { wait, releases, aligned } = inst.op else { return Flow::Next };
        let line = inst.line;
        if aligned && mask != warp.alive {
            let detail = format!("lanes {:#010x} of the warp do not come along", warp.alive & !mask);
            self.fault(warp, mask.trailing_zeros(), FaultKind::BarrierDivergence, line, None, &detail);
            self.stop = true;
            return Flow::Next;
        }
        self.events += 1;
        let (here, first) = (self.cta, self.ctas[self.cta].first);
        let races = self.options.races;
        let threads: u32 = self.launch.block.iter().product::<u32>() * self.cluster.iter().product::<u32>();
        let barrier = &mut self.ctas[first].cluster_barrier;
        if !wait {
            if lanes(mask).any(|l| warp.cluster_phase[l] > barrier.phase) {
                let detail = "a second barrier.cluster.arrive without a wait between";
                self.fault(warp, mask.trailing_zeros(), FaultKind::BarrierDivergence, line, None, detail);
                return Flow::Next;
            }
            barrier.arrived += mask.count_ones();
            if races && releases {
                barrier.knows.join(&warp.clock.knows);
                warp.clock.tick();
            }
            lanes(mask).for_each(|l| warp.cluster_phase[l] = barrier.phase + 1);
            if barrier.arrived == threads {
                barrier.arrived = 0;
                barrier.phase += 1;
                barrier.done = std::mem::take(&mut barrier.knows);
                let done = barrier.done.clone();
                for (cta, index, mask) in std::mem::take(&mut barrier.waiting) {
                    let same = cta == here && index == warp.index;
                    let other = if same { &mut *warp } else { &mut self.ctas[cta].warps[index as usize] };
                    lanes(mask).for_each(|l| other.lane_pc[l] += 1);
                    self.release(warp, cta, index, mask, &done);
                }
            }
            return Flow::Next;
        }
        if lanes(mask).any(|l| warp.cluster_phase[l] == 0) {
            let detail = "barrier.cluster.wait without an arrive";
            self.fault(warp, mask.trailing_zeros(), FaultKind::BarrierDivergence, line, None, detail);
            return Flow::Next;
        }
        if lanes(mask).all(|l| warp.cluster_phase[l] <= barrier.phase) {
            if races {
                let done = barrier.done.clone();
                warp.clock.acquire(&done);
                warp.clock.order_lanes();
            }
            return Flow::Next;
        }
        barrier.waiting.push((here, warp.index, mask));
        warp.blocked |= mask;
        let (pc, stays) = (warp.pc, warp.active & !mask);
        warp.set_aside(mask, pc);
        warp.place(stays, pc + 1);
        Flow::Jumped
    }
}
