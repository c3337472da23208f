//! Reductions whose neighbouring points read neighbouring elements: a thread has a run of points, and lanes share the steps.
//!
//! ```text
//! thread = lane * runs + run      run r has points r * vector … of the last parallel dim; lane l has steps l, l + lanes, …
//!
//! strips    fewer runs than a warp has threads: 8 of 4 bytes are a sector; lanes of a warp combine by shuffles, then warps once
//! else      lanes combine by halves in shared memory
//! ```
//!
//! Windows (few steps, known) are written out; otherwise some steps are loaded before they are combined.

use graph::dim::Dim;
use ptx_expr::{Int, Relation, Width};

use crate::error::PtxError;
use crate::flat::Flat;
use crate::index::Ix;
use crate::point::{Place, Point, Stage};
use crate::points::{Sinks, blocks, in_runs, run_start, shifted, store};
use crate::reduce::combine::shuffled;
use crate::reduce::{SLOT, Share, combine, get, parts, put, states, take, with_steps};
use crate::schedule::THREADS;
use crate::state::State;
use crate::writer::{V, Writer};

/// Steps that are written out.
const WINDOW: i64 = 16;

/// How threads share points and steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Columns {
    pub vector: u32,
    pub lanes: u32,
    /// CTAs that share the steps of a point.
    pub parts: u32,
    pub threads: u32,
}

impl Columns {
    /// Columns of CTAs of the usual size.
    pub fn of(vector: u32, lanes: u32, parts: u32) -> Columns {
        Columns { vector, lanes, parts, threads: THREADS }
    }

    /// Runs of points of a CTA.
    fn runs(self) -> u32 {
        self.threads / self.lanes
    }

    /// Whether lanes of one run share a warp.
    fn is_strip(self) -> bool {
        self.runs() < 32
    }

    /// Steps whose elements are loaded at once.
    fn at_once(self) -> u32 {
        match self.vector {
            5.. => 4,
            _ if self.is_strip() => 16,
            _ => 8,
        }
    }
}

/// The points of a thread.
struct Run {
    /// Index of the first point.
    index: Vec<V>,
    /// States by point.
    states: Vec<Vec<State>>,
}

/// The whole stage; yields the grid. With several parts, states go to the scratch.
pub fn emit(
    w: &mut Writer,
    flat: &Flat,
    ix: Ix,
    columns: Columns,
    places: Vec<Place>,
    sinks: &Sinks<'_>,
) -> Result<[Dim; 3], PtxError> {
    let stage = Stage::new(flat, ix, places);
    let runs = in_runs(&flat.parallel, columns.vector);
    let total = Dim::product(&runs);
    let per_cta = columns.runs();
    let (thread, cta) = (w.thread(), w.cta(ix));
    let (lane, within) = w.ix_divide(Ix::Narrow, thread, &Dim::constant(i64::from(per_cta)));
    let lane = if columns.lanes == 1 { w.m.u32(0) } else { lane };
    let within = w.ix_from32(ix, within);
    let first = w.ix_const(ix, i64::from(per_cta));
    let position = w.ix_mad(ix, cta, first, within);
    let end = w.size(ix, &total);
    let valid = w.ix_less(ix, position, end);
    let last = w.size(ix, &(&total - &Dim::constant(1)));
    let position = w.ix_min(ix, position, last);
    let mut all = Vec::with_capacity(columns.vector as usize);
    for _ in 0..columns.vector {
        all.push(states(w, flat)?);
    }
    let run = Run { index: run_start(w, ix, position, &runs, columns.vector), states: all };
    steps(w, &stage, &run, columns, lane)?;
    if columns.is_strip() {
        combine_strips(w, &run.states, columns)?;
    } else {
        let share = Share { points: per_cta, lanes: columns.lanes, vector: 1, rows: false, parts: 1 };
        for states in &run.states {
            combine(w, states, share, lane)?;
        }
    }
    let zero = w.m.u32(0);
    let leads = w.m.icmp(Relation::Eq, Int::U32, lane, zero);
    let writes = w.m.and(Width::Pred, leads, valid);
    w.when(writes, |w| {
        if columns.parts > 1 {
            let vector = w.ix_const(ix, i64::from(columns.vector));
            let start = w.ix_mul(ix, position, vector);
            for (j, states) in run.states.iter().enumerate() {
                let step = w.ix_const(ix, j as i64);
                let point = w.ix_add(ix, start, step);
                let part = w.cta_y();
                parts::park(w, flat, ix, states, part, point, columns.parts)?;
            }
            return Ok(());
        }
        let dim = run.index.len().saturating_sub(1);
        let mut points = Vec::with_capacity(run.states.len());
        for (j, states) in run.states.iter().enumerate() {
            let accs = states.iter().map(|s| s.finish(w)).collect::<Result<Vec<_>, _>>()?;
            let index = shifted(w, ix, &run.index, dim, j as i64);
            let mut point = Point::new(&stage, with_steps(w, &stage, &index, None));
            point.set_accs(accs);
            points.push(point);
        }
        store(w, &stage, &mut points, &run.index, sinks, None)
    })?;
    Ok([blocks(&total, per_cta), Dim::constant(i64::from(columns.parts)), Dim::constant(1)])
}

fn steps(w: &mut Writer, stage: &Stage<'_>, run: &Run, columns: Columns, lane: V) -> Result<(), PtxError> {
    let (ix, flat) = (stage.ix, stage.flat);
    let count = flat.steps();
    let at_once = columns.at_once();
    let stride = columns.lanes * columns.parts;
    if let Some(known) = count.as_const().filter(|n| stride == 1 && *n <= WINDOW) {
        let mut step = 0;
        while step < known {
            let now = (known - step).min(i64::from(at_once));
            let list: Vec<(V, Option<V>)> = (step..step + now).map(|s| (w.ix_const(ix, s), None)).collect();
            take_steps(w, stage, run, &list)?;
            step += now;
        }
        return Ok(());
    }
    let part = if columns.parts == 1 { w.m.u32(0) } else { w.cta_y() };
    let lanes = w.m.u32(columns.lanes);
    let first = w.ix_mad(Ix::Narrow, part, lanes, lane);
    let first = w.ix_from32(ix, first);
    let turn = i64::from(stride * at_once);
    let whole = count.as_const().is_some_and(|n| n % turn == 0);
    let end = w.size(ix, &count);
    let last = w.size(ix, &(&count - &Dim::constant(1)));
    let advance = w.ix_const(ix, turn);
    w.count(ix, first, end, advance, |w, at| {
        let mut list = Vec::with_capacity(at_once as usize);
        for u in 0..at_once {
            let ahead = w.ix_const(ix, i64::from(u * stride));
            let step = w.ix_add(ix, at, ahead);
            if whole || u == 0 {
                list.push((step, None));
                continue;
            }
            let inside = w.ix_less(ix, step, end);
            list.push((w.ix_min(ix, step, last), Some(inside)));
        }
        take_steps(w, stage, run, &list)
    })
}

/// Combines the states of the lanes of strips; lane 0 has the result.
fn combine_strips(w: &mut Writer, points: &[Vec<State>], columns: Columns) -> Result<(), PtxError> {
    let (runs, warps) = (columns.runs(), columns.threads / 32);
    let states: Vec<&State> = points.iter().flatten().collect();
    let mut distance = 16;
    while distance >= runs {
        for state in &states {
            let other: Vec<V> =
                state.regs.iter().zip(state.widths()).map(|(reg, width)| shuffled(w, *reg, width, distance)).collect();
            state.merge(w, &other, None)?;
        }
        distance /= 2;
    }
    if warps == 1 {
        return Ok(());
    }
    let bytes = runs * states.len() as u32 * SLOT;
    let base = w.shared("strips", warps * bytes);
    let thread = w.thread();
    let (warp, within) = w.ix_divide(Ix::Narrow, thread, &Dim::constant(32));
    let (pitch, own, limit) = (w.m.u32(bytes), w.m.u32(bytes / runs), w.m.u32(runs));
    let at = w.ix_mad(Ix::Narrow, warp, pitch, base);
    let at = w.ix_mad(Ix::Narrow, within, own, at);
    let leads = w.ix_less(Ix::Narrow, within, limit);
    let slot = |w: &mut Writer, k: u32| {
        let step = w.m.u32(k * SLOT);
        w.ix_add(Ix::Narrow, at, step)
    };
    w.when(leads, |w| {
        for (k, state) in states.iter().enumerate() {
            let at = slot(w, k as u32);
            put(w, state, at);
        }
        Ok(())
    })?;
    w.barrier();
    let first = w.ix_less(Ix::Narrow, thread, limit);
    w.when(first, |w| {
        for warp in 1..warps {
            for (k, state) in states.iter().enumerate() {
                let at = slot(w, warp * bytes / SLOT + k as u32);
                let other = get(w, state, at);
                state.merge(w, &other, None)?;
            }
        }
        Ok(())
    })
}

/// Loads the elements of some steps, then takes them in, those that are inside.
fn take_steps(w: &mut Writer, stage: &Stage<'_>, run: &Run, list: &[(V, Option<V>)]) -> Result<(), PtxError> {
    let flat = stage.flat;
    let bounds: Vec<Dim> = flat.reduce.iter().map(|e| e.bound.clone()).collect();
    let dim = run.index.len().saturating_sub(1);
    let count = run.states.len() as u32;
    let mut loaded = Vec::with_capacity(list.len());
    for (step, inside) in list {
        let steps = w.unravel(stage.ix, *step, &bounds);
        let index = with_steps(w, stage, &run.index, Some(&steps));
        let ahead = Point::new(stage, index.clone()).run_ahead(w, dim, count)?;
        loaded.push((steps, index, ahead, *inside));
    }
    for (steps, index, ahead, inside) in loaded {
        for ((j, values), states) in ahead.into_iter().enumerate().zip(&run.states) {
            let mut point = Point::new(stage, shifted(w, stage.ix, &index, dim, j as i64));
            values.into_iter().for_each(|(source, value)| point.preload(source, value));
            take(w, stage, &mut point, states, inside, &steps)?;
        }
    }
    Ok(())
}
