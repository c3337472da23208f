//! A launch: clusters in sequence (or all at once when cooperative), their warps in turn, until all threads have exited or nothing
//! can go on.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::block::Block;
use crate::device::{Launch, Options, Stats};
use crate::exec::Flow;
use crate::exec::barrier::{ClusterBarrier, Named};
use crate::exec::bulk::Pending;
use crate::exec::mbarrier::Object;
use crate::fault::{Fault, FaultKind};
use crate::memory::Global;
use crate::module::{Entry, Module};
use crate::race::{Clock, Knowledge};
use crate::warp::{Lanes, Uniform, Warp, lanes};

/// Instructions of a warp before another gets its turn.
const TURN: u32 = 4096;

/// A resident CTA.
#[derive(Debug, Default)]
pub(crate) struct Cta {
    pub id: [u32; 3],
    pub rank: u32,
    /// Index of the first CTA of the cluster among the resident ones.
    pub first: usize,
    pub warps: Vec<Warp>,
    pub shared: Block,
    pub named: Vec<Named>,
    pub mbarriers: BTreeMap<u32, Object>,
    /// Bulk copies that signal an mbarrier of this CTA.
    pub pending: Vec<Pending>,
    /// Of the cluster; held by its first CTA.
    pub cluster_barrier: ClusterBarrier,
}

pub(crate) struct Machine<'m> {
    pub module: &'m Module,
    pub entry: &'m Entry,
    pub launch: &'m Launch<'m>,
    pub options: &'m Options,
    pub global: &'m mut Global,
    variables: Rc<[u64]>,
    pub ctas: Vec<Cta>,
    /// The CTA whose warp runs.
    pub cta: usize,
    pub cluster: [u32; 3],
    pub faults: Vec<Fault>,
    pub stop: bool,
    pub stats: Stats,
    /// Counts everything that another warp could wait for.
    pub events: u64,
    /// What strong writes to an address have released.
    pub flags: BTreeMap<u64, Knowledge>,
    /// Where operands that are no registers are spread over the lanes.
    pub scratch: [Lanes; 4],
}

/// Why a launch is refused, if it is.
pub(crate) fn problem(entry: &Entry, launch: &Launch, options: &Options) -> Option<String> {
    let threads: u64 = launch.block.iter().map(|d| u64::from(*d)).product();
    let [_, _, depth] = launch.block;
    if threads == 0 || threads > 1024 || depth > 64 {
        return Some(format!("a block of {:?} threads; 1 to 1024 are allowed", launch.block));
    }
    if launch.grid.contains(&0) || launch.grid[0] > 0x7fff_ffff || launch.grid[1] > 65_535 || launch.grid[2] > 65_535 {
        return Some(format!("a grid of {:?}", launch.grid));
    }
    if let Some(most) = entry.max_threads.filter(|m| threads > m.iter().map(|d| u64::from(*d)).product()) {
        return Some(format!("{threads} threads, but .maxntid allows {most:?}"));
    }
    if let Some(exact) = entry.exact_threads.filter(|e| *e != launch.block) {
        return Some(format!("a block of {:?}, but .reqntid asks for {exact:?}", launch.block));
    }
    let shared = u64::from(entry.dynamic_base) + u64::from(launch.dynamic_shared);
    if shared > u64::from(options.max_shared) {
        return Some(format!("{shared} bytes of shared memory; {} are allowed", options.max_shared));
    }
    if launch.params.len() != entry.param_bytes as usize {
        return Some(format!("{} bytes of parameters; the kernel has {}", launch.params.len(), entry.param_bytes));
    }
    let cluster = cluster_of(entry, launch);
    if let Some(own) = entry.cluster.filter(|own| *own != cluster) {
        return Some(format!("clusters of {cluster:?}, but .reqnctapercluster asks for {own:?}"));
    }
    let divides = launch.grid.iter().zip(cluster).all(|(g, c)| c > 0 && g % c == 0);
    if !divides || cluster.iter().product::<u32>() > 16 {
        return Some(format!("clusters of {cluster:?} in a grid of {:?}", launch.grid));
    }
    None
}

fn cluster_of(entry: &Entry, launch: &Launch) -> [u32; 3] {
    if launch.cluster == [0; 3] { entry.cluster.unwrap_or([1; 3]) } else { launch.cluster }
}

impl<'m> Machine<'m> {
    pub fn new(
        module: &'m Module,
        entry: &'m Entry,
        launch: &'m Launch<'m>,
        options: &'m Options,
        global: &'m mut Global,
        variables: Vec<u64>,
    ) -> Self {
        Machine {
            module,
            entry,
            launch,
            options,
            global,
            variables: variables.into(),
            ctas: Vec::new(),
            cta: 0,
            cluster: cluster_of(entry, launch),
            faults: Vec::new(),
            stop: false,
            stats: Stats::default(),
            events: 0,
            flags: BTreeMap::new(),
            scratch: [[0; 32]; 4],
        }
    }

    pub fn finish(self) -> Result<Stats, Vec<Fault>> {
        if self.faults.is_empty() { Ok(self.stats) } else { Err(self.faults) }
    }

    pub fn run(&mut self) {
        let [gx, gy, gz] = self.launch.grid;
        let [cx, cy, cz] = self.cluster;
        let clusters = u64::from(gx / cx) * u64::from(gy / cy) * u64::from(gz / cz);
        for k in 0..clusters {
            let k = if self.options.reverse { clusters - 1 - k } else { k };
            let (x, rest) = (k % u64::from(gx / cx), k / u64::from(gx / cx));
            let (y, z) = (rest % u64::from(gy / cy), rest / u64::from(gy / cy));
            self.enter([x as u32 * cx, y as u32 * cy, z as u32 * cz], k as u32 + 1);
            if !self.launch.cooperative {
                self.run_resident();
                self.ctas.clear();
            }
            if self.stop {
                return;
            }
        }
        self.run_resident();
    }

    /// Makes the CTAs of a cluster resident.
    fn enter(&mut self, origin: [u32; 3], group: u32) {
        let [cx, cy, cz] = self.cluster;
        let first = self.ctas.len();
        let shared = self.entry.dynamic_base + self.launch.dynamic_shared;
        for rank in 0..cx * cy * cz {
            let at = [rank % cx, rank / cx % cy, rank / (cx * cy)];
            let id = std::array::from_fn(|k| origin[k] + at[k]);
            let uniform = Rc::new(Uniform {
                ntid: self.launch.block,
                ctaid: id,
                nctaid: self.launch.grid,
                cluster_size: self.cluster,
                cluster_rank: rank,
                dynamic_shared: self.launch.dynamic_shared,
                total_shared: shared,
                variables: self.variables.clone(),
            });
            let mut block = Block::new(shared as usize, 0);
            if self.options.races {
                block.stamps.reset(shared as usize);
            }
            if self.entry.async_proxy {
                block.writer = vec![0; (shared as usize).div_ceil(4)];
            }
            let warps = self.warps(&uniform, group);
            self.stats.ctas += 1;
            let named = (0..16).map(|_| Named::default()).collect();
            self.ctas.push(Cta { id, rank, first, warps, shared: block, named, ..Cta::default() });
        }
    }

    fn warps(&self, uniform: &Rc<Uniform>, group: u32) -> Vec<Warp> {
        let [nx, ny, _] = self.launch.block;
        let threads: u32 = self.launch.block.iter().product();
        let count = threads.div_ceil(32);
        let all = (count * self.cluster.iter().product::<u32>()) as usize;
        let make = |index: u32| {
            let inside = (threads - index * 32).min(32);
            let exists = u32::MAX >> (32 - inside);
            let thread = |lane: usize| index * 32 + lane as u32;
            let tid = [
                std::array::from_fn(|l| u64::from(thread(l) % nx)),
                std::array::from_fn(|l| u64::from(thread(l) / nx % ny)),
                std::array::from_fn(|l| u64::from(thread(l) / (nx * ny))),
            ];
            let in_cluster = uniform.cluster_rank * count + index;
            let clock = if self.options.races { Clock::new(group, in_cluster, all) } else { Clock::default() };
            Warp {
                index,
                exists,
                alive: exists,
                active: exists,
                join: u32::MAX,
                regs: vec![[0; 32]; self.entry.regs.len()],
                set: vec![0; self.entry.regs.len()],
                preds: vec![0; self.entry.preds as usize],
                pset: vec![0; self.entry.preds as usize],
                tid: Box::new(tid),
                uniform: uniform.clone(),
                local: self.local(),
                clock,
                proxy_fences: vec![1; if self.entry.async_proxy { 32 } else { 0 }],
                ..Warp::default()
            }
        };
        (0..count).map(make).collect()
    }

    /// Local memory of each lane.
    fn local(&self) -> Vec<Block> {
        let bytes = self.entry.local_bytes as usize;
        if bytes == 0 { Vec::new() } else { (0..32).map(|_| Block::new(bytes, 0)).collect() }
    }

    fn run_resident(&mut self) {
        let mut quiet = 0;
        while !self.stop {
            let before = self.events;
            let (mut ran, mut spun) = (false, true);
            for c in 0..self.ctas.len() {
                for w in 0..self.ctas[c].warps.len() {
                    if !self.ctas[c].warps[w].runnable() || self.stop {
                        continue;
                    }
                    let mut warp = std::mem::take(&mut self.ctas[c].warps[w]);
                    self.cta = c;
                    self.turn(&mut warp);
                    ran = true;
                    spun &= warp.spun;
                    self.ctas[c].warps[w] = warp;
                }
            }
            if !ran {
                break;
            }
            quiet = if spun && self.events == before { quiet + 1 } else { 0 };
            if quiet > 2 && !self.complete_everything() {
                return self.stuck(FaultKind::Deadlock);
            }
        }
        if self.stop {
            return;
        }
        let waits = self.ctas.iter().flat_map(|c| &c.warps).any(|w| w.alive != 0);
        if waits {
            return self.stuck(FaultKind::BarrierDivergence);
        }
        self.leave();
    }

    /// Runs a warp until it waits, or its turn is over.
    fn turn(&mut self, warp: &mut Warp) {
        warp.spun = false;
        let mut retried = false;
        let body = &self.entry.body;
        for _ in 0..TURN {
            if warp.active == 0 && !warp.select() {
                if warp.spinning | warp.parked != 0 && !retried {
                    retried = true;
                    warp.retry();
                    warp.unpark();
                    continue;
                }
                warp.spun = warp.spinning != 0;
                return;
            }
            let inst = &body[warp.pc as usize];
            let mut mask = warp.active;
            if let Some(guard) = &inst.guard {
                if warp.pred_unset(guard, mask) != 0 {
                    let lane = warp.pred_unset(guard, mask).trailing_zeros();
                    self.fault(warp, lane, FaultKind::UninitialisedRegister, inst.line, None, "the guard has no value");
                }
                mask &= warp.pred(guard);
            }
            warp.executed += 1;
            self.stats.warp_instructions += 1;
            self.stats.thread_instructions += u64::from(mask.count_ones());
            if mask != 0 {
                match self.execute(warp, inst, mask) {
                    Flow::Next => {}
                    Flow::Jumped => continue,
                }
                if self.stop {
                    return;
                }
            }
            warp.pc += 1;
            if warp.pc >= warp.join {
                warp.regroup();
            }
        }
        // A group that loops for a whole turn lets the other groups of its warp go first.
        let (active, pc) = (warp.active, warp.pc);
        warp.set_aside(active, pc);
        warp.spinning |= active;
        if warp.executed > self.options.max_instructions {
            let line = body.get(pc as usize).map_or(0, |i| i.line);
            let lane = active.trailing_zeros().min(31);
            let detail = format!("the warp has executed {} instructions", warp.executed);
            self.fault(warp, lane, FaultKind::Endless, line, None, &detail);
            self.stop = true;
        }
    }

    /// The resident CTAs are done.
    fn leave(&mut self) {
        for c in 0..self.ctas.len() {
            self.cta = c;
            self.leave_bulk(c);
            self.depart(c);
        }
    }

    /// Releases lanes of a warp that may be the running one.
    pub fn release(&mut self, running: &mut Warp, cta: usize, index: u32, mask: u32, knows: &Knowledge) {
        let races = self.options.races;
        let here = cta == self.cta && running.index == index;
        let warp = if here { running } else { &mut self.ctas[cta].warps[index as usize] };
        if races {
            warp.clock.acquire(knows);
            warp.clock.order_lanes();
        }
        warp.release(mask);
        debug_assert!(lanes(mask).all(|l| warp.blocked & 1 << l == 0));
    }
}
