//! From global memory to a tile in shared memory: which thread copies what, and what is zero.
//!
//! A matrix has rows that are contiguous in memory. In the plain form the rows of the tile are rows (columns) of the result and
//! the sum runs along them; in the crossed form the tile's rows run along the sum. Threads take chunks of 4, 8 or 16 bytes, or
//! single elements, row by row:
//!
//! ```text
//! 128 rows of 64 bytes, chunks of 16, 256 threads:  thread t copies chunk t % 4 of rows t / 4 and t / 4 + 64
//! ```
//!
//! What lies beyond the sum's end is zero. Beyond the result's edge, the plain form copies other rows (these sums are never stored),
//! the crossed form zeros; nothing outside the matrix is read. Chunks need: pointer, distance of rows, and start
//! of the sum are multiples of the chunk; for copies through registers also the extent of the contiguous dim.

use ptx::{Builder, Fetch, Form, Op, Reg, Space, Type, Vector};

use crate::shared::Placement;
use crate::val::{Val, address};

/// Chunks of a thread from which on copies of whole tiles stand apart from others.
const MANY_PARTS: usize = 4;

/// How chunks travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// `cp.async`, several tiles ahead.
    Async,
    /// Loads one tile ahead, stores before the barrier.
    Registers,
}

/// What is copied: a tile and its form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TileSource {
    pub rows: u32,
    pub row_bytes: u32,
    pub placement: Placement,
    /// Bytes of an element, and of a chunk.
    pub element: u32,
    pub chunk: u32,
    /// Whether the tile's rows run along the sum.
    pub crossed: bool,
    /// Terms of the sum that a tile holds.
    pub depth: u32,
    pub threads: u32,
    pub transport: Transport,
}

/// What fills slots of shared memory, tile after tile along the sum.
pub trait Fill {
    /// Begins the copy of the next tile to the slot at this shared address, if `exists` holds.
    fn begin(&mut self, b: &mut Builder, slot: Val, exists: Option<Reg>);

    /// For copies through registers: stores what was loaded into the slot.
    fn land(&self, b: &mut Builder, slot: Val);
}

/// Where a CTA's tiles are.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Address of the matrix.
    pub base: Reg,
    /// Elements between rows of memory.
    pub lead: Val,
    /// First row (column) of the result, and how many there are.
    pub start: Val,
    pub extent: Val,
    /// First term of the sum that is copied, and how many terms there are.
    pub first: Val,
    pub depth: Val,
    pub thread: Reg,
}

/// A chunk that a thread copies in every tile.
#[derive(Debug)]
pub struct Chunk {
    /// Row and column of the tile, relative to the thread's first.
    row: u32,
    across: u32,
    /// Offset in the tile: a register (shared with others) and a constant.
    to: Val,
    plus: u32,
    staged: Vec<Reg>,
}

/// What a thread copies.
pub struct Spread {
    /// With the row of the tile.
    pub chunks: Vec<(Chunk, Val)>,
    /// Row and column (in chunks) of the first.
    pub row: Val,
    pub column: Val,
    /// Only these threads copy, if not all do.
    pub active: Option<Reg>,
}

/// A chunk of a matrix.
#[derive(Debug)]
struct Part {
    chunk: Chunk,
    /// Bytes from the thread's pointer.
    offset: Val,
    /// Bytes inside the matrix along the contiguous dim; `None`: all.
    bytes: Option<Reg>,
}

/// The copies of one thread.
#[derive(Debug)]
pub struct Loader {
    source: TileSource,
    /// Where the thread's chunks of the next tile begin.
    pointer: Reg,
    parts: Vec<Part>,
    /// Only these threads copy, if not all do.
    active: Option<Reg>,
    /// Bytes from tile to tile.
    step: Step,
    /// The thread's place along the sum, kept where the last tile may be partial.
    at: Option<Reg>,
    depth: Val,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Const(u32),
    Reg(Reg),
}

impl TileSource {
    fn per_row(&self) -> u32 {
        self.row_bytes / self.chunk
    }

    /// Chunks of a thread.
    pub fn per_thread(&self) -> u32 {
        (self.rows * self.per_row()).div_ceil(self.threads)
    }

    /// Whether all threads have equally many chunks, or some have one and the others none.
    pub fn is_even(&self) -> bool {
        let all = self.rows * self.per_row();
        let (row, threads) = (self.per_row(), self.threads);
        (all.is_multiple_of(threads) || all < threads) && (threads % row == 0 || (self.crossed && row % threads == 0))
    }
}

/// Spreads the chunks of a tile over the threads.
pub fn spread(b: &mut Builder, source: &TileSource, thread: Reg) -> Spread {
    let thread = Val::Reg(thread);
    let (per_row, threads) = (source.per_row(), source.threads);
    let (row, column) = if per_row <= threads { thread.div_rem(b, per_row) } else { (Val::Const(0), thread) };
    let all = source.rows * per_row;
    let active = (all < threads).then(|| thread.less(b, all));
    let sides = (per_row / threads).max(1);
    let (period, distance) = source.placement.period();
    let mut known: Vec<(u32, u32, Val)> = Vec::new();
    let mut chunks = Vec::new();
    for i in 0..source.per_thread() {
        let down = if sides == 1 { i * (threads / per_row) } else { i / sides };
        let side = i % sides;
        let row = row.add(b, down);
        let same = known.iter().find(|(d, s, _)| *s == side && (down - d) % period == 0).copied();
        let (to, plus) = match same {
            Some((d, _, to)) => (to, (down - d) * distance),
            None => {
                let byte = column.add(b, side * threads).mul(b, source.chunk);
                let to = source.placement.byte(b, row, byte);
                known.push((down, side, to));
                (to, 0)
            }
        };
        let staged = match source.transport {
            Transport::Async => Vec::new(),
            Transport::Registers => staging(b, source.chunk),
        };
        chunks.push((Chunk { row: down, across: side * threads, to, plus, staged }, row));
    }
    Spread { chunks, row, column, active }
}

impl Loader {
    pub fn new(b: &mut Builder, source: TileSource, place: Place) -> Loader {
        let Spread { chunks, row: row0, column, active } = spread(b, &source, place.thread);
        let lead = place.lead.mul(b, source.element);
        let partial = match place.depth {
            Val::Const(depth) => depth % source.depth != 0,
            Val::Reg(_) => true,
        };
        let elements = source.chunk / source.element;
        let along = column.mul(b, elements);
        let pointer = if source.crossed {
            let term = place.first.add(b, row0);
            let start = address(b, place.base, term, lead);
            let outer = place.start.add(b, along);
            address(b, start, outer, source.element)
        } else {
            let start = address(b, place.base, place.start, lead);
            let term = place.first.add(b, along);
            address(b, start, term, source.element)
        };
        let pointer = b.mov(Type::U64, pointer);
        let whole_rows = place.start == Val::Const(0)
            && place.extent.as_const().is_some_and(|extent| extent * source.element == source.row_bytes);
        let mut parts = Vec::new();
        for (chunk, row) in chunks {
            let across = chunk.across * source.chunk;
            let (offset, bytes) = if source.crossed {
                let outer = place.start.add(b, along).add(b, chunk.across * elements);
                let bytes = (!whole_rows).then(|| bytes_inside(b, outer, place.extent, &source));
                (lead.mul(b, chunk.row).add(b, across), bytes)
            } else {
                let from_start = existing(b, row, (place.start, place.extent), source.rows);
                (from_start.mul(b, lead).add(b, across), None)
            };
            parts.push(Part { chunk, offset, bytes });
        }
        let at = partial.then(|| {
            let within = if source.crossed { row0 } else { along };
            let at = place.first.add(b, within);
            b.mov(Type::U32, at)
        });
        let step = if source.crossed {
            let lead = lead.reg(b);
            Step::Reg(b.mul_wide(Type::U32, lead, source.depth))
        } else {
            Step::Const(source.depth * source.element)
        };
        Loader { source, pointer, parts, active, step, at, depth: place.depth }
    }
}

impl Loader {
    /// Where that is worth a jump: whether all chunks of the thread exist whole.
    fn whole(&self, b: &mut Builder, exists: Option<Reg>) -> Option<Reg> {
        let (at, last) = (self.at?, self.parts.last()?.chunk.row);
        let worth = self.source.crossed && self.source.transport == Transport::Async && self.parts.len() >= MANY_PARTS;
        if !worth || self.parts.iter().any(|part| part.bytes.is_some()) {
            return None;
        }
        let last = Val::Reg(at).add(b, last);
        let inside = last.less(b, self.depth);
        both(b, Some(inside), exists)
    }

    /// Begins the copies of chunks of which some may not exist, or in part.
    fn begin_partial(&self, b: &mut Builder, slot: Val, exists: Option<Reg>) {
        let common =
            self.at.filter(|_| !self.source.crossed).map(|at| bytes_inside(b, at.into(), self.depth, &self.source));
        for part in &self.parts {
            let bytes = match (common, self.at) {
                (Some(common), _) => Some(common),
                (None, Some(at)) if self.source.crossed => {
                    let row = Val::Reg(at).add(b, part.chunk.row).reg(b);
                    let inside = b.setp(ptx::Cmp::Lt, Type::U32, row, self.depth);
                    let bytes = part.bytes.map_or(Val::Const(self.source.chunk), Val::Reg);
                    Some(b.selp(Type::U32, bytes, 0_u32, inside))
                }
                (None, _) => part.bytes,
            };
            let from = address(b, self.pointer, part.offset, 1);
            send(b, &self.source, (self.active, exists), &part.chunk, (from, slot), bytes);
        }
    }
}

/// A row of a tile, from the tile's first on; in the place of one beyond the result's edge another, and not the same for all of them,
/// which would make all CTAs ask for one line of the L2 cache.
fn existing(b: &mut Builder, row: Val, (start, extent): (Val, Val), rows: u32) -> Val {
    let other = match extent {
        Val::Const(extent) if extent.is_multiple_of(rows) => return row,
        // There is one tile.
        Val::Const(extent) if extent < rows => row.and(b, (extent + 1).next_power_of_two() / 2 - 1),
        _ => {
            let there = extent.sub(b, start);
            let last = there.sub(b, 1);
            row.sub(b, there).min(b, last)
        }
    };
    let inside = start.add(b, row).less(b, extent);
    let (row, other) = (row.reg(b), other.reg(b));
    b.selp(Type::U32, row, other, inside).into()
}

impl Fill for Loader {
    fn begin(&mut self, b: &mut Builder, slot: Val, exists: Option<Reg>) {
        match self.whole(b, exists) {
            Some(whole) => b.if_else(
                whole,
                |b| {
                    for part in &self.parts {
                        let from = address(b, self.pointer, part.offset, 1);
                        send(b, &self.source, (self.active, None), &part.chunk, (from, slot), None);
                    }
                },
                |b| self.begin_partial(b, slot, exists),
            ),
            None => {
                self.begin_partial(b, slot, exists);
                ((), ())
            }
        };
        let step = match self.step {
            Step::Const(bytes) => u64::from(bytes).into(),
            Step::Reg(reg) => reg.into(),
        };
        b.emit(Form::new(Op::Add, Type::U64), [self.pointer.into(), self.pointer.into(), step]);
        if let Some(at) = self.at {
            b.emit(Form::new(Op::Add, Type::U32), [at.into(), at.into(), self.source.depth.into()]);
        }
    }

    fn land(&self, b: &mut Builder, slot: Val) {
        for part in &self.parts {
            land(b, &self.source, self.active, &part.chunk, slot);
        }
    }
}

/// Begins the copy of a chunk, of which `bytes` are read and the rest is zero.
pub fn send(
    b: &mut Builder,
    source: &TileSource,
    (active, exists): (Option<Reg>, Option<Reg>),
    chunk: &Chunk,
    (from, slot): (Reg, Val),
    bytes: Option<Reg>,
) {
    let guard = both(b, exists, active);
    match source.transport {
        Transport::Async => {
            let to = slot.add(b, chunk.to).reg(b);
            copy(b, guard, source, (from, (to, i64::from(chunk.plus))), bytes);
        }
        Transport::Registers => load(b, guard, (from, chunk.staged.as_slice()), bytes),
    }
}

/// Stores a chunk that came to registers.
pub fn land(b: &mut Builder, source: &TileSource, active: Option<Reg>, chunk: &Chunk, slot: Val) {
    if source.transport == Transport::Async {
        return;
    }
    let to = slot.add(b, chunk.to).reg(b);
    let plus = i64::from(chunk.plus);
    let store = |b: &mut Builder| match source.placement {
        Placement::Turned { pitch } => {
            for (k, word) in (0_i64..).zip(&chunk.staged) {
                b.st(Space::Shared, Type::B32, (to, plus + k * i64::from(pitch)), *word);
            }
        }
        Placement::Exchanged(_) | Placement::Rows { .. } | Placement::Panels { .. } => {
            store(b, (to, plus), &chunk.staged)
        }
    };
    match active {
        Some(active) => b.guarded(active, store),
        None => store(b),
    }
}

/// Bytes of a chunk at `at` that lie before the end, 0 to a chunk.
fn bytes_inside(b: &mut Builder, at: Val, end: Val, source: &TileSource) -> Reg {
    let left = end.sub(b, at).reg(b);
    let left = b.max(Type::S32, left, 0_i32);
    let left = b.min(Type::S32, left, source.chunk / source.element);
    Val::Reg(left).mul(b, source.element).reg(b)
}

fn both(b: &mut Builder, first: Option<Reg>, second: Option<Reg>) -> Option<Reg> {
    match (first, second) {
        (Some(x), Some(y)) => Some(b.and(Type::Pred, x, y)),
        (one, other) => one.or(other),
    }
}

fn copy(b: &mut Builder, guard: Option<Reg>, source: &TileSource, (from, to): (Reg, (Reg, i64)), bytes: Option<Reg>) {
    let fetch = if source.chunk == 16 { Fetch::L2B128 } else { Fetch::Default };
    let run = |b: &mut Builder| match bytes {
        Some(bytes) => b.cp_async_zfill(fetch, to, from, source.chunk, bytes),
        None => b.cp_async(fetch, to, from, source.chunk),
    };
    match guard {
        Some(guard) => b.guarded(guard, run),
        None => run(b),
    }
}

/// Registers for a chunk.
fn staging(b: &mut Builder, chunk: u32) -> Vec<Reg> {
    match chunk {
        2 => vec![b.reg_of(Type::B16)],
        _ => (0..chunk / 4).map(|_| b.reg_of(Type::B32)).collect(),
    }
}

fn load(b: &mut Builder, guard: Option<Reg>, (from, staged): (Reg, &[Reg]), bytes: Option<Reg>) {
    let whole = bytes.map(|bytes| b.setp(ptx::Cmp::Ne, Type::U32, bytes, 0_u32));
    let guard = both(b, guard, whole);
    let (ty, form) = memory_form(Op::Ld, Op::LdV4, staged);
    let run = |b: &mut Builder| b.emit(form, [list(staged), ptx::Address::from(from).into()]);
    match guard {
        Some(guard) => {
            for reg in staged {
                b.mov_to(ty, *reg, 0_u32);
            }
            b.guarded(guard, run);
        }
        None => run(b),
    }
}

fn store(b: &mut Builder, to: (Reg, i64), staged: &[Reg]) {
    let ty = if staged.iter().any(|r| r.class.bits() == 16) { Type::B16 } else { Type::B32 };
    b.st_vector(Space::Shared, ty, to, staged);
}

fn memory_form(few: Op, four: Op, regs: &[Reg]) -> (Type, Form) {
    let ty = if regs.iter().any(|r| r.class.bits() == 16) { Type::B16 } else { Type::B32 };
    let vector = Vector::of(regs.len()).unwrap_or(Vector::V4);
    let op = if vector == Vector::V4 { four } else { few };
    (ty, Form::new(op, (Space::Global, vector, ty)))
}

fn list(regs: &[Reg]) -> ptx::Operand {
    match regs {
        [one] => (*one).into(),
        many => many.into(),
    }
}
