//! Faults of a running launch, with their place.

use crate::fault::{Fault, FaultKind};
use crate::inst::Op;
use crate::machine::{Cta, Machine};
use crate::warp::Warp;

/// Faults of one kind on one line that are reported.
const SAME_FAULTS: usize = 3;

impl Machine<'_> {
    /// Reports the threads that wait for what never comes.
    pub fn stuck(&mut self, kind: FaultKind) {
        self.stop = true;
        let mut found = Vec::new();
        for (c, cta) in self.ctas.iter().enumerate() {
            for (w, warp) in cta.warps.iter().enumerate().filter(|(_, w)| w.alive != 0) {
                let waits = warp.blocked | warp.parked | warp.spinning;
                let lane = waits.trailing_zeros().min(31);
                let pc = warp.lane_pc[lane as usize];
                let op = self.entry.body.get(pc as usize).map(|i| &i.op);
                let barrier = matches!(op, Some(Op::Bar { .. } | Op::BarCluster { .. }));
                let kind = if warp.parked & 1 << lane != 0 && !barrier { FaultKind::Collective } else { kind };
                let detail = self.why(cta, warp, lane);
                found.push((c, w, lane, pc, kind, detail));
            }
        }
        for (c, w, lane, pc, kind, detail) in found {
            self.cta = c;
            let warp = std::mem::take(&mut self.ctas[c].warps[w]);
            let line = self.entry.body.get(pc as usize).map_or(0, |i| i.line);
            self.fault(&warp, lane, kind, line, None, &detail);
            self.ctas[c].warps[w] = warp;
        }
    }

    fn why(&self, cta: &Cta, warp: &Warp, lane: u32) -> String {
        let bit = 1 << lane;
        let left = cta.warps.iter().map(|w| (w.exists & !w.alive).count_ones()).sum::<u32>();
        if warp.parked & bit != 0 {
            return format!("lanes {:#010x} wait for the other lanes of the collective's mask", warp.parked);
        }
        if warp.spinning & bit != 0 {
            return format!("lanes {:#010x} wait, and nothing that others do can end it", warp.spinning);
        }
        let arrived: Vec<String> = cta.named.iter().enumerate().filter_map(|(id, n)| n.describe(id)).collect();
        format!("lanes {:#010x} wait at a barrier: {}; {left} threads have exited", warp.blocked, arrived.join(", "))
    }

    pub fn fault(&mut self, warp: &Warp, lane: u32, kind: FaultKind, line: u32, address: Option<u64>, detail: &str) {
        let same = self.faults.iter().filter(|f| f.kind == kind && f.line == line).count();
        if same >= SAME_FAULTS || self.faults.len() >= self.options.max_faults {
            return;
        }
        let cta = self.ctas.get(self.cta).map_or([0; 3], |c| c.id);
        let thread = std::array::from_fn(|k| warp.tid[k][lane.min(31) as usize] as u32);
        let text = self.module.line(line);
        self.faults.push(Fault { kind, line, text, cta, thread, address, detail: detail.to_string() });
        self.stop |= self.faults.len() >= self.options.max_faults;
    }

    /// Reports operands that hold no value in some lanes.
    pub fn unset_fault(&mut self, warp: &Warp, unset: u32, line: u32) {
        let lane = unset.trailing_zeros();
        if warp.wgmma.in_flight() {
            let detail = "an operand has no value: its wgmma is not waited for, or nothing wrote it";
            return self.fault(warp, lane, FaultKind::MissingWait, line, None, detail);
        }
        let detail = format!("an operand has no value in lanes {unset:#010x}");
        self.fault(warp, lane, FaultKind::UninitialisedRegister, line, None, &detail);
    }
}
