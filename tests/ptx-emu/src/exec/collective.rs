//! Warp collectives. Lanes of the mask wait for one another at the instruction; then it happens at once.

use crate::exec::Flow;
use crate::exec::atomic::combine;
use crate::fault::FaultKind;
use crate::inst::{Inst, Op, ShflMode, VoteMode};
use crate::machine::Machine;
use crate::types::Ty;
use crate::warp::{Lanes, Warp, lanes};

impl Machine<'_> {
    pub fn collective(&mut self, warp: &mut Warp, inst: &Inst, mask: u32) -> Flow {
        let line = inst.line;
        let members = match &inst.op {
            Op::ActiveMask { d } => {
                warp.put(*d, &[u64::from(warp.active); 32], mask);
                return Flow::Next;
            }
            Op::Shfl { mask: m, .. }
            | Op::Vote { mask: m, .. }
            | Op::Match { mask: m, .. }
            | Op::Redux { mask: m, .. }
            | Op::Elect { mask: m, .. }
            | Op::BarWarp { mask: m } => {
                self.check1(warp, m, mask, line);
                let values = warp.copy(m);
                let first = values[mask.trailing_zeros() as usize] as u32;
                if let Some(lane) = lanes(mask).find(|l| values[*l] as u32 != first) {
                    let detail = format!("masks {first:#010x} and {:#010x} at one collective", values[lane] as u32);
                    self.fault(warp, lane as u32, FaultKind::Collective, line, None, &detail);
                }
                first
            }
            _ => return Flow::Next,
        };
        if mask & !members != 0 {
            let lane = (mask & !members).trailing_zeros();
            let detail = format!("the lane is not in its own mask {members:#010x}");
            self.fault(warp, lane, FaultKind::Collective, line, None, &detail);
        }
        let here = |w: &Warp| lanes(w.parked).filter(|l| w.lane_pc[*l] == w.pc).fold(mask, |m, l| m | 1 << l);
        let present = here(warp);
        let absent = members & !present;
        if absent & warp.alive == 0 && absent != 0 {
            let detail = format!("mask {members:#010x} names lanes {absent:#010x}, which have no thread any more");
            self.fault(warp, mask.trailing_zeros(), FaultKind::Collective, line, None, &detail);
        } else if absent != 0 {
            warp.park(mask);
            return Flow::Jumped;
        }
        warp.parked &= !present;
        warp.active |= present;
        self.together(warp, inst, present, members);
        Flow::Next
    }

    fn together(&mut self, warp: &mut Warp, inst: &Inst, mask: u32, members: u32) {
        let line = inst.line;
        match &inst.op {
            Op::BarWarp { .. } if self.options.races => {
                warp.clock.order_lanes();
            }
            Op::Shfl { mode, d, p, a, b, c, .. } => {
                for s in [a, b, c] {
                    self.check1(warp, s, mask, line);
                }
                let (a, b, c) = (warp.copy(a), warp.copy(b), warp.copy(c));
                let mut out: Lanes = [0; 32];
                let (mut inside, mut missing) = (0u32, 0u32);
                for lane in lanes(mask) {
                    let (source, valid) = source_lane(*mode, lane as u32, b[lane] as u32, c[lane] as u32);
                    let source = if valid { source } else { lane as u32 };
                    inside |= u32::from(valid) << lane;
                    missing |= u32::from(mask >> source & 1 == 0) << lane;
                    out[lane] = a[source as usize];
                }
                if missing != 0 {
                    let detail = format!("lanes {missing:#010x} read from lanes outside the mask {members:#010x}");
                    self.fault(warp, missing.trailing_zeros(), FaultKind::Collective, line, None, &detail);
                }
                warp.put(*d, &out, mask);
                if let Some(p) = p {
                    warp.put_pred(*p, inside, mask);
                }
            }
            Op::Vote { mode, d, p, a, .. } => {
                let unset = warp.pred_unset(a, mask);
                if unset != 0 {
                    self.unset_fault(warp, unset, line);
                }
                let truth = warp.pred(a) & mask;
                let holds = match mode {
                    VoteMode::Ballot => return warp.put(*d, &[u64::from(truth); 32], mask),
                    VoteMode::All => truth == mask,
                    VoteMode::Any => truth != 0,
                    VoteMode::Uni => truth == mask || truth == 0,
                };
                warp.put_pred(*p, if holds { u32::MAX } else { 0 }, mask);
            }
            Op::Match { all, d, p, a, .. } => {
                self.check1(warp, a, mask, line);
                let values = warp.copy(a);
                let like =
                    |lane: usize| lanes(mask).filter(|l| values[*l] == values[lane]).fold(0u32, |m, l| m | 1 << l);
                let equal = lanes(mask).all(|l| like(l) == mask);
                let found = |lane: usize| if *all { if equal { mask } else { 0 } } else { like(lane) };
                if let Some(d) = d {
                    warp.put(*d, &std::array::from_fn(|l| u64::from(found(l))), mask);
                }
                if let Some(p) = p {
                    warp.put_pred(*p, if equal { u32::MAX } else { 0 }, mask);
                }
            }
            Op::Redux { op, signed, d, a, .. } => {
                self.check1(warp, a, mask, line);
                let values = warp.copy(a);
                let ty = if *signed { Ty::S32 } else { Ty::U32 };
                let all = lanes(mask).map(|l| values[l]).reduce(|x, y| combine(*op, ty, x, y, None));
                warp.put(*d, &[all.unwrap_or(0); 32], mask);
            }
            Op::Elect { d, p, .. } => {
                let leader = mask.trailing_zeros();
                if let Some(d) = d {
                    warp.put(*d, &[u64::from(leader); 32], mask);
                }
                if let Some(p) = p {
                    warp.put_pred(*p, 1 << leader, mask);
                }
            }
            _ => {}
        }
    }
}

/// The lane that a lane reads from, and whether it lies in its segment.
fn source_lane(mode: ShflMode, lane: u32, b: u32, c: u32) -> (u32, bool) {
    let (b, clamp, segment) = (b & 31, c & 31, c >> 8 & 31);
    let highest = lane & segment | clamp & !segment;
    let lowest = lane & segment;
    match mode {
        ShflMode::Up => {
            let source = lane.wrapping_sub(b);
            (source & 31, (source as i32) >= highest as i32)
        }
        ShflMode::Down => ((lane + b) & 31, lane + b <= highest),
        ShflMode::Bfly => ((lane ^ b) & 31, lane ^ b <= highest),
        ShflMode::Idx => {
            let source = lowest | b & !segment;
            (source & 31, source <= highest)
        }
    }
}
