//! A warp: registers as arrays over lanes, and which lanes stand where.
//!
//! Lanes with the same program counter run together. Among several groups the one with the lowest counter runs first, so that lanes
//! meet again where their ways join in the text. Lanes that wait (at a barrier, at a collective, for an mbarrier) stand aside.

use std::rc::Rc;

use crate::block::Block;
use crate::inst::{PReg, PSrc, Reg, Src};
use crate::race::Clock;
use crate::types::{MaskOf, Special};

pub(crate) type Lanes = [u64; 32];

static ZEROS: Lanes = [0; 32];

/// The lanes of a mask, ascending.
#[inline]
pub(crate) fn lanes(mask: u32) -> impl Iterator<Item = usize> {
    let mut left = mask;
    std::iter::from_fn(move || {
        if left == 0 {
            return None;
        }
        let lane = left.trailing_zeros() as usize;
        left &= left - 1;
        Some(lane)
    })
}

/// Values that all lanes of a warp read alike.
#[derive(Clone, Debug, Default)]
pub(crate) struct Uniform {
    pub ntid: [u32; 3],
    pub ctaid: [u32; 3],
    pub nctaid: [u32; 3],
    pub cluster_size: [u32; 3],
    pub cluster_rank: u32,
    pub dynamic_shared: u32,
    pub total_shared: u32,
    pub variables: Rc<[u64]>,
}

/// An open group of cp.async: what a thread will copy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Copy {
    pub lane: u32,
    pub line: u32,
    pub to: u32,
    pub from: u64,
    pub size: u32,
    pub source_size: u32,
}

#[derive(Debug, Default)]
pub(crate) struct Warp {
    /// Index in the CTA.
    pub index: u32,
    /// Lanes that have a thread.
    pub exists: u32,
    pub alive: u32,
    pub active: u32,
    pub pc: u32,
    /// Lowest counter of the ready groups.
    pub join: u32,
    /// Lanes that can run, beside the active ones.
    pub ready: u32,
    /// Lanes at a collective whose mask has others still on their way.
    pub parked: u32,
    /// Lanes in a failed wait; they run again after everything else.
    pub spinning: u32,
    /// Lanes at a barrier.
    pub blocked: u32,
    /// Phase of the cluster barrier that each lane has arrived for, from 1.
    pub cluster_phase: [u32; 32],
    pub lane_pc: [u32; 32],
    pub regs: Vec<Lanes>,
    /// Lanes in which a register holds a value.
    pub set: Vec<u32>,
    pub preds: Vec<u32>,
    pub pset: Vec<u32>,
    pub tid: Box<[Lanes; 3]>,
    pub uniform: Rc<Uniform>,
    pub local: Vec<Block>,
    pub clock: Clock,
    /// Proxy fences that each lane has executed, plus one.
    pub proxy_fences: Vec<u32>,
    /// cp.async: the group being filled, then committed ones.
    pub open_copies: Vec<Copy>,
    pub copy_groups: Vec<crate::exec::copies::Group>,
    /// Bulk stores by lane: see exec/bulk.rs.
    pub bulk: Vec<crate::exec::bulk::Group>,
    pub wgmma: crate::exec::wgmma::State,
    /// Whether the last run ended in failed waits only.
    pub spun: bool,
    pub executed: u64,
}

impl Warp {
    /// Whether any lane could run now.
    pub fn runnable(&self) -> bool {
        self.active | self.ready | self.spinning != 0
    }

    /// Takes the group with the lowest counter; false where no lane is ready.
    pub fn select(&mut self) -> bool {
        if self.ready == 0 {
            return false;
        }
        let lowest = lanes(self.ready).map(|l| self.lane_pc[l]).min().unwrap_or(0);
        self.active = lanes(self.ready).filter(|l| self.lane_pc[*l] == lowest).fold(0, |m, l| m | 1 << l);
        self.ready &= !self.active;
        self.pc = lowest;
        self.set_join();
        true
    }

    fn set_join(&mut self) {
        self.join = lanes(self.ready).map(|l| self.lane_pc[l]).min().unwrap_or(u32::MAX);
    }

    /// Puts active lanes among the ready ones, at a counter.
    pub fn place(&mut self, mask: u32, pc: u32) {
        for lane in lanes(mask) {
            self.lane_pc[lane] = pc;
        }
        self.active &= !mask;
        self.ready |= mask;
        self.set_join();
    }

    /// The active group stops to let others catch up or go first.
    pub fn regroup(&mut self) {
        self.place(self.active, self.pc);
    }

    /// Lanes of the active group stand aside at a counter.
    pub fn set_aside(&mut self, mask: u32, pc: u32) {
        for lane in lanes(mask) {
            self.lane_pc[lane] = pc;
        }
        self.active &= !mask;
    }

    /// Lanes that reach an instruction for the whole warp: all of those that wait there, or `None` while others are on their way.
    pub fn meet(&mut self, mask: u32) -> Option<u32> {
        let present = mask | lanes(self.parked).filter(|l| self.lane_pc[*l] == self.pc).fold(0, |m, l| m | 1 << l);
        let stays = self.active & !mask;
        if self.alive & !present & (self.ready | self.spinning | stays) != 0 {
            self.park(mask);
            return None;
        }
        self.parked &= !present;
        self.active |= present;
        Some(present)
    }

    /// Lanes wait at this instruction for others of their warp; the rest of the group goes on.
    pub fn park(&mut self, mask: u32) {
        let (pc, stays) = (self.pc, self.active & !mask);
        self.parked |= mask;
        self.set_aside(mask, pc);
        self.place(stays, pc + 1);
    }

    /// Parked lanes look again.
    pub fn unpark(&mut self) {
        self.ready |= self.parked;
        self.parked = 0;
        self.set_join();
    }

    /// Blocked lanes may go on.
    pub fn release(&mut self, mask: u32) {
        let mask = mask & self.blocked;
        self.blocked &= !mask;
        self.ready |= mask;
        self.set_join();
    }

    /// Lanes in failed waits try again.
    pub fn retry(&mut self) {
        self.ready |= self.spinning;
        self.spinning = 0;
        self.set_join();
    }

    pub fn exit(&mut self, mask: u32) {
        self.alive &= !mask;
        self.active &= !mask;
    }

    // Registers.

    #[inline]
    pub fn get<'a>(&'a self, src: &Src, scratch: &'a mut Lanes) -> &'a Lanes {
        match src {
            Src::Reg(reg) => &self.regs[*reg as usize],
            Src::Imm(0) => &ZEROS,
            Src::Imm(value) => {
                *scratch = [*value; 32];
                scratch
            }
            Src::Special(special) => {
                *scratch = self.special(*special);
                scratch
            }
            Src::Variable(k, offset) => {
                let base = self.uniform.variables.get(*k as usize).copied().unwrap_or(0);
                *scratch = [base.wrapping_add_signed(*offset); 32];
                scratch
            }
        }
    }

    pub fn copy(&self, src: &Src) -> Lanes {
        let mut scratch = [0; 32];
        *self.get(src, &mut scratch)
    }

    /// The value of the first lane of a mask.
    pub fn first(&self, src: &Src, mask: u32) -> u64 {
        self.copy(src)[(mask.trailing_zeros() as usize).min(31)]
    }

    /// Lanes of a mask in which an operand holds no value.
    #[inline]
    pub fn unset(&self, src: &Src, mask: u32) -> u32 {
        match src {
            Src::Reg(reg) => mask & !self.set[*reg as usize],
            Src::Imm(_) | Src::Special(_) | Src::Variable(..) => 0,
        }
    }

    #[inline]
    pub fn put(&mut self, reg: Reg, values: &Lanes, mask: u32) {
        let slot = &mut self.regs[reg as usize];
        if mask == u32::MAX {
            *slot = *values;
        } else {
            for lane in lanes(mask) {
                slot[lane] = values[lane];
            }
        }
        self.set[reg as usize] |= mask;
    }

    #[inline]
    pub fn put_pred(&mut self, reg: PReg, values: u32, mask: u32) {
        let slot = &mut self.preds[reg as usize];
        *slot = *slot & !mask | values & mask;
        self.pset[reg as usize] |= mask;
    }

    /// Lanes in which a predicate operand is true.
    #[inline]
    pub fn pred(&self, src: &PSrc) -> u32 {
        let value = src.reg.map_or(u32::MAX, |r| self.preds[r as usize]);
        if src.not { !value } else { value }
    }

    #[inline]
    pub fn pred_unset(&self, src: &PSrc, mask: u32) -> u32 {
        src.reg.map_or(0, |r| mask & !self.pset[r as usize])
    }

    fn special(&self, special: Special) -> Lanes {
        let u = &*self.uniform;
        let all = |value: u32| [u64::from(value); 32];
        let axis = |of: [u32; 3], k: u8| all(of[usize::from(k)]);
        let per = |f: fn(u32) -> u32| std::array::from_fn(|lane| u64::from(f(lane as u32)));
        let threads: u32 = u.ntid.iter().product();
        let size = u.cluster_size;
        match special {
            Special::Tid(k) => self.tid[usize::from(k)],
            Special::Ntid(k) => axis(u.ntid, k),
            Special::Ctaid(k) => axis(u.ctaid, k),
            Special::Nctaid(k) => axis(u.nctaid, k),
            Special::LaneId => per(|lane| lane),
            Special::WarpId => all(self.index),
            Special::NwarpId => all(threads.div_ceil(32)),
            Special::ClusterId(k) => all(u.ctaid[usize::from(k)] / size[usize::from(k)].max(1)),
            Special::NclusterId(k) => all(u.nctaid[usize::from(k)] / size[usize::from(k)].max(1)),
            Special::ClusterCtaid(k) => all(u.ctaid[usize::from(k)] % size[usize::from(k)].max(1)),
            Special::ClusterNctaid(k) => axis(size, k),
            Special::ClusterCtaRank => all(u.cluster_rank),
            Special::ClusterNctaRank => all(size.iter().product()),
            Special::LaneMask(MaskOf::Eq) => per(|lane| 1 << lane),
            Special::LaneMask(MaskOf::Lt) => per(|lane| (1 << lane) - 1),
            Special::LaneMask(MaskOf::Le) => per(|lane| u32::MAX >> (31 - lane)),
            Special::LaneMask(MaskOf::Ge) => per(|lane| u32::MAX << lane),
            Special::LaneMask(MaskOf::Gt) => per(|lane| !(u32::MAX >> (31 - lane))),
            // A clock that advances with every instruction of the warp.
            Special::Clock => [self.executed; 32],
            Special::DynamicShared => all(u.dynamic_shared),
            Special::TotalShared => all(u.total_shared),
            Special::SmId => all(0),
            Special::NsmId => all(1),
            Special::GridId => all(1),
        }
    }
}
