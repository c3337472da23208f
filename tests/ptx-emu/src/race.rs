//! Who may have seen what: vector clocks of warps, stamps of accesses.
//!
//! Two accesses to a byte, one of them a write, are a race unless something orders them. A warp's clock counts its releases; an
//! access is stamped with group (cluster), warp, lane and clock. It is ordered before another when the other's warp has *acquired*
//! that clock: through a barrier, an mbarrier, or a fence with a flag. Lanes of one warp are ordered by bar.warp.sync and CTA
//! barriers only. Strong accesses (atomics, volatile, relaxed, acquire, release) do not race with one another. Concurrent writes of equal
//! values are no fault. Of all concurrent readers of a byte two are kept.

use std::collections::BTreeMap;
use std::rc::Rc;

const CLOCK_BITS: u32 = 26;
const LANE_SHIFT: u32 = CLOCK_BITS;
const LANE: u64 = 31 << LANE_SHIFT;
const WARP_SHIFT: u32 = LANE_SHIFT + 5;
const STRONG_SHIFT: u32 = WARP_SHIFT + 9;
const GROUP_SHIFT: u32 = STRONG_SHIFT + 1;

/// Clocks of all warps of a group, as one of them knows them.
pub(crate) type Clocks = Vec<u32>;

/// What a warp knows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Knowledge {
    /// Clocks of the own group.
    pub own: Clocks,
    /// Of other groups, through flags in global memory.
    pub others: BTreeMap<u32, Rc<Clocks>>,
}

impl Knowledge {
    pub fn join(&mut self, other: &Knowledge) {
        if self.own.len() < other.own.len() {
            self.own.resize(other.own.len(), 0);
        }
        for (mine, theirs) in self.own.iter_mut().zip(&other.own) {
            *mine = (*mine).max(*theirs);
        }
        for (group, clocks) in &other.others {
            self.join_group(*group, clocks);
        }
    }

    fn join_group(&mut self, group: u32, clocks: &Rc<Clocks>) {
        match self.others.get_mut(&group) {
            Some(known) if Rc::ptr_eq(known, clocks) => {}
            Some(known) => {
                let joined = known.iter().zip(clocks.iter()).map(|(a, b)| *a.max(b)).collect();
                *known = Rc::new(joined);
            }
            None => {
                self.others.insert(group, clocks.clone());
            }
        }
    }

    /// The same knowledge as another group sees it.
    pub fn published(&self, group: u32) -> Knowledge {
        let mut others = self.others.clone();
        others.insert(group, Rc::new(self.own.clone()));
        Knowledge { own: Clocks::new(), others }
    }
}

/// The clock of one warp.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clock {
    pub group: u32,
    /// Index in the group.
    pub warp: u32,
    pub knows: Knowledge,
    /// Own clock at the last point that orders the lanes.
    pub lanes_ordered: u32,
    /// Seen through relaxed reads of flags; known after the next fence.
    pub seen: Option<Knowledge>,
    /// A fence came after the last release.
    pub fenced: bool,
}

impl Clock {
    pub fn new(group: u32, warp: u32, warps: usize) -> Clock {
        let mut own = vec![0; warps];
        if let Some(slot) = own.get_mut(warp as usize) {
            *slot = 1;
        }
        Clock { group, warp, knows: Knowledge { own, others: BTreeMap::new() }, lanes_ordered: 1, ..Clock::default() }
    }

    pub fn now(&self) -> u32 {
        self.knows.own.get(self.warp as usize).copied().unwrap_or(0)
    }

    /// Everything so far is released; what follows is new.
    pub fn tick(&mut self) {
        if let Some(slot) = self.knows.own.get_mut(self.warp as usize) {
            *slot += 1;
        }
    }

    pub fn acquire(&mut self, from: &Knowledge) {
        let mut from = from.clone();
        if let Some(mine) = from.others.remove(&self.group) {
            for (known, theirs) in self.knows.own.iter_mut().zip(mine.iter()) {
                *known = (*known).max(*theirs);
            }
        }
        self.knows.join(&from);
    }

    /// Orders the lanes of the warp among themselves.
    pub fn order_lanes(&mut self) {
        self.tick();
        self.lanes_ordered = self.now();
    }

    /// All lanes have waited for what some of them released.
    pub fn order_lanes_until(&mut self, done: &Knowledge) {
        let released = done.own.get(self.warp as usize).copied().unwrap_or(0);
        self.lanes_ordered = self.lanes_ordered.max(released + 1);
    }

    pub fn fence(&mut self) {
        self.fenced = true;
        if let Some(seen) = self.seen.take() {
            self.acquire(&seen);
        }
    }
}

/// An access about to happen.
pub(crate) struct View<'c> {
    pub clock: &'c Clock,
    pub lane: u32,
    pub strong: bool,
}

impl View<'_> {
    #[inline]
    fn stamp(&self) -> u64 {
        let clock = self.clock;
        u64::from(clock.now()) & ((1 << CLOCK_BITS) - 1)
            | u64::from(self.lane) << LANE_SHIFT
            | u64::from(clock.warp) << WARP_SHIFT
            | u64::from(self.strong) << STRONG_SHIFT
            | u64::from(clock.group) << GROUP_SHIFT
    }

    /// Whether a stamped access happens before this one.
    #[inline]
    fn after(&self, stamp: u64) -> bool {
        if stamp == 0 {
            return true;
        }
        let (group, warp, lane, time) = parts(stamp);
        if self.strong && stamp >> STRONG_SHIFT & 1 == 1 {
            return true;
        }
        if group != self.clock.group {
            let known = self.clock.knows.others.get(&group).and_then(|c| c.get(warp as usize));
            return known.is_some_and(|k| *k >= time);
        }
        if warp == self.clock.warp {
            return lane == self.lane || time < self.clock.lanes_ordered;
        }
        self.clock.knows.own.get(warp as usize).is_some_and(|k| *k >= time)
    }
}

/// Group, warp, lane, clock of a stamp.
pub(crate) fn parts(stamp: u64) -> (u32, u32, u32, u32) {
    let field = |shift: u32, bits: u32| (stamp >> shift & ((1 << bits) - 1)) as u32;
    (field(GROUP_SHIFT, 64 - GROUP_SHIFT), field(WARP_SHIFT, 9), field(LANE_SHIFT, 5), field(0, CLOCK_BITS))
}

/// Last write and two last reads of a byte.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Shadow {
    write: u64,
    read: u64,
    read_before: u64,
}

impl Shadow {
    /// All accesses that are kept; 0 is none.
    pub fn stamps(&self) -> [u64; 3] {
        [self.write, self.read, self.read_before]
    }

    /// The access that this read races with.
    #[inline]
    pub fn read(&mut self, view: &View) -> Option<u64> {
        let race = (!view.after(self.write)).then_some(self.write);
        let stamp = view.stamp();
        // Two lanes of a warp stand for all of it.
        let of_warp = |other: u64| (stamp ^ other) & !LANE == 0;
        if of_warp(self.read) && of_warp(self.read_before) && self.read != self.read_before {
            return race;
        }
        if stamp != self.read {
            let same_thread = (stamp ^ self.read) >> LANE_SHIFT == 0;
            if !same_thread && !view.after(self.read) {
                self.read_before = self.read;
            }
            self.read = stamp;
        }
        race
    }

    /// The access that this write races with.
    #[inline]
    pub fn write(&mut self, view: &View, same_value: bool) -> Option<u64> {
        let against_write = !same_value && !view.after(self.write);
        let race = [(against_write, self.write), (!view.after(self.read), self.read)];
        let race = race.iter().find(|(r, _)| *r).map(|(_, s)| *s);
        let race = race.or((!view.after(self.read_before)).then_some(self.read_before));
        self.set_write(view);
        race
    }

    #[inline]
    pub fn set_write(&mut self, view: &View) {
        *self = Shadow { write: view.stamp(), read: 0, read_before: 0 };
    }
}
