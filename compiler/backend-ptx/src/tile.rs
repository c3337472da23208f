//! Pointwise stages that read along another dim than they store: tiles of 32 by 32 points go through shared memory.
//!
//! ```text
//! first    thread (x, y) loads points  (d: 32 td + x,       n: 32 tn + y + 8 r)     neighbours read neighbours
//! then     thread (x, y) computes      (d: 32 td + y + 8 r, n: 32 tn + x)           neighbours store neighbours
//! ```
//!
//! A row of the tile in shared memory has 33 places, so that neither way meets the same bank twice.

use graph::dim::Dim;
use ptx::Space;

use crate::error::PtxError;
use crate::facts::{Along, along};
use crate::flat::{Flat, Way};
use crate::index::Ix;
use crate::memory::{Region, unpacked_bytes};
use crate::point::{Place, Point, Stage};
use crate::points::{Sinks, blocks, store};
use crate::writer::{V, Writer};

/// Points of a tile along each of its dims.
const SIDE: u32 = 32;
/// Rows of a tile that the threads of a CTA take at once.
const ROWS: u32 = 8;
/// Places of a row in shared memory.
const PITCH: u32 = SIDE + 1;
/// Sources that may go through shared memory.
pub const MOST: usize = 4;

/// The dim along which the sources lie that are read across the last one, and those sources.
pub fn across(flat: &Flat) -> Option<(usize, Vec<usize>)> {
    let last = flat.parallel.len().checked_sub(1)?;
    if flat.stores().count() != flat.outs.len() || flat.stores().any(|(access, _)| along(access, last) != Along::Next) {
        return None;
    }
    let lies = |way: &Way, dim: usize| match way {
        Way::View { map, varies, .. } => {
            let free = |d: usize| !varies.get(d).copied().unwrap_or(true);
            free(dim)
                && free(last)
                && along(&map.access, dim) == Along::Next
                && along(&map.access, last) == Along::Apart
        }
        Way::Indexed { .. } => false,
    };
    let dim = (0..last).find(|d| flat.sources.iter().any(|s| lies(&s.way, *d)))?;
    let sources = flat.sources.iter().enumerate().filter(|(_, s)| lies(&s.way, dim) && s.dtype.bits() >= 8);
    let sources: Vec<usize> = sources.map(|(k, _)| k).take(MOST).collect();
    (!sources.is_empty()).then_some((dim, sources))
}

/// The whole stage; yields the number of CTAs.
pub fn emit(
    w: &mut Writer,
    flat: &Flat,
    (dim, sources): (usize, &[usize]),
    places: Vec<Place>,
    sinks: &Sinks<'_>,
) -> Result<Dim, PtxError> {
    let ix = Ix::Narrow;
    let stage = Stage::new(flat, ix, places);
    let last = flat.parallel.len() - 1;
    let mut tiles = flat.parallel.clone();
    for d in [dim, last] {
        if let Some(extent) = tiles.get_mut(d) {
            *extent = blocks(extent, SIDE);
        }
    }
    let cta = w.cta(ix);
    let tile = w.unravel(ix, cta, &tiles);
    let thread = w.thread();
    let (y, x) = w.ix_divide(ix, thread, &Dim::constant(i64::from(SIDE)));
    let memory = sources.iter().map(|k| buffer(w, flat, *k)).collect::<Result<Vec<_>, _>>()?;
    let walk = Walk { dim, last, tile: &tile };
    load(w, &stage, &walk, sources, &memory, (x, y))?;
    w.barrier();
    let ends = [dim, last].map(|d| flat.parallel.get(d).cloned().unwrap_or_default());
    for r in 0..SIDE / ROWS {
        let step = w.m.u32(r * ROWS);
        let row = w.ix_add(ix, y, step);
        let (index, [along_dim, along_last]) = walk.index(w, flat, (row, x));
        let mut inside = w.m.bool(true);
        for (i, extent) in [along_dim, along_last].into_iter().zip(&ends) {
            let extent = w.size(ix, extent);
            let below = w.ix_less(ix, i, extent);
            inside = w.both(inside, below);
        }
        let mut point = Point::new(&stage, index.clone());
        for (k, region) in sources.iter().zip(&memory) {
            let at = place(w, x, row);
            let value = w.load(region, ix, at, None)?;
            point.preload(*k as u32, value);
        }
        let ahead = point.run_ahead(w, last, 1)?;
        for (source, value) in ahead.into_iter().flatten() {
            point.preload(source, value);
        }
        store(w, &stage, &mut [point], &index, sinks, Some(inside))?;
    }
    Ok(Dim::product(&tiles))
}

/// Shared memory for the tile of a source, of one place a point.
fn buffer(w: &mut Writer, flat: &Flat, source: usize) -> Result<Region, PtxError> {
    let dtype = flat.sources.get(source).map(|s| s.dtype).ok_or(PtxError::Malformed("no such source"))?;
    let base = w.shared("tile", SIDE * PITCH * unpacked_bytes(dtype));
    Ok(Region { space: Space::Shared, base, dtype, unpacked: true, constant: false, saturate: false })
}

/// The place of a point: its row is its number along the last dim.
fn place(w: &mut Writer, row: V, column: V) -> V {
    let pitch = w.m.u32(PITCH);
    w.ix_mad(Ix::Narrow, row, pitch, column)
}

/// Where the tile of a CTA lies.
struct Walk<'a> {
    dim: usize,
    last: usize,
    tile: &'a [V],
}

impl Walk<'_> {
    /// The index of a point of the tile, taken to the last one beyond an end; and its places along the two dims as they are.
    fn index(&self, w: &mut Writer, flat: &Flat, (along_dim, along_last): (V, V)) -> (Vec<V>, [V; 2]) {
        let mut index = self.tile.to_vec();
        let side = w.m.u32(SIDE);
        let mut places = [along_dim, along_last];
        for (d, place) in [self.dim, self.last].into_iter().zip(&mut places) {
            let Some(slot) = index.get_mut(d) else { continue };
            *place = w.ix_mad(Ix::Narrow, *slot, side, *place);
            let extent = flat.parallel.get(d).cloned().unwrap_or_default();
            let most = w.size(Ix::Narrow, &(&extent - &Dim::constant(1)));
            *slot = w.ix_min(Ix::Narrow, *place, most);
        }
        (index, places)
    }
}

/// Loads the tiles of all sources, all loads before the first store.
fn load(
    w: &mut Writer,
    stage: &Stage<'_>,
    walk: &Walk<'_>,
    sources: &[usize],
    memory: &[Region],
    (x, y): (V, V),
) -> Result<(), PtxError> {
    let mut loaded = Vec::new();
    for r in 0..SIDE / ROWS {
        let step = w.m.u32(r * ROWS);
        let row = w.ix_add(Ix::Narrow, y, step);
        let (index, _) = walk.index(w, stage.flat, (x, row));
        let mut point = Point::new(stage, index);
        for (k, region) in sources.iter().zip(memory) {
            let value = point.read_view(w, *k as u32)?;
            loaded.push((region, row, value));
        }
    }
    for (region, row, value) in loaded {
        let at = place(w, row, x);
        w.store(region, Ix::Narrow, at, value, None)?;
    }
    Ok(())
}
