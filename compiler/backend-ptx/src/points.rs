//! Stages without a reduction: a thread computes runs of points along the last dim.
//!
//! ```text
//! thread t of CTA c, run u:   position q = (c * unroll + u) * 256 + t,   points q * vector … q * vector + vector - 1
//! ```
//!
//! All runs of a thread are loaded before any is computed. A position beyond the end is taken as the last one and not stored.

use graph::dim::Dim;
use graph::symbol::Symbols;
use ptx_expr::memory;

use crate::error::PtxError;
use crate::flat::{Flat, Sink};
use crate::index::Ix;
use crate::memory::Region;
use crate::point::{Place, Point, Stage};
use crate::schedule::THREADS;
use crate::writer::{V, Writer};

/// The extents with the last in runs of `vector`.
pub fn in_runs(extents: &[Dim], vector: u32) -> Vec<Dim> {
    let mut out = extents.to_vec();
    if let Some(last) = out.last_mut() {
        *last = Symbols::default().floor_div(last, &Dim::constant(i64::from(vector)));
    }
    out
}

/// `ceil(count / per)`.
pub fn blocks(count: &Dim, per: u32) -> Dim {
    Symbols::default().ceil_div(count, &Dim::constant(i64::from(per)))
}

/// Where the outputs of a stage go.
pub struct Sinks<'a> {
    /// By result.
    pub results: &'a [Region],
    /// By kept output; a value that is the same at every inner index has no region.
    pub kept: &'a [Option<Region>],
}

impl Sinks<'_> {
    pub fn result(&self, k: usize) -> Result<Region, PtxError> {
        self.results.get(k).copied().ok_or(PtxError::Malformed("no such result"))
    }
}

/// The whole stage; yields the number of CTAs.
pub fn emit(
    w: &mut Writer,
    flat: &Flat,
    ix: Ix,
    (vector, unroll): (u32, u32),
    places: Vec<Place>,
    sinks: &Sinks<'_>,
) -> Result<Dim, PtxError> {
    let stage = Stage::new(flat, ix, places);
    let runs = in_runs(&flat.parallel, vector);
    let total = Dim::product(&runs);
    let cta = w.cta(ix);
    let thread = w.thread();
    let thread = w.ix_from32(ix, thread);
    let per_cta = w.ix_const(ix, i64::from(THREADS * unroll));
    let first = w.ix_mad(ix, cta, per_cta, thread);
    let positions = (0..unroll).map(|u| {
        let step = w.ix_const(ix, i64::from(u * THREADS));
        w.ix_add(ix, first, step)
    });
    let positions: Vec<V> = positions.collect();
    compute(w, &stage, &runs, vector, &positions, &total, sinks)?;
    Ok(blocks(&total, THREADS * unroll))
}

/// The position of a thread that has one, and whether it is below `count`.
pub fn compute_position(w: &mut Writer, ix: Ix, count: &Dim) -> (V, V) {
    let (cta, thread) = (w.cta(ix), w.thread());
    let thread = w.ix_from32(ix, thread);
    let per_cta = w.ix_const(ix, i64::from(THREADS));
    let position = w.ix_mad(ix, cta, per_cta, thread);
    let end = w.size(ix, count);
    let inside = w.ix_less(ix, position, end);
    (position, inside)
}

/// Computes and stores the runs at some positions.
pub fn compute(
    w: &mut Writer,
    stage: &Stage<'_>,
    runs: &[Dim],
    vector: u32,
    positions: &[V],
    total: &Dim,
    sinks: &Sinks<'_>,
) -> Result<(), PtxError> {
    let ix = stage.ix;
    let dim = runs.len().saturating_sub(1);
    let mut work = Vec::with_capacity(positions.len());
    let per_cta = i64::from(THREADS) * positions.len() as i64;
    let whole = total.as_const().is_some_and(|n| n % per_cta == 0);
    for position in positions {
        let (mut position, mut inside) = (*position, None);
        if !whole {
            let end = w.size(ix, total);
            inside = Some(w.ix_less(ix, position, end));
            let last = w.size(ix, &(total - &Dim::constant(1)));
            position = w.ix_min(ix, position, last);
        }
        let index = run_start(w, ix, position, runs, vector);
        let ahead = Point::new(stage, index.clone()).run_ahead(w, dim, vector)?;
        work.push((inside, index, ahead));
    }
    for (inside, index, ahead) in work {
        let mut points = Vec::with_capacity(vector as usize);
        for (j, loaded) in ahead.into_iter().enumerate() {
            let mut point = Point::new(stage, shifted(w, ix, &index, dim, j as i64));
            loaded.into_iter().for_each(|(source, value)| point.preload(source, value));
            points.push(point);
        }
        store(w, stage, &mut points, &index, sinks, inside)?;
    }
    Ok(())
}

/// Indices of the first point of the run at a position.
pub fn run_start(w: &mut Writer, ix: Ix, position: V, runs: &[Dim], vector: u32) -> Vec<V> {
    let mut index = w.unravel(ix, position, runs);
    if let Some(last) = index.last_mut() {
        let vector = w.ix_const(ix, i64::from(vector));
        *last = w.ix_mul(ix, *last, vector);
    }
    index
}

/// The index of point `j` of a run along `dim`.
pub fn shifted(w: &mut Writer, ix: Ix, index: &[V], dim: usize, j: i64) -> Vec<V> {
    let mut index = index.to_vec();
    if let Some(slot) = index.get_mut(dim).filter(|_| j > 0) {
        let j = w.ix_const(ix, j);
        *slot = w.ix_add(ix, *slot, j);
    }
    index
}

/// Stores the outputs of the points of a run, which begins at `index`.
pub fn store(
    w: &mut Writer,
    stage: &Stage<'_>,
    points: &mut [Point<'_, '_>],
    index: &[V],
    sinks: &Sinks<'_>,
    guard: Option<V>,
) -> Result<(), PtxError> {
    let ix = stage.ix;
    for (value, sink) in &stage.flat.outs {
        let (value, saturate) = match sink {
            Sink::Strided { result, .. } | Sink::Indexed { result, .. } => {
                memory::stored(&stage.flat.exprs, *value, sinks.result(*result)?.dtype)
            }
            Sink::Keep { .. } => (*value, false),
        };
        let values = points.iter_mut().map(|p| p.value(w, value)).collect::<Result<Vec<_>, _>>()?;
        match sink {
            Sink::Strided { result, access, .. } => {
                let region = Region { saturate, ..sinks.result(*result)? };
                let at = w.view_address(ix, access, index);
                w.store_run(&region, ix, at, &values, guard)?;
            }
            Sink::Keep { kept, access, .. } => {
                let Some(region) = sinks.kept.get(*kept).copied().flatten() else { continue };
                let at = w.view_address(ix, access, index);
                w.store_run(&region, ix, at, &values, guard)?;
            }
            Sink::Indexed { result, port, index } => {
                let region = Region { saturate, ..sinks.result(*result)? };
                for (point, value) in points.iter_mut().zip(values) {
                    let mut at = Vec::with_capacity(index.len());
                    for i in index {
                        at.push(point.index_value(w, *i)?);
                    }
                    let at = w.view_address(ix, &port.access, &at);
                    w.store(&region, ix, at, value, guard)?;
                }
            }
        }
    }
    Ok(())
}
