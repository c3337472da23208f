//! Threads that share the work of one step, and how a step is cut for them. One of the few files with `unsafe` code.
//!
//! ```text
//!   results of a step in memory      ┌──────── part 0 ────────┬──────── part 1 ────────┐
//!   (outermost dim with an extent)   │ units 0 .. 3           │ units 3 .. 5           │   each part writes a slice of its own
//!                                    └────────────────────────┴────────────────────────┘
//! ```
//!
//! A step is cut along the dim whose entries lie farthest apart in its results: then a part's results are one stretch of
//! memory, and safe slices are enough. No value depends on the cut. Without the feature `threads` a crew is the caller alone.
//! Calls allocate nothing once every part's scratch has its size.

#![allow(unexpected_cfgs, reason = "a module in another crate may not have the feature")]
#![allow(unsafe_code, reason = "a job is lent to threads that outlive it; each block says why it is sound")]

use core::ops::Range;

/// Most threads of a crew.
pub const MOST: usize = 16;

/// Which coordinate of a kernel a dim of its results is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Images, or matrices of a batch.
    N,
    /// Output rows.
    Y,
    /// Output columns, or rows of a matrix.
    X,
    /// Blocks of 16 channels, or of 16 columns of a matrix.
    C,
    /// A dim of a loop nest.
    Dim(usize),
}

/// A dim of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Axis {
    pub role: Role,
    /// Product of the extents that count before it, and after it, in the coordinate.
    pub outer: i64,
    pub inner: i64,
    /// Entries, for channels blocks.
    pub units: i64,
    /// Elements from one to the next.
    pub stride: i64,
    /// Elements from the first element of the dim to its last.
    pub span: i64,
    /// The same inside one unit.
    pub width: i64,
}

impl Axis {
    /// A dim of a coordinate: what counts before and after it there, its extent, and the elements between neighbours.
    pub fn dim(role: Role, outer: i64, inner: i64, extent: i64, stride: i64) -> Axis {
        Axis {
            role,
            outer,
            inner,
            units: extent,
            stride,
            span: extent.saturating_sub(1).saturating_mul(stride),
            width: 0,
        }
    }

    /// The channels, or columns, of a result: `stride` is from block to block if it has blocks of 16, else between neighbours.
    /// `outer` is what must be 1 for a cut.
    pub fn channels(outer: i64, extent: i64, stride: i64, blocked: bool) -> Axis {
        let units = extent.saturating_add(15) / 16;
        let (step, width) = if blocked { (stride, 15) } else { (stride.saturating_mul(16), stride.saturating_mul(15)) };
        let last = if blocked {
            units.saturating_sub(1).saturating_mul(stride).saturating_add(15)
        } else {
            extent.saturating_sub(1).saturating_mul(stride)
        };
        Axis { role: Role::C, outer, inner: 1, units, stride: step, span: last, width }
    }
}

/// The product of sizes, as far as it fits.
pub fn work(sizes: &[usize]) -> i64 {
    sizes.iter().fold(1i64, |acc, &size| acc.saturating_mul(i64::try_from(size).unwrap_or(i64::MAX)))
}

/// How a step is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    role: Option<Role>,
    parts: usize,
    units: usize,
    inner: usize,
}

/// Multiply-adds, or elements, below which cutting costs more than it saves.
const LEAST: i64 = 1 << 19;

impl Cut {
    /// The cut of a step for at most `parts` threads: `results` are the axes of each result in the same order, `work` its
    /// multiply-adds. `roles` says what the kernel can be cut along.
    pub fn of(parts: usize, work: i64, roles: &[Role], results: &[&[Axis]]) -> Cut {
        let whole = Cut { role: None, parts: 1, units: 1, inner: 1 };
        if parts < 2 || work < LEAST {
            return whole;
        }
        let mut chosen: Option<(usize, Axis)> = None;
        for axes in results {
            let Some((index, axis)) = outermost(axes) else { return whole };
            match chosen {
                Some((known, _)) if known != index => return whole,
                _ => chosen = Some((index, axis)),
            }
        }
        let Some((_, axis)) = chosen else { return whole };
        let (Ok(units), Ok(inner)) = (usize::try_from(axis.units), usize::try_from(axis.inner)) else { return whole };
        if axis.outer != 1 || !roles.contains(&axis.role) {
            return whole;
        }
        Cut { role: Some(axis.role), parts: parts.min(units).min(MOST), units, inner }
    }

    /// Parts there are.
    pub fn parts(&self) -> usize {
        self.parts
    }

    /// What is cut, if anything is.
    pub fn role(&self) -> Option<Role> {
        self.role
    }

    fn first(&self, part: usize) -> usize {
        self.units * part.min(self.parts) / self.parts.max(1)
    }

    /// What a part does of a coordinate of `whole` entries.
    pub fn range(&self, role: Role, part: usize, whole: usize) -> Range<usize> {
        if self.role != Some(role) {
            return 0..whole;
        }
        (self.first(part) * self.inner).min(whole)..(self.first(part + 1) * self.inner).min(whole)
    }

    /// The next part's stretch of a result, and the position of its first element: `rest` is what is left of the result, `at`
    /// the position of that, `axes` its axes, `offset` its first element.
    pub fn take<'a, T>(
        &self,
        part: usize,
        rest: &mut &'a mut [T],
        at: &mut i64,
        offset: i64,
        axes: &[Axis],
    ) -> (i64, &'a mut [T]) {
        let stride = axes.iter().find(|a| Some(a.role) == self.role && a.units as usize == self.units && a.outer == 1);
        let all = core::mem::take(rest);
        let end = match stride {
            Some(axis) if part + 1 < self.parts => offset + self.first(part + 1) as i64 * axis.stride,
            _ => i64::MAX,
        };
        let count = usize::try_from(end.saturating_sub(*at)).unwrap_or(0).min(all.len());
        let (own, left) = all.split_at_mut(count);
        let start = *at;
        *at += count as i64;
        *rest = left;
        (start, own)
    }
}

/// The axis whose entries lie farthest apart, if everything else fits between two of them.
fn outermost(axes: &[Axis]) -> Option<(usize, Axis)> {
    let several = axes.iter().copied().enumerate().filter(|(_, a)| a.units > 1);
    let (index, axis) = several.max_by_key(|(_, a)| a.stride)?;
    let others: i64 = axes.iter().enumerate().filter(|(k, _)| *k != index).map(|(_, a)| a.span).sum();
    (axis.stride > 0 && others + axis.width < axis.stride).then_some((index, axis))
}

/// A job that was not done as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unfinished;

impl core::fmt::Display for Unfinished {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("a thread of the session ended")
    }
}

/// The threads of a session, the caller among them.
#[derive(Debug, Default)]
pub struct Crew {
    /// Of every part but the first.
    scratch: Vec<Vec<f32>>,
    #[cfg(any(test, feature = "threads"))]
    hands: Option<hands::Hands>,
}

impl Crew {
    /// So many threads; one without the feature `threads`, and where the system has no more.
    pub fn new(threads: usize) -> Crew {
        #[cfg(any(test, feature = "threads"))]
        if threads > 1 {
            let hands = hands::Hands::new(threads.min(MOST) - 1);
            return Crew { scratch: vec![Vec::new(); hands.count()], hands: Some(hands) };
        }
        let _ = threads;
        Crew::default()
    }

    /// Threads there are.
    pub fn parts(&self) -> usize {
        self.scratch.len() + 1
    }

    /// Does `work` on every state, as far as threads have time at once, with `scratch` elements of its own for all but the first.
    pub fn each<S: Send>(
        &mut self,
        states: &mut [S],
        scratch: usize,
        work: impl Fn(usize, &mut S, &mut [f32]) + Sync,
    ) -> Result<(), Unfinished> {
        let Some((first, others)) = states.split_first_mut() else { return Ok(()) };
        if others.is_empty() {
            work(0, first, &mut []);
            return Ok(());
        }
        #[cfg(any(test, feature = "threads"))]
        if let Some(hands) = &mut self.hands {
            for space in self.scratch.iter_mut().take(others.len()) {
                if space.len() < scratch {
                    space.resize(scratch, 0.0);
                }
            }
            return hands.each(first, others, &mut self.scratch, &work);
        }
        let _ = scratch;
        Err(Unfinished)
    }
}

#[cfg(any(test, feature = "threads"))]
mod hands {
    use super::Unfinished;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};
    use std::thread::JoinHandle;

    /// The threads beside the caller.
    #[derive(Debug)]
    pub(super) struct Hands {
        shared: Arc<Shared>,
        threads: Vec<JoinHandle<()>>,
    }

    #[derive(Debug)]
    struct Shared {
        job: Mutex<Option<Job>>,
        /// Grows by one with every job, and at the end.
        turn: AtomicUsize,
        /// Threads that have taken the job and not finished it; grows under the lock of `job` only.
        inside: AtomicUsize,
        ended: AtomicBool,
        failed: AtomicBool,
    }

    /// A job, lent for as long as it stands in `job` or `inside` is not zero.
    #[derive(Clone, Copy, Debug)]
    struct Job {
        data: *const (),
        run: unsafe fn(*const ()),
    }

    // SAFETY: the data behind the pointer is a `Task`, whose parts are `Send` and whose work is `Sync`.
    unsafe impl Send for Job {}

    /// What a job points at.
    struct Task<'a, S, F> {
        states: *mut S,
        count: usize,
        scratch: *mut Vec<f32>,
        /// The next state that nobody has taken.
        next: AtomicUsize,
        work: &'a F,
    }

    /// Turns of waiting before a thread sleeps or lets others run.
    const SPINS: usize = 1 << 14;

    impl Hands {
        /// As many as can be had of so many.
        pub(super) fn new(count: usize) -> Hands {
            let shared = Arc::new(Shared {
                job: Mutex::new(None),
                turn: AtomicUsize::new(0),
                inside: AtomicUsize::new(0),
                ended: AtomicBool::new(false),
                failed: AtomicBool::new(false),
            });
            let mut threads = Vec::with_capacity(count);
            for _ in 0..count {
                let own = Arc::clone(&shared);
                let built = std::thread::Builder::new().spawn(move || serve(&own));
                let Ok(thread) = built else { break };
                threads.push(thread);
            }
            Hands { shared, threads }
        }

        pub(super) fn count(&self) -> usize {
            self.threads.len()
        }

        /// The caller does the first state, then whoever has time each of the others; returns when all are done.
        pub(super) fn each<S: Send, F: Fn(usize, &mut S, &mut [f32]) + Sync>(
            &mut self,
            first: &mut S,
            others: &mut [S],
            scratch: &mut [Vec<f32>],
            work: &F,
        ) -> Result<(), Unfinished> {
            if self.shared.failed.load(Ordering::Acquire) || others.len() > self.threads.len().min(scratch.len()) {
                return Err(Unfinished);
            }
            let (states, count, scratch) = (others.as_mut_ptr(), others.len(), scratch.as_mut_ptr());
            let task = Task { states, count, scratch, next: AtomicUsize::new(0), work };
            let job = Job { data: (&raw const task).cast(), run: take::<S, F> };
            match self.shared.job.lock() {
                Ok(mut slot) => *slot = Some(job),
                Err(_) => return Err(Unfinished),
            }
            self.shared.turn.fetch_add(1, Ordering::AcqRel);
            self.threads.iter().for_each(|t| t.thread().unpark());
            // Also when `work` unwinds: the task must not go before the threads are done with it.
            let wait = Wait(&self.shared);
            work(0, first, &mut []);
            // SAFETY: the task is of this type, and lives until the end of this function.
            unsafe { take::<S, F>(job.data) };
            drop(wait);
            if self.shared.failed.load(Ordering::Acquire) { Err(Unfinished) } else { Ok(()) }
        }
    }

    impl Drop for Hands {
        fn drop(&mut self) {
            self.shared.ended.store(true, Ordering::Release);
            self.shared.turn.fetch_add(1, Ordering::AcqRel);
            for thread in self.threads.drain(..) {
                thread.thread().unpark();
                let _ = thread.join();
            }
        }
    }

    /// Takes the job back, and waits for the threads that have it.
    struct Wait<'a>(&'a Shared);

    impl Drop for Wait<'_> {
        fn drop(&mut self) {
            match self.0.job.lock() {
                Ok(mut slot) => *slot = None,
                Err(poisoned) => *poisoned.into_inner() = None,
            }
            let mut turns = 0usize;
            while self.0.inside.load(Ordering::Acquire) > 0 {
                turns += 1;
                if turns < SPINS { core::hint::spin_loop() } else { std::thread::yield_now() }
            }
        }
    }

    /// Counts a thread as done, however its job ends.
    struct Done<'a>(&'a Shared);

    impl Drop for Done<'_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                self.0.failed.store(true, Ordering::Release);
            }
            self.0.inside.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// What a thread does until the crew ends.
    fn serve(shared: &Shared) {
        let mut seen = 0;
        loop {
            let mut turns = 0usize;
            loop {
                let turn = shared.turn.load(Ordering::Acquire);
                if turn != seen {
                    seen = turn;
                    break;
                }
                turns += 1;
                if turns < SPINS { core::hint::spin_loop() } else { std::thread::park() }
            }
            if shared.ended.load(Ordering::Acquire) {
                return;
            }
            let Ok(slot) = shared.job.lock() else { return };
            let Some(job) = *slot else { continue };
            shared.inside.fetch_add(1, Ordering::AcqRel);
            drop(slot);
            let _done = Done(shared);
            // SAFETY: the caller of `each` keeps the task until no thread is inside.
            unsafe { (job.run)(job.data) };
        }
    }

    /// Does states that nobody has taken until there are none.
    ///
    /// Safety: `data` is a `Task<S, F>` that lives while this runs.
    unsafe fn take<S: Send, F: Fn(usize, &mut S, &mut [f32]) + Sync>(data: *const ()) {
        // SAFETY: promised by the caller.
        let task = unsafe { &*data.cast::<Task<'_, S, F>>() };
        loop {
            let index = task.next.fetch_add(1, Ordering::AcqRel);
            if index >= task.count {
                return;
            }
            // SAFETY: `each` proved that there are `count` states and as much scratch; each index is taken once.
            let (state, scratch) = unsafe { (&mut *task.states.add(index), &mut *task.scratch.add(index)) };
            (task.work)(index + 1, state, scratch);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_is_done_once() {
        for threads in 1..5 {
            let mut crew = Crew::new(threads);
            assert_eq!(crew.parts(), threads);
            let mut sums = vec![0usize; threads];
            for round in 0..200 {
                let job = |part: usize, sum: &mut usize, scratch: &mut [f32]| {
                    assert!(part == 0 || scratch.len() >= 8);
                    *sum += part + round;
                };
                crew.each(&mut sums, 8, job).unwrap();
            }
            assert!(sums.iter().enumerate().all(|(part, sum)| *sum == 200 * part + 199 * 100));
            crew.each(&mut sums[..1], 8, |_, sum, _| *sum = 7).unwrap();
            assert_eq!(sums[0], 7);
        }
    }

    #[test]
    fn a_thread_that_panics_is_an_error() {
        let mut crew = Crew::new(2);
        let caller = std::thread::current().id();
        // The caller waits in its part until the thread has taken the other.
        let taken = std::sync::atomic::AtomicBool::new(false);
        let order = std::sync::atomic::Ordering::SeqCst;
        let job = |part: usize, _: &mut i32, _: &mut [f32]| {
            taken.fetch_or(part == 1, order);
            while !taken.load(order) {
                std::thread::yield_now();
            }
            assert!(std::thread::current().id() == caller);
        };
        assert_eq!(crew.each(&mut [0, 1], 0, job), Err(Unfinished));
        assert_eq!(crew.each(&mut [0, 1], 0, |_, _, _| ()), Err(Unfinished));
    }

    /// `[N, C/16, H, W, 16]`.
    fn blocked(n: i64, c: i64, h: i64, w: i64) -> [Axis; 4] {
        let (plane, image) = (h * w * 16, c * h * w * 16);
        let axis = |role, outer, units, stride, width| Axis {
            role,
            outer,
            inner: 1,
            units,
            stride,
            span: (units - 1) * stride + width,
            width,
        };
        [
            axis(Role::N, 1, n, image, 0),
            axis(Role::C, 1, c, plane, 15),
            axis(Role::Y, 1, h, w * 16, 0),
            axis(Role::X, h, w, 16, 0),
        ]
    }

    const ALL: [Role; 4] = [Role::N, Role::C, Role::Y, Role::X];

    fn check(axes: &[Axis], roles: &[Role], expected: Option<Role>) {
        let cut = Cut::of(2, LEAST, roles, &[axes]);
        assert_eq!(cut.role, expected);
        let total = axes.iter().map(|a| a.span).sum::<i64>() as usize + 1;
        let mut memory = vec![0u8; total];
        let (mut rest, mut at, mut seen) = (&mut memory[..], 0, 0);
        for part in 0..cut.parts() {
            let (start, own) = cut.take(part, &mut rest, &mut at, 0, axes);
            assert_eq!(start, seen as i64);
            seen += own.len();
        }
        assert_eq!(seen, total);
    }

    #[test]
    fn cuts_follow_the_outermost_dim() {
        check(&blocked(1, 3, 5, 5), &ALL, Some(Role::C));
        check(&blocked(2, 3, 5, 5), &ALL, Some(Role::N));
        check(&blocked(1, 1, 5, 5), &ALL, Some(Role::Y));
        check(&blocked(1, 1, 1, 5), &ALL, Some(Role::X));
        check(&blocked(1, 1, 5, 5), &[Role::N, Role::C], None);
        check(&blocked(1, 1, 1, 1), &ALL, None);
        let mut overlapping = blocked(1, 3, 5, 5);
        overlapping[1].stride = 8;
        check(&overlapping[1..2], &ALL, None);
        assert_eq!(Cut::of(2, LEAST - 1, &ALL, &[&blocked(1, 3, 5, 5)]).parts(), 1);
    }

    #[test]
    fn ranges_cover_everything_once() {
        let cut = Cut::of(3, LEAST, &ALL, &[&blocked(1, 8, 5, 5)]);
        let ranges: Vec<_> = (0..3).map(|part| cut.range(Role::C, part, 8)).collect();
        assert_eq!(ranges, [0..2, 2..5, 5..8]);
        assert_eq!(cut.range(Role::Y, 1, 5), 0..5);
    }
}
