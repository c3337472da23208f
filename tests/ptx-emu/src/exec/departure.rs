//! The end of a CTA of a cluster: its shared memory goes with its last thread, so what others of the cluster did with it must have
//! come before.

use crate::fault::FaultKind;
use crate::machine::{Cta, Machine};
use crate::race::parts;

impl Machine<'_> {
    /// Reports an access of another CTA that no thread of this one has waited for.
    pub fn depart(&mut self, c: usize) {
        let late = self.ctas.get(c).and_then(late_access);
        let Some((at, stamp)) = late else { return };
        let Some(last) = self.ctas.get_mut(c).and_then(|cta| cta.warps.first_mut()) else { return };
        let warp = std::mem::take(last);
        let (_, other, lane, _) = parts(stamp);
        let per_cta = self.ctas[c].warps.len().max(1) as u32;
        let (rank, thread) = (other / per_cta, other % per_cta * 32 + lane);
        let detail = format!("thread {thread} of rank {rank} accesses the shared memory of a CTA that may have exited");
        let line = self.entry.body.get(warp.pc as usize).map_or(0, |i| i.line);
        self.fault(&warp, 0, FaultKind::Race, line, Some(at as u64), &detail);
        self.ctas[c].warps[0] = warp;
    }
}

/// A byte, and an access to it from another CTA that happens before the exit of no warp.
fn late_access(cta: &Cta) -> Option<(usize, u64)> {
    let per_cta = cta.warps.len() as u32;
    let is_late = |stamp: &u64| {
        let (_, warp, _, time) = parts(*stamp);
        let known = || cta.warps.iter().filter_map(|w| w.clock.knows.own.get(warp as usize)).any(|k| *k >= time);
        *stamp != 0 && warp / per_cta != cta.rank && !known()
    };
    let mut last = None;
    cta.shared.stamps.all().find_map(|(at, shadow)| {
        if last == Some(shadow) {
            return None;
        }
        last = Some(shadow);
        shadow.stamps().into_iter().find(is_late).map(|stamp| (at, stamp))
    })
}
