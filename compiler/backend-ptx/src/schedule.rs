//! How a collapsed stage runs, as data: which launches, for which sizes.
//!
//! A [`Variant`] holds for the sizes of its predicate. The variants of a stage exclude each other and cover all sizes; those
//! whose predicate is certainly false are left out. Launches of a variant that does not hold have a grid of 0.
//!
//! ```text
//! points 6 x 20, f32        Points { vector: 4, unroll: 2 }                     all sizes known: one variant
//! points p0, f32            narrow and 4 | p0   Points { vector: 4, unroll: 2 }
//!                           narrow              Points { vector: 1, unroll: 4 }
//!                           else (wide)         Points { vector: 1, unroll: 1 }
//! ```

use graph::dim::{Dim, Pred};
use graph::dtype::DType;
use graph::symbol::Symbols;

use crate::blocks::{Block, blocks_of};
use crate::facts::{Along, Limits, access_width, aligned, all, along, at_least, at_most};
use crate::flat::{Flat, Sink};
use crate::reduce::columns::Columns;
use crate::{contract, tile};

/// Threads of a CTA where nothing asks for another number.
pub const THREADS: u32 = 256;

/// CTAs that share the steps of one reduction.
pub const PARTS: u32 = 128;

/// How threads share the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// A thread takes `unroll` times `vector` points that follow each other along the last parallel dim.
    Points { vector: u32, unroll: u32 },
    /// A thread has a block of points along two dims, in registers.
    Blocks(Block),
    /// Tiles of 32 by 32 points along `dim` and the last one, through shared memory.
    Tile { dim: usize },
    /// Tiles of 64 by 64 points of a sum of products, in registers.
    Contract,
    /// A thread has a run of points, lanes share their steps.
    Columns(Columns),
    /// `lanes` threads share the steps of one point's reduction, `vector` steps along its last dim at a time; a CTA has
    /// `points` points. With `rows`, neighbouring threads are lanes, else points. With `parts`, that many CTAs share the
    /// steps, and a second launch combines them.
    Reduce { points: u32, lanes: u32, vector: u32, rows: bool, parts: u32 },
}

/// A schedule and the sizes it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant {
    pub when: Pred,
    /// Whether indices and addresses need 64 bits.
    pub wide: bool,
    pub schedule: Schedule,
}

/// The ways to run a stage.
pub fn variants(flat: &Flat, symbols: &Symbols, limits: &Limits) -> Vec<Variant> {
    let narrow = flat.fits_narrow(symbols, limits);
    let mut list = Vec::new();
    if flat.accs.is_empty() {
        for (block, fits) in blocks_of(flat, symbols) {
            list.push((all([narrow.clone(), fits], symbols), false, Schedule::Blocks(block)));
        }
        if let Some((dim, _)) = tile::across(flat) {
            let sides = [Some(dim), flat.parallel.len().checked_sub(1)];
            let long = sides.into_iter().flatten().filter_map(|d| flat.parallel.get(d)).map(|e| at_least(e, 12));
            list.push((all(long.chain([narrow.clone()]), symbols), false, Schedule::Tile { dim }));
        }
        if let Some((vector, fits)) = vector_of(flat, symbols) {
            let schedule = Schedule::Points { vector, unroll: unroll_of(flat, vector) };
            list.push((all([narrow.clone(), fits], symbols), false, schedule));
        }
        list.push((narrow, false, Schedule::Points { vector: 1, unroll: unroll_of(flat, 1) }));
        list.push((Pred::Const(true), true, Schedule::Points { vector: 1, unroll: 1 }));
    } else {
        if let Some(plan) = contract::contraction(flat) {
            let sides = [0, 1].map(|side| at_least(&Dim::product(&plan.extents(flat, side)), 16));
            let long = all(sides.into_iter().chain([at_least(&flat.steps(), 16), narrow.clone()]), symbols);
            list.push((long, false, Schedule::Contract));
        }
        let schedules = reductions(flat, symbols);
        let last = schedules.last().map(|(_, s)| *s);
        list.extend(schedules.into_iter().map(|(when, s)| (all([narrow.clone(), when], symbols), false, s)));
        list.extend(last.map(|s| (Pred::Const(true), true, without_vectors(s))));
    }
    chain(list, symbols)
}

/// Makes the predicates exclude each other, in order, and drops what cannot hold.
fn chain(list: Vec<(Pred, bool, Schedule)>, symbols: &Symbols) -> Vec<Variant> {
    let mut out = Vec::new();
    let mut earlier: Vec<Pred> = Vec::new();
    for (when, wide, schedule) in list {
        let own = symbols.prove(&when);
        if own == Some(false) {
            continue;
        }
        let not = earlier.iter().map(|p| Pred::Not(Box::new(p.clone())));
        out.push(Variant { when: all(not.chain([when.clone()]), symbols), wide, schedule });
        if own == Some(true) {
            break;
        }
        earlier.push(when);
    }
    out
}

fn without_vectors(schedule: Schedule) -> Schedule {
    match schedule {
        Schedule::Points { .. } | Schedule::Blocks(_) | Schedule::Tile { .. } | Schedule::Contract => {
            Schedule::Points { vector: 1, unroll: 1 }
        }
        Schedule::Columns(_) => Schedule::Columns(Columns::of(1, 1, 1)),
        Schedule::Reduce { points, lanes, rows, .. } => Schedule::Reduce { points, lanes, vector: 1, rows, parts: 1 },
    }
}

/// Elements of a run at most.
const RUN: u32 = 8;

/// Points that a thread takes at once along the last dim, and when it may.
pub fn vector_of(flat: &Flat, symbols: &Symbols) -> Option<(u32, Pred)> {
    let dim = flat.parallel.len().checked_sub(1)?;
    let mut narrowest = 64;
    for (_, sink) in &flat.outs {
        match sink {
            Sink::Strided { access, dtype, .. } | Sink::Keep { access, dtype, .. }
                if along(access, dim) == Along::Next =>
            {
                narrowest = narrowest.min(dtype.bits());
            }
            Sink::Strided { .. } | Sink::Keep { .. } | Sink::Indexed { .. } => return None,
        }
    }
    for view in flat.views().filter(|v| v.along_runs(dim, RUN) == Along::Next) {
        narrowest = narrowest.min(view.dtype.bits());
    }
    let heavy = flat.exprs.len() > 48 || flat.views().any(|v| v.along_runs(dim, RUN) == Along::Apart);
    let most = if heavy { 4 } else { 8 };
    let vector = (128 / narrowest.max(8)).clamp(2, most).max(per_byte(narrowest));
    Some((vector, vector_fits(flat, dim, vector, symbols)))
}

/// Elements of so many bits in a byte, at least 1.
pub fn per_byte(bits: u32) -> u32 {
    (8 / bits.max(1)).max(1)
}

/// Whether runs of `vector` elements along a dim divide it and are aligned in everything that lies along it.
fn vector_fits(flat: &Flat, dim: usize, vector: u32, symbols: &Symbols) -> Pred {
    let extents = flat.extents();
    let whole = extents.get(dim).map(|e| Pred::Divides(Dim::constant(i64::from(vector)), e.clone()));
    let stores = flat.stores().filter(|(access, _)| along(access, dim) == Along::Next);
    let stores = stores.map(|(access, bits)| aligned(access, dim, access_width(bits, vector), symbols));
    let views = flat.views().filter(|v| v.along_runs(dim, vector) == Along::Next);
    let views = views.map(|v| v.aligned(dim, access_width(v.dtype.bits(), vector), symbols));
    all(stores.chain(views).chain(whole), symbols)
}

/// Runs of points of one thread: enough loads in flight, not too many registers.
fn unroll_of(flat: &Flat, vector: u32) -> u32 {
    let plain = flat.exprs.len() <= 32 && flat.sources.len() <= 4;
    match (plain, vector) {
        (false, _) => 1,
        (true, 1) => 4,
        (true, _) => 2,
    }
}

/// Schedules of a reduction by its sizes; the last is for all.
fn reductions(flat: &Flat, symbols: &Symbols) -> Vec<(Pred, Schedule)> {
    let (points, steps) = (flat.points(), flat.steps());
    let of = |points, lanes, vector, rows, parts| Schedule::Reduce { points, lanes, vector, rows, parts };
    let always = Pred::Const(true);
    let by_thread = of(128, 1, 1, false, 1);
    if flat.reduce.iter().any(|e| e.size.is_some()) {
        return vec![(at_most(&steps, 1024), by_thread), (always, of(1, THREADS, 1, true, 1))];
    }
    let few = |n| at_most(&points, n);
    let many_steps = |n| at_least(&steps, n);
    // Rows of this length keep one CTA too long.
    const STEPS: i64 = 1 << 16;
    let mut out = Vec::new();
    if is_along_rows(flat) && !is_gathered_window(flat) {
        out.push((at_most(&steps, 32), Schedule::Columns(Columns::of(1, 1, 1))));
        if let Some((vector, fits)) = vector_of_steps(flat, symbols) {
            let both = |pred| all([fits.clone(), pred], symbols);
            out.push((both(all([few(512), many_steps(STEPS)], symbols)), of(1, THREADS, vector, true, PARTS)));
            out.push((both(all([few(264), many_steps(1 << 13)], symbols)), of(1, 1024, vector, true, 1)));
            out.push((both(at_most(&steps, 1024)), of(8, 32, vector, true, 1)));
            out.push((fits, of(1, THREADS, vector, true, 1)));
        }
        out.push((all([few(512), many_steps(1 << 15)], symbols), of(1, THREADS, 1, true, PARTS)));
        out.push((at_most(&steps, 512), of(8, 32, 1, true, 1)));
        out.push((always, of(1, THREADS, 1, true, 1)));
        return out;
    }
    out.extend(strips(flat, symbols));
    if let Some((vector, fits)) = vector_of(flat, symbols) {
        out.extend(columns(flat, vector, symbols).into_iter().map(|(pred, s)| (all([fits.clone(), pred], symbols), s)));
    }
    out.extend(columns(flat, 1, symbols));
    out
}

/// Threads that keep a GPU busy.
const BUSY: i64 = 1 << 17;
/// Bytes of a sector: neighbouring threads read at least so many.
const SECTOR: u32 = 32;
/// Bytes that one CTA reads for a strip of points at most.
const STRIP: i64 = 256 << 10;

/// Whether a reduction has few steps, and these lie apart in some operand.
fn is_gathered_window(flat: &Flat) -> bool {
    let step = flat.extents().len().checked_sub(1);
    let apart = |dim: usize| flat.views().any(|v| v.along(dim) == Along::Apart);
    flat.steps().as_const().is_some_and(|n| n <= 16) && step.is_some_and(apart)
}

/// A strip of points for each CTA, one sector wide, where all operands have neighbouring points beside each other and threads with
/// runs of their own would be too few.
fn strips(flat: &Flat, symbols: &Symbols) -> Option<(Pred, Schedule)> {
    let (points, steps) = (flat.points().as_const()?, flat.steps().as_const()?);
    let dim = flat.parallel.len().checked_sub(1)?;
    let bits = flat.views().filter(|v| v.along(dim) == Along::Next).map(|v| v.dtype.bits()).max()?;
    if bits < 8 || flat.views().count() != flat.sources.len() {
        return None;
    }
    let vector = (32 / bits).max(1);
    let runs = SECTOR / (vector * bits / 8);
    let few = points * 8 <= BUSY && steps >= 16 && steps * i64::from(SECTOR) <= STRIP;
    let stored = flat.outs.iter().all(|(_, sink)| !matches!(sink, Sink::Indexed { .. }));
    let apart = flat.views().any(|v| v.along_runs(dim, vector) == Along::Apart);
    if !few || !stored || apart || flat.stores().any(|(access, _)| along(access, dim) != Along::Next) {
        return None;
    }
    let lanes = (steps / 4).clamp(4, 64).cast_unsigned().next_power_of_two() as u32;
    let columns = Columns { vector, lanes, parts: 1, threads: (lanes * runs).max(32) };
    Some((vector_fits(flat, dim, vector, symbols), Schedule::Columns(columns)))
}

/// Schedules of columns by their sizes; the last is for all.
fn columns(flat: &Flat, vector: u32, symbols: &Symbols) -> Vec<(Pred, Schedule)> {
    let (points, steps) = (flat.points(), flat.steps());
    let of = |lanes, parts| Schedule::Columns(Columns::of(vector, lanes, parts));
    if let (Some(points), Some(steps)) = (points.as_const(), steps.as_const()) {
        let runs = (points / i64::from(vector)).max(1);
        let wanted = (BUSY / runs).min(steps / 8).max(1);
        let lanes = wanted.min(8).cast_unsigned().next_power_of_two() as u32;
        let parts = wanted / i64::from(lanes);
        let parts = if parts >= 2 { parts.min(i64::from(PARTS)).cast_unsigned().next_power_of_two() as u32 } else { 1 };
        return vec![(Pred::Const(true), of(lanes, parts))];
    }
    let few = |n| at_most(&points, n);
    let many_steps = |n| at_least(&steps, n);
    vec![
        (all([few(4096), many_steps(1 << 14)], symbols), of(8, PARTS)),
        (all([few(1 << 15), many_steps(64)], symbols), of(8, 1)),
        (Pred::Const(true), of(1, 1)),
    ]
}

/// Whether neighbouring steps read closer together than neighbouring points.
pub fn is_along_rows(flat: &Flat) -> bool {
    let (Some(step), point) = (flat.extents().len().checked_sub(1), flat.parallel.len().checked_sub(1)) else {
        return false;
    };
    let next = |dim: Option<usize>| match dim {
        Some(dim) => flat.views().filter(|v| v.along(dim) == Along::Next).count(),
        None => 0,
    };
    point.is_none() || next(Some(step)) >= next(point).max(1)
}

pub fn vector_of_steps(flat: &Flat, symbols: &Symbols) -> Option<(u32, Pred)> {
    let dim = flat.extents().len().checked_sub(1)?;
    let runs = flat.views().filter(|v| v.along(dim) == Along::Next);
    let narrowest = runs.map(|v| v.dtype.bits()).min()?;
    let mut vector = (128 / narrowest.max(8)).clamp(2, 8);
    let last = flat.extents().get(dim).cloned()?;
    while vector > 2 && last.as_const().is_some_and(|n| n % i64::from(vector) != 0) {
        vector /= 2;
    }
    let runs = flat.views().filter(|v| v.along(dim) == Along::Next);
    let aligned = runs.map(|v| v.aligned(dim, access_width(v.dtype.bits(), vector), symbols));
    let whole = Pred::Divides(Dim::constant(i64::from(vector)), last);
    Some((vector, all(aligned.chain([whole]), symbols)))
}

/// Whether elements of this dtype share bytes.
pub fn is_packed(dtype: DType) -> bool {
    dtype.bits() < 8
}
