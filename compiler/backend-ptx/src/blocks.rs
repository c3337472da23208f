//! Pointwise stages that read along another dim than they store: a thread has a block of points in registers.
//!
//! ```text
//! loads     for each j:  (d .. d + deep, n + j)     runs along the dim of the sources
//! stores    for each i:  (d + i, n .. n + wide)     runs along the last dim
//!
//! threads of a warp, for runs of 16 bytes both ways: 8 blocks along d (128 bytes that follow each other are read) by 4 along n (64 bytes are
//! stored). A side that is not aligned has runs of 1, and more threads of the warp along it, so that they share sectors.
//! ```
//!
//! Extents are multiples of the runs. A block beyond an end is taken as the last one, and not stored.

use graph::dim::{Dim, Pred};
use graph::symbol::Symbols;

use crate::error::PtxError;
use crate::facts::{access_width, aligned, all, along};
use crate::flat::{Flat, Way};
use crate::index::Ix;
use crate::point::{Place, Point, Stage};
use crate::points::{Sinks, blocks, shifted, store};
use crate::schedule::THREADS;
use crate::tile::across;
use crate::writer::{V, Writer};

/// Sources that may be read across.
const MOST: usize = 2;
/// Expressions of a stage whose blocks are of the largest size.
const SIMPLE: usize = 24;

/// The points of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// The dim along which the sources lie.
    pub dim: usize,
    /// Points along it.
    pub deep: u32,
    /// Points along the last dim.
    pub wide: u32,
}

/// The ways to take blocks, the best first, and when they may be.
pub fn blocks_of(flat: &Flat, symbols: &Symbols) -> Vec<(Block, Pred)> {
    let Some((dim, sources)) = across(flat) else { return Vec::new() };
    let Some(last) = flat.parallel.len().checked_sub(1) else { return Vec::new() };
    let Some(bits) = sources.iter().filter_map(|k| flat.sources.get(*k)).map(|s| s.dtype.bits()).max() else {
        return Vec::new();
    };
    if sources.len() > MOST || bits < 16 {
        return Vec::new();
    }
    let side = if flat.exprs.len() > SIMPLE { (128 / bits).min(4) } else { 128 / bits };
    let both = Block { dim, deep: side, wide: side };
    let mut out = vec![(both, fits(flat, &sources, both, symbols))];
    // Elements of 32 bits are moved as well by tiles in shared memory.
    if bits == 16 {
        for block in [Block { deep: 1, ..both }, Block { wide: 1, ..both }] {
            out.push((block, fits(flat, &sources, block, symbols)));
        }
    }
    out.retain(|(block, _)| {
        let runs = [(block.deep, dim), (block.wide, last)];
        runs.into_iter().all(|(_, d)| flat.parallel.get(d).and_then(Dim::as_const).is_none_or(|e| e >= 8))
    });
    out
}

/// Whether the runs of a block divide the extents and are aligned.
fn fits(flat: &Flat, sources: &[usize], block: Block, symbols: &Symbols) -> Pred {
    let last = flat.parallel.len().saturating_sub(1);
    let whole =
        |d: usize, run: u32| flat.parallel.get(d).map(|e| Pred::Divides(Dim::constant(i64::from(run)), e.clone()));
    let mut preds: Vec<Pred> = [whole(block.dim, block.deep), whole(last, block.wide)].into_iter().flatten().collect();
    for (access, bits) in flat.stores() {
        preds.push(aligned(access, last, access_width(bits, block.wide), symbols));
    }
    for (k, source) in flat.sources.iter().enumerate() {
        let Way::View { map, varies, .. } = &source.way else { continue };
        let (along_dim, run) = if sources.contains(&k) { (block.dim, block.deep) } else { (last, block.wide) };
        let varied = varies.get(along_dim).copied().unwrap_or(false);
        if !varied && along(&map.access, along_dim) == crate::facts::Along::Next {
            let width = access_width(source.dtype.bits(), run);
            preds.push(aligned(&map.access, along_dim, width, symbols));
            preds.extend(map.terms.iter().map(|(c, _)| Pred::Divides(Dim::constant(i64::from(width)), c.clone())));
        }
    }
    all(preds, symbols)
}

/// Blocks of a CTA along the two dims, and threads of a warp along the first.
struct Share {
    along: [u32; 2],
    warp: u32,
}

impl Share {
    /// As square as the extents (in blocks) allow.
    fn new(block: Block, extents: [Option<i64>; 2]) -> Share {
        let most = extents.map(|e| e.map_or(u64::MAX, i64::cast_unsigned).clamp(1, 256).next_power_of_two() as u32);
        let (wanted, warp) = match (block.deep, block.wide) {
            (1, _) => (32, 16),
            (_, 1) => (8, 2),
            _ => (16, 8),
        };
        let first = most[0].min(wanted).max((THREADS / most[1]).min(most[0]));
        let second = THREADS / first;
        Share { along: [first, second], warp: first.min(warp) }
    }
}

/// The whole stage; yields the number of CTAs.
pub fn emit(w: &mut Writer, flat: &Flat, block: Block, places: Vec<Place>, sinks: &Sinks<'_>) -> Result<Dim, PtxError> {
    let ix = Ix::Narrow;
    let Block { dim, deep, wide } = block;
    let sources = across(flat).map(|(_, sources)| sources).unwrap_or_default();
    let stage = Stage::new(flat, ix, places);
    let last = flat.parallel.len() - 1;
    let counts = [(dim, deep), (last, wide)].map(|(d, run)| {
        let extent = flat.parallel.get(d).cloned().unwrap_or_default();
        Symbols::default().floor_div(&extent, &Dim::constant(i64::from(run)))
    });
    let share = Share::new(block, [counts[0].as_const(), counts[1].as_const()]);
    let mut tiles = flat.parallel.clone();
    for ((d, count), per) in [dim, last].into_iter().zip(&counts).zip(share.along) {
        if let Some(slot) = tiles.get_mut(d) {
            *slot = blocks(count, per);
        }
    }
    let cta = w.cta(ix);
    let mut index = w.unravel(ix, cta, &tiles);
    let local = place(w, &share);
    let mut guard: Option<V> = None;
    let runs = [(dim, deep), (last, wide)];
    for ((((d, run), count), per), local) in runs.into_iter().zip(&counts).zip(share.along).zip(local) {
        let Some(slot) = index.get_mut(d) else { continue };
        let per_cta = w.m.u32(per);
        let mut at = w.ix_mad(ix, *slot, per_cta, local);
        if count.as_const().is_none_or(|c| c % i64::from(per) != 0) {
            let end = w.size(ix, count);
            let inside = w.ix_less(ix, at, end);
            guard = Some(match guard {
                Some(all) => w.both(all, inside),
                None => inside,
            });
            let most = w.size(ix, &(count - &Dim::constant(1)));
            at = w.ix_min(ix, at, most);
        }
        let run = w.m.u32(run);
        *slot = w.ix_mul(ix, at, run);
    }
    let mut columns: Vec<Vec<Vec<V>>> = Vec::with_capacity(wide as usize);
    for j in 0..wide {
        let at = shifted(w, ix, &index, last, i64::from(j));
        let mut point = Point::new(&stage, at);
        let runs = sources.iter().map(|k| point.run_of(w, *k as u32, dim, deep)).collect::<Result<Vec<_>, _>>()?;
        columns.push(runs);
    }
    for i in 0..deep {
        let start = shifted(w, ix, &index, dim, i64::from(i));
        let mut points = Vec::with_capacity(wide as usize);
        for (j, runs) in columns.iter().enumerate() {
            let mut point = Point::new(&stage, shifted(w, ix, &start, last, j as i64));
            for (k, run) in sources.iter().zip(runs) {
                if let Some(value) = run.get(i as usize) {
                    point.preload(*k as u32, *value);
                }
            }
            points.push(point);
        }
        let mut first = Point::new(&stage, start.clone());
        for (k, run) in sources.iter().zip(columns.iter().flatten()) {
            if let Some(value) = run.get(i as usize) {
                first.preload(*k as u32, *value);
            }
        }
        let ahead = first.run_ahead(w, last, wide)?;
        for (point, loaded) in points.iter_mut().zip(ahead) {
            loaded.into_iter().for_each(|(source, value)| point.preload(source, value));
        }
        store(w, &stage, &mut points, &start, sinks, guard)?;
    }
    Ok(Dim::product(&tiles))
}

/// The block of a thread within its CTA, along the two dims.
fn place(w: &mut Writer, share: &Share) -> [V; 2] {
    let ix = Ix::Narrow;
    let by = |n: u32| Dim::constant(i64::from(n));
    let thread = w.thread();
    let (rest, low_first) = w.ix_divide(ix, thread, &by(share.warp));
    let per_warp = (32 / share.warp).min(share.along[1]).max(1);
    let (rest, low_second) = w.ix_divide(ix, rest, &by(per_warp));
    let (high_second, high_first) = w.ix_divide(ix, rest, &by(share.along[0] / share.warp));
    let (first, second) = (w.m.u32(share.warp), w.m.u32(per_warp));
    [w.ix_mad(ix, high_first, first, low_first), w.ix_mad(ix, high_second, second, low_second)]
}
