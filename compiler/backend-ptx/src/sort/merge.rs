//! Sorts of one key of up to 32 bits by many CTAs: blocks in shared memory, then merges of runs.
//!
//! ```text
//! full sort    blocks of 4096 ─► runs in the scratch ─► runs of 8192 ─► … ─► results
//! first k      blocks of 4096 ─► their first k ─► blocks of those ─► … ─► one block ─► results
//! ```
//!
//! An element is the key's order (above) and its position (below), so that no two are equal. A thread sorts 8 elements in registers; to
//! merge two runs it looks for the place where its 8 outputs begin (as many smaller elements as there are outputs before them)
//! and then takes the lesser head 8 times. In shared memory there is a gap after every 8 elements, against bank conflicts.

use graph::dim::{Dim, Pred};
use nest::kernel::Kernel;
use ptx::{Space, Type};
use ptx_expr::{Convert, Int, IntOp, Relation, Width};

use crate::compile::Ctx;
use crate::error::PtxError;
use crate::facts::Limits;
use crate::index::Ix;
use crate::launch::GpuKernel;
use crate::memory::Region;
use crate::prefix::{along_line, lines};
use crate::sort::ordered;
use crate::writer::{V, Writer};

/// Elements of a thread.
const EACH: u32 = 8;
/// Threads of a CTA that merges.
const MERGERS: u32 = 256;
/// Pairs of a sorting network for 8.
const NETWORK: [(usize, usize); 19] = [
    (0, 1),
    (2, 3),
    (4, 5),
    (6, 7),
    (0, 2),
    (1, 3),
    (4, 6),
    (5, 7),
    (1, 2),
    (5, 6),
    (0, 4),
    (1, 5),
    (2, 6),
    (3, 7),
    (2, 4),
    (3, 5),
    (1, 2),
    (3, 4),
    (5, 6),
];

/// What is sorted how.
#[derive(Clone)]
pub struct Sorting {
    /// Elements of a line.
    extent: i64,
    /// Elements of a line that are wanted.
    limit: i64,
    /// Elements of a block.
    block: u32,
    lines: Dim,
}

/// The sort of a kernel, if it is one for many CTAs.
pub fn sorting(kernel: &Kernel, axis: usize, limits: &Limits) -> Option<Sorting> {
    let [key] = kernel.operands.as_slice() else { return None };
    let extent = key.shape.get(axis)?.as_const().filter(|e| (2..=limits.narrow.min(1 << 30)).contains(e))?;
    let limit = kernel.results.first()?.shape.get(axis)?.as_const().filter(|k| (1..=extent).contains(k))?;
    let most = limits.sorted.clamp(256, 4096);
    let block = extent.min(most).cast_unsigned().next_power_of_two().max(256) as u32;
    (key.dtype.bits() <= 32).then(|| Sorting { extent, limit, block, lines: Dim::product(&lines(&key.shape, axis)) })
}

impl Sorting {
    fn blocks(&self, count: i64) -> i64 {
        (count + i64::from(self.block) - 1) / i64::from(self.block)
    }

    /// Whether each round of blocks leaves at most half of the elements.
    fn is_narrowing(&self) -> bool {
        self.limit * 2 <= i64::from(self.block)
    }

    /// Bytes of scratch: two lists of elements.
    pub fn workspace(&self) -> Dim {
        if self.blocks(self.extent) == 1 { Dim::constant(0) } else { &self.lines * &Dim::constant(16 * self.extent) }
    }

    /// Where list 0 or 1 begins.
    fn list(&self, k: usize) -> Dim {
        &self.lines * &Dim::constant(8 * self.extent * k as i64)
    }
}

/// Where a launch reads and writes elements.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Keys,
    List(usize),
    Results,
}

pub fn launches(ctx: Ctx<'_>, axis: usize, descending: bool, sorting: &Sorting) -> Result<Vec<GpuKernel>, PtxError> {
    let mut out = Vec::new();
    let (mut from, mut count, mut list) = (End::Keys, sorting.extent, 0);
    loop {
        let blocks = sorting.blocks(count);
        let done = blocks == 1;
        let to = if done { End::Results } else { End::List(list) };
        let keep = if sorting.is_narrowing() { sorting.limit } else { i64::from(sorting.block) };
        let mut w = Writer::new("sort_blocks", ctx.sm);
        let job = Job::new(&mut w, ctx, axis, descending, sorting, blocks)?;
        job.sort_block(&mut w, (from, to), (count, keep))?;
        out.push(job.launch(w, sorting.block / EACH)?);
        if done {
            return Ok(out);
        }
        (from, list) = (to, 1 - list);
        if !sorting.is_narrowing() {
            break;
        }
        count = blocks * keep;
    }
    let mut width = i64::from(sorting.block);
    while width < sorting.extent {
        let tiles = (sorting.extent + i64::from(MERGERS * EACH) - 1) / i64::from(MERGERS * EACH);
        let to = if width * 2 >= sorting.extent { End::Results } else { End::List(list) };
        let mut w = Writer::new("sort_merge", ctx.sm);
        let job = Job::new(&mut w, ctx, axis, descending, sorting, tiles)?;
        job.merge_runs(&mut w, (from, to), width)?;
        out.push(job.launch(w, MERGERS)?);
        (from, list) = (to, 1 - list);
        width *= 2;
    }
    Ok(out)
}

/// One launch under construction.
struct Job<'a> {
    ctx: Ctx<'a>,
    axis: usize,
    descending: bool,
    sorting: &'a Sorting,
    /// CTAs of a line.
    ctas: i64,
    /// Number of the line, and of the CTA within it.
    line: V,
    within: V,
    index: Vec<V>,
    key: Region,
    results: Vec<Region>,
}

/// Two runs that follow each other: where they begin, and their lengths.
#[derive(Clone, Copy)]
struct Runs {
    start: V,
    second: V,
    lengths: [V; 2],
}

impl<'a> Job<'a> {
    fn new(
        w: &mut Writer,
        ctx: Ctx<'a>,
        axis: usize,
        descending: bool,
        sorting: &'a Sorting,
        ctas: i64,
    ) -> Result<Job<'a>, PtxError> {
        let shape = ctx.kernel.operands.first().map(|o| o.shape.clone()).unwrap_or_default();
        let key = w.operand(ctx.kernel, 0)?;
        let results = w.results(ctx.kernel)?;
        let cta = w.cta(Ix::Narrow);
        let (line, within) = w.ix_divide(Ix::Narrow, cta, &Dim::constant(ctas));
        let wide = w.ix_from32(Ix::Wide, line);
        let index = w.unravel(Ix::Wide, wide, &lines(&shape, axis));
        Ok(Job { ctx, axis, descending, sorting, ctas, line, within, index, key, results })
    }

    fn launch(self, w: Writer, threads: u32) -> Result<GpuKernel, PtxError> {
        let ctas = &self.sorting.lines * &Dim::constant(self.ctas);
        self.ctx.launch(w, &Pred::Const(true), [ctas, Dim::constant(1), Dim::constant(1)], threads)
    }

    /// Address of the first element of the line in a list.
    fn list(&self, w: &mut Writer, list: usize) -> V {
        let base = w.workspace(&self.sorting.list(list));
        let line = w.ix_from32(Ix::Wide, self.line);
        let bytes = w.m.i64(8 * self.sorting.extent);
        w.ix_mad(Ix::Wide, line, bytes, base)
    }

    fn key(&self, w: &mut Writer, at: V) -> Result<V, PtxError> {
        let port = self.ctx.kernel.operands.first().ok_or(PtxError::Malformed("a sort without keys"))?;
        let at = w.ix_from32(Ix::Wide, at);
        let address = w.view_address(Ix::Wide, &port.access, &along_line(&self.index, self.axis, at));
        w.load(&self.key, Ix::Wide, address, None)
    }

    /// The element for a position of the line.
    fn element(&self, w: &mut Writer, at: V) -> Result<V, PtxError> {
        let key = self.key(w, at)?;
        let mut order = ordered(w, self.key.dtype, key);
        if self.descending {
            order = w.m.not(Width::B32, order);
        }
        Ok(w.m.apply(ptx_expr::Op::Convert(Convert::Pack), &[at, order]))
    }

    /// Writes what belongs at a place of the results.
    fn finish(&self, w: &mut Writer, at: V, element: V, guard: V) -> Result<(), PtxError> {
        let (key, position) = match (self.results.as_slice(), self.ctx.kernel.results.as_slice()) {
            ([key, position], [key_port, position_port]) => ((key, key_port), (position, position_port)),
            _ => return Err(PtxError::Malformed("a sort without results")),
        };
        let source = w.low(element);
        let zero = w.m.u32(0);
        // What is not wanted may be no element at all.
        let source = w.m.select(Width::B32, guard, source, zero);
        let value = self.key(w, source)?;
        let wide = w.ix_from32(Ix::Wide, at);
        let index = along_line(&self.index, self.axis, wide);
        let to = w.view_address(Ix::Wide, &key.1.access, &index);
        w.store(key.0, Ix::Wide, to, value, Some(guard))?;
        let to = w.view_address(Ix::Wide, &position.1.access, &index);
        let source = w.ix_from32(Ix::Wide, source);
        w.store(position.0, Ix::Wide, to, source, Some(guard))
    }

    /// Sorts a block of `count` elements of the line; leaves its first `keep`.
    fn sort_block(&self, w: &mut Writer, (from, to): (End, End), (count, keep): (i64, i64)) -> Result<(), PtxError> {
        let block = self.sorting.block;
        let threads = block / EACH;
        let thread = w.thread();
        let source = if let End::List(list) = from { Some(self.list(w, list)) } else { None };
        let (end, last) = (w.m.u32(count as u32), w.m.u32(count as u32 - 1));
        let size = w.m.u32(block);
        let start = w.ix_mad(Ix::Narrow, self.within, size, thread);
        let mut own = Vec::with_capacity(EACH as usize);
        for j in 0..EACH {
            let step = w.m.u32(j * threads);
            let at = w.ix_add(Ix::Narrow, start, step);
            let inside = w.ix_less(Ix::Narrow, at, end);
            let at = w.ix_min(Ix::Narrow, at, last);
            let element = match source {
                Some(base) => {
                    let address = w.global_address(base, Ix::Narrow, at, 8);
                    w.load64(address)
                }
                None => self.element(w, at)?,
            };
            let none = w.m.u64(u64::MAX);
            own.push(w.m.select(Width::B64, inside, element, none));
        }
        for (a, b) in NETWORK {
            let (Some(x), Some(y)) = (own.get(a).copied(), own.get(b).copied()) else { continue };
            let (least, most) = (w.m.int2(IntOp::Min, Int::U64, x, y), w.m.int2(IntOp::Max, Int::U64, x, y));
            own.iter_mut().skip(a).take(1).for_each(|slot| *slot = least);
            own.iter_mut().skip(b).take(1).for_each(|slot| *slot = most);
        }
        let memory = w.shared("elements", (block + block / EACH) * 8);
        let (gap, row) = (w.m.u32(8 * (EACH + 1)), thread);
        let place = w.ix_mad(Ix::Narrow, row, gap, memory);
        put(w, place, &own);
        w.barrier();
        let first = w.m.u32(EACH);
        let width = w.var(Width::B32, first);
        let out = w.ix_mul(Ix::Narrow, thread, first);
        w.while_loop(
            |w| Ok(w.ix_less(Ix::Narrow, width, size)),
            |w| {
                let (one, two) = (w.m.u32(1), w.m.u32(1));
                let double = w.m.int2(IntOp::Shl, Int::U32, width, two);
                let mask = w.m.int2(IntOp::Sub, Int::U32, double, one);
                let diagonal = w.m.and(Width::B32, out, mask);
                let start = w.ix_sub(Ix::Narrow, out, diagonal);
                let second = w.ix_add(Ix::Narrow, start, width);
                let runs = Runs { start, second, lengths: [width, width] };
                let read = |w: &mut Writer, at: V| {
                    let three = w.m.u32(3);
                    let gaps = w.m.int2(IntOp::Shr, Int::U32, at, three);
                    let at = w.ix_add(Ix::Narrow, at, gaps);
                    let eight = w.m.u32(8);
                    let address = w.ix_mad(Ix::Narrow, at, eight, memory);
                    let address = w.address(address);
                    let reg = w.b().ld(Space::Shared, Type::B64, address);
                    w.value_of(reg)
                };
                let merged = merge(w, runs, diagonal, &read)?;
                w.barrier();
                put(w, place, &merged);
                w.barrier();
                w.set(width, double);
                Ok(())
            },
        )?;
        let target = if let End::List(list) = to { Some(self.list(w, list)) } else { None };
        for j in 0..EACH {
            let step = w.m.u32(j * threads);
            let at = w.ix_add(Ix::Narrow, thread, step);
            let three = w.m.u32(3);
            let gaps = w.m.int2(IntOp::Shr, Int::U32, at, three);
            let slot = w.ix_add(Ix::Narrow, at, gaps);
            let eight = w.m.u32(8);
            let address = w.ix_mad(Ix::Narrow, slot, eight, memory);
            let address = w.address(address);
            let reg = w.b().ld(Space::Shared, Type::B64, address);
            let element = w.value_of(reg);
            let wanted = if target.is_some() { keep } else { self.sorting.limit };
            let limit = w.m.u32(wanted as u32);
            let mut inside = w.ix_less(Ix::Narrow, at, limit);
            let Some(base) = target else {
                self.finish(w, at, element, inside)?;
                continue;
            };
            let keeps = w.m.u32(keep as u32);
            let to = w.ix_mad(Ix::Narrow, self.within, keeps, at);
            if !self.sorting.is_narrowing() {
                let there = w.ix_less(Ix::Narrow, to, end);
                inside = w.both(inside, there);
            }
            let address = w.global_address(base, Ix::Narrow, to, 8);
            w.when(inside, |w| {
                w.store64(address, element);
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Merges runs of `width` in pairs.
    fn merge_runs(&self, w: &mut Writer, (from, to): (End, End), width: i64) -> Result<(), PtxError> {
        let End::List(list) = from else { return Err(PtxError::Malformed("runs that are nowhere")) };
        let base = self.list(w, list);
        let target = if let End::List(list) = to { Some(self.list(w, list)) } else { None };
        let thread = w.thread();
        let (tile, each) = (w.m.u32(MERGERS * EACH), w.m.u32(EACH));
        let first = w.ix_mul(Ix::Narrow, self.within, tile);
        let out = w.ix_mad(Ix::Narrow, thread, each, first);
        let count = w.m.u32(self.sorting.extent as u32);
        let inside = w.ix_less(Ix::Narrow, out, count);
        w.when(inside, |w| {
            let width = w.argument(&Dim::constant(width));
            let one = w.m.u32(1);
            let double = w.m.int2(IntOp::Shl, Int::U32, width, one);
            let mask = w.m.int2(IntOp::Sub, Int::U32, double, one);
            let diagonal = w.m.and(Width::B32, out, mask);
            let start = w.ix_sub(Ix::Narrow, out, diagonal);
            let left = w.ix_sub(Ix::Narrow, count, start);
            let one = w.ix_min(Ix::Narrow, left, width);
            let rest = w.ix_sub(Ix::Narrow, left, one);
            let other = w.ix_min(Ix::Narrow, rest, width);
            let second = w.ix_add(Ix::Narrow, start, one);
            let last = w.m.u32(self.sorting.extent as u32 - 1);
            let read = |w: &mut Writer, at: V| {
                let at = w.ix_min(Ix::Narrow, at, last);
                let address = w.global_address(base, Ix::Narrow, at, 8);
                w.load64(address)
            };
            let merged = merge(w, Runs { start, second, lengths: [one, other] }, diagonal, &read)?;
            let end = if target.is_some() { self.sorting.extent } else { self.sorting.limit };
            let end = w.m.u32(end as u32);
            for (k, element) in merged.into_iter().enumerate() {
                let step = w.m.u32(k as u32);
                let at = w.ix_add(Ix::Narrow, out, step);
                let inside = w.ix_less(Ix::Narrow, at, end);
                let Some(base) = target else {
                    self.finish(w, at, element, inside)?;
                    continue;
                };
                let address = w.global_address(base, Ix::Narrow, at, 8);
                w.when(inside, |w| {
                    w.store64(address, element);
                    Ok(())
                })?;
            }
            Ok(())
        })
    }
}

/// Stores elements that follow each other in shared memory.
fn put(w: &mut Writer, place: V, elements: &[V]) {
    let place = w.address(place);
    for (k, element) in elements.iter().enumerate() {
        let element = w.reg(*element, Type::B64);
        w.b().st(Space::Shared, Type::B64, place.plus(8 * k as i64), element);
    }
}

/// The 8 elements of two merged runs from a diagonal on. What is beyond a run counts as the highest.
fn merge(w: &mut Writer, runs: Runs, diagonal: V, read: &dyn Fn(&mut Writer, V) -> V) -> Result<Vec<V>, PtxError> {
    let [first, second] = runs.lengths;
    let one = w.m.u32(1);
    // As many of the first run as possible lie before the diagonal without one that is above its partner.
    let most = w.ix_min(Ix::Narrow, diagonal, first);
    let over = w.m.int2(IntOp::Max, Int::U32, diagonal, second);
    let least = w.ix_sub(Ix::Narrow, over, second);
    let (low, high) = (w.var(Width::B32, least), w.var(Width::B32, most));
    w.while_loop(
        |w| Ok(w.ix_less(Ix::Narrow, low, high)),
        |w| {
            let sum = w.m.int2(IntOp::Add, Int::U32, low, high);
            let middle = w.m.int2(IntOp::Shr, Int::U32, sum, one);
            let at = w.ix_add(Ix::Narrow, runs.start, middle);
            let a = read(w, at);
            let partner = w.ix_sub(Ix::Narrow, diagonal, middle);
            let partner = w.ix_sub(Ix::Narrow, partner, one);
            let at = w.ix_add(Ix::Narrow, runs.second, partner);
            let b = read(w, at);
            let before = w.m.icmp(Relation::Lt, Int::U64, a, b);
            let after = w.m.not(Width::Pred, before);
            let next = w.ix_add(Ix::Narrow, middle, one);
            w.set_if(before, low, next);
            w.set_if(after, high, middle);
            Ok(())
        },
    )?;
    let rest = w.ix_sub(Ix::Narrow, diagonal, low);
    let (i, j) = (w.var(Width::B32, low), w.var(Width::B32, rest));
    let none = w.m.u64(u64::MAX);
    let zero = w.m.u32(0);
    let head = |w: &mut Writer, start: V, at: V, length: V| {
        let there = w.ix_less(Ix::Narrow, at, length);
        let at = w.m.select(Width::B32, there, at, zero);
        let place = w.ix_add(Ix::Narrow, start, at);
        let value = read(w, place);
        w.m.select(Width::B64, there, value, none)
    };
    let (a, b) = (head(w, runs.start, i, first), head(w, runs.second, j, second));
    let (a, b) = (w.var(Width::B64, a), w.var(Width::B64, b));
    let mut out = Vec::with_capacity(EACH as usize);
    for k in 0..EACH {
        let takes = w.m.icmp(Relation::Lt, Int::U64, a, b);
        out.push(w.m.select(Width::B64, takes, a, b));
        if k + 1 == EACH {
            break;
        }
        let other = w.m.not(Width::Pred, takes);
        let (next_i, next_j) = (w.ix_add(Ix::Narrow, i, one), w.ix_add(Ix::Narrow, j, one));
        w.set_if(takes, i, next_i);
        w.set_if(other, j, next_j);
        let start = w.m.select(Width::B32, takes, runs.start, runs.second);
        let at = w.m.select(Width::B32, takes, i, j);
        let length = w.m.select(Width::B32, takes, first, second);
        let value = head(w, start, at, length);
        w.set_if(takes, a, value);
        w.set_if(other, b, value);
    }
    Ok(out)
}
