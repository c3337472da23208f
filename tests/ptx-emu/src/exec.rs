//! One instruction on the lanes of a mask. Arithmetic is done on all lanes and stored in those of the mask.

mod access;
mod atomic;
pub(crate) mod barrier;
pub(crate) mod bulk;
mod collective;
mod convert;
pub(crate) mod copies;
mod departure;
mod descriptor;
mod fragments;
mod half;
mod in_flight;
mod int;
mod matrices;
pub(crate) mod mbarrier;
mod product;
mod proxy;
mod real;
mod spaces;
mod tensor;
pub(crate) mod wgmma;

use crate::fault::FaultKind;
use crate::inst::{F, FenceKind, Inst, Op, PSrc, Src};
use crate::machine::Machine;
use crate::types::{Compare, Logic, Mode, Ty};
use crate::warp::{Lanes, Warp, lanes};

/// Where the warp goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Flow {
    Next,
    /// The instruction has set the counters itself.
    Jumped,
}

impl Machine<'_> {
    pub fn execute(&mut self, warp: &mut Warp, inst: &Inst, mask: u32) -> Flow {
        let line = inst.line;
        let mask = if mask != warp.alive && inst.op.for_whole_warp() {
            let Some(all) = warp.meet(mask) else { return Flow::Jumped };
            all
        } else {
            mask
        };
        match &inst.op {
            Op::Alu { f, ty, mode, d, s } => {
                let unset = s.iter().fold(0, |m, s| m | warp.unset(s, mask));
                if unset != 0 {
                    self.unset_fault(warp, unset, line);
                }
                let out = {
                    let [s0, s1, s2, s3] = &mut self.scratch;
                    let [a, b, c, e] =
                        [warp.get(&s[0], s0), warp.get(&s[1], s1), warp.get(&s[2], s2), warp.get(&s[3], s3)];
                    alu(*f, *ty, mode, a, b, c, e)
                };
                warp.put(*d, &out, mask);
            }
            Op::Setp { cmp, ty, ftz, d, q, a, b, with } => {
                self.check2(warp, a, b, mask, line);
                let truth = compare(*cmp, *ty, *ftz, &warp.copy(a), &warp.copy(b));
                let third = self.combined(warp, with, mask, line);
                let (yes, no) = (third(truth), third(!truth));
                if let Some(d) = d {
                    warp.put_pred(*d, yes, mask);
                }
                if let Some(q) = q {
                    warp.put_pred(*q, no, mask);
                }
            }
            Op::Set { cmp, ty, ftz, to, d, a, b, with } => {
                self.check2(warp, a, b, mask, line);
                let truth = compare(*cmp, *ty, *ftz, &warp.copy(a), &warp.copy(b));
                let truth = self.combined(warp, with, mask, line)(truth);
                let yes = match to {
                    Ty::F32 => u64::from(1f32.to_bits()),
                    Ty::F16 => 0x3c00,
                    Ty::Bf16 => 0x3f80,
                    _ => 0xffff_ffff,
                };
                let out = std::array::from_fn(|l| if truth >> l & 1 == 1 { yes } else { 0 });
                warp.put(*d, &out, mask);
            }
            Op::Testp { class, ty, d, a } => {
                self.check1(warp, a, mask, line);
                let values = warp.copy(a);
                let truth = real::classes(*class, *ty, &values);
                warp.put_pred(*d, truth, mask);
            }
            Op::Selp { d, a, b, p } => {
                let chosen = warp.pred(p);
                let unset = warp.pred_unset(p, mask) | warp.unset(a, mask & chosen) | warp.unset(b, mask & !chosen);
                if unset != 0 {
                    self.unset_fault(warp, unset, line);
                }
                let (a, b) = (warp.copy(a), warp.copy(b));
                let out = std::array::from_fn(|l| if chosen >> l & 1 == 1 { a[l] } else { b[l] });
                warp.put(*d, &out, mask);
            }
            Op::PLogic { f, d, a, b } => {
                let unset = warp.pred_unset(a, mask) | warp.pred_unset(b, mask);
                if unset != 0 {
                    self.unset_fault(warp, unset, line);
                }
                warp.put_pred(*d, logic(*f, warp.pred(a), warp.pred(b)), mask);
            }
            Op::Pack { d, parts, bits } => {
                let mut out: Lanes = [0; 32];
                for (k, part) in parts.iter().enumerate() {
                    self.check1(warp, part, mask, line);
                    let values = warp.copy(part);
                    let low = u64::MAX >> (64 - bits);
                    out.iter_mut().zip(values).for_each(|(o, v)| *o |= (v & low) << (k as u32 * bits));
                }
                warp.put(*d, &out, mask);
            }
            Op::Unpack { d, a, bits } => {
                self.check1(warp, a, mask, line);
                let values = warp.copy(a);
                let low = u64::MAX >> (64 - bits);
                for (k, d) in d.iter().enumerate() {
                    if let Some(d) = d {
                        warp.put(*d, &values.map(|v| v >> (k as u32 * bits) & low), mask);
                    }
                }
            }
            Op::Cvt { .. } => self.convert(warp, inst, mask),
            Op::Cvta { .. } | Op::IsSpace { .. } | Op::Mapa { .. } | Op::CtaRank { .. } => {
                self.address_question(warp, inst, mask);
            }
            Op::Ld(access) => self.load(warp, access, mask, line),
            Op::St(access) => self.store(warp, access, mask, line),
            Op::Atom(atom) => self.atomic(warp, atom, mask, line),
            Op::Fence(kind) => self.fence(warp, *kind, mask),
            Op::Bra { target } => return jump(warp, mask, |_| *target),
            Op::BrxIdx { index, targets } => {
                self.check1(warp, index, mask, line);
                let index = warp.copy(index);
                let next = warp.pc + 1;
                if let Some(lane) = lanes(mask).find(|l| index[*l] >= targets.len() as u64) {
                    let detail = format!("index {} of {} targets", index[lane], targets.len());
                    self.fault(warp, lane as u32, FaultKind::Operand, line, None, &detail);
                }
                return jump(warp, mask, |l| targets.get(index[l] as usize).copied().unwrap_or(next));
            }
            Op::Exit => {
                self.events += 1;
                self.leaving(warp, mask, line);
                let stays = warp.active & !mask;
                warp.exit(mask);
                if stays != 0 {
                    return Flow::Next;
                }
                return Flow::Jumped;
            }
            Op::Trap => {
                self.fault(warp, mask.trailing_zeros(), FaultKind::Trap, line, None, "trap is executed");
                self.stop = true;
            }
            Op::Nothing | Op::GridWait => {}
            Op::SetMaxNreg => self.whole_warp(warp, mask, line),
            Op::Nanosleep => {}
            Op::Shfl { .. }
            | Op::Vote { .. }
            | Op::Match { .. }
            | Op::Redux { .. }
            | Op::Elect { .. }
            | Op::ActiveMask { .. }
            | Op::BarWarp { .. } => return self.collective(warp, inst, mask),
            Op::Bar { .. } => return self.bar(warp, inst, mask),
            Op::BarCluster { .. } => return self.bar_cluster(warp, inst, mask),
            Op::LdMatrix { .. } | Op::StMatrix { .. } | Op::MovMatrix { .. } => self.matrices(warp, inst, mask),
            Op::Mma(mma) => self.mma(warp, mma, mask, line),
            Op::CpAsync { .. } => self.cp_async(warp, inst, mask),
            Op::CpAsyncCommit => self.cp_async_commit(warp, mask),
            Op::CpAsyncWait { keep } => self.cp_async_wait(warp, *keep, mask),
            Op::Mbar { f, addr, space } => return self.mbarrier(warp, f, addr, *space, mask, line),
            Op::Bulk(bulk) => self.bulk(warp, bulk, mask, line),
            Op::BulkCommit => self.bulk_commit(warp, mask),
            Op::BulkWait { keep, read } => self.bulk_wait(warp, *keep, *read, mask),
            Op::WgmmaFence => self.wgmma_fence(warp, mask, line),
            Op::WgmmaCommit => self.wgmma_commit(warp, mask, line),
            Op::WgmmaWait { keep } => self.wgmma_wait(warp, *keep, mask, line),
            Op::Wgmma(w) => self.wgmma(warp, w, mask, line),
        }
        Flow::Next
    }

    pub fn check1(&mut self, warp: &Warp, a: &Src, mask: u32, line: u32) {
        let unset = warp.unset(a, mask);
        if unset != 0 {
            self.unset_fault(warp, unset, line);
        }
    }

    fn check2(&mut self, warp: &Warp, a: &Src, b: &Src, mask: u32, line: u32) {
        let unset = warp.unset(a, mask) | warp.unset(b, mask);
        if unset != 0 {
            self.unset_fault(warp, unset, line);
        }
    }

    /// The function that combines a comparison with the third operand.
    fn combined(
        &mut self,
        warp: &Warp,
        with: &Option<(Logic, PSrc)>,
        mask: u32,
        line: u32,
    ) -> impl Fn(u32) -> u32 + use<> {
        let third = with.map(|(f, p)| {
            let unset = warp.pred_unset(&p, mask);
            if unset != 0 {
                self.unset_fault(warp, unset, line);
            }
            (f, warp.pred(&p))
        });
        move |truth| third.map_or(truth, |(f, p)| logic(f, truth, p))
    }

    /// `.aligned`: all threads of the warp must execute it together.
    pub fn whole_warp(&mut self, warp: &Warp, mask: u32, line: u32) {
        if mask != warp.exists {
            let missing = warp.exists & !mask;
            let detail = format!("all lanes must execute this together; lanes {missing:#010x} do not");
            self.fault(warp, missing.trailing_zeros(), FaultKind::Collective, line, None, &detail);
        }
    }

    fn fence(&mut self, warp: &mut Warp, kind: FenceKind, mask: u32) {
        match kind {
            FenceKind::Memory | FenceKind::ProxyOther => {
                if self.options.races {
                    warp.clock.fence();
                }
            }
            FenceKind::ProxyAsync => {
                if !warp.proxy_fences.is_empty() {
                    lanes(mask).for_each(|l| warp.proxy_fences[l] += 1);
                }
            }
        }
    }
}

fn jump(warp: &mut Warp, mask: u32, target: impl Fn(usize) -> u32) -> Flow {
    let first = target(mask.trailing_zeros() as usize);
    if mask == warp.active && lanes(mask).all(|l| target(l) == first) {
        warp.pc = first;
        if warp.pc >= warp.join {
            warp.regroup();
        }
        return Flow::Jumped;
    }
    let stays = warp.active & !mask;
    let next = warp.pc + 1;
    for lane in lanes(mask) {
        warp.lane_pc[lane] = target(lane);
    }
    warp.ready |= mask;
    warp.active &= !mask;
    warp.place(stays, next);
    Flow::Jumped
}

fn logic(f: Logic, a: u32, b: u32) -> u32 {
    match f {
        Logic::And => a & b,
        Logic::Or => a | b,
        Logic::Xor => a ^ b,
    }
}

fn alu(f: F, ty: Ty, mode: &Mode, a: &Lanes, b: &Lanes, c: &Lanes, e: &Lanes) -> Lanes {
    match ty {
        _ if f == F::Mov => *a,
        Ty::F32 if f != F::Slct => real::f32(f, mode, a, b, c),
        Ty::F64 if f != F::Slct => real::f64(f, mode, a, b, c),
        Ty::F16 => half::scalar(half::F16, f, mode, a, b, c),
        Ty::Bf16 => half::scalar(half::BF16, f, mode, a, b, c),
        Ty::F16x2 => half::pair(half::F16, f, mode, a, b, c),
        Ty::Bf16x2 => half::pair(half::BF16, f, mode, a, b, c),
        _ => int::int(f, ty, mode, a, b, c, e),
    }
}

/// Lanes in which a comparison holds.
fn compare(cmp: Compare, ty: Ty, ftz: bool, a: &Lanes, b: &Lanes) -> u32 {
    match ty {
        Ty::F32 => real::compare32(cmp, ftz, a, b),
        Ty::F64 => real::compare(cmp, |l| (f64::from_bits(a[l]), f64::from_bits(b[l]))),
        Ty::F16 | Ty::Bf16 => {
            let format = if ty == Ty::F16 { half::F16 } else { half::BF16 };
            real::compare(cmp, |l| (format.value(a[l]), format.value(b[l])))
        }
        _ => int::compare(cmp, ty, a, b),
    }
}
