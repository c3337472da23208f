//! Stages with accumulators: threads share the steps of a point's reduction, then combine what they have.
//!
//! ```text
//! rows:     thread = point * lanes + lane     neighbouring threads read neighbouring steps; combined by shuffles
//! columns:  thread = lane * points + point    neighbouring threads read neighbouring points; combined in shared memory
//! ```
//!
//! The order of combination depends on the schedule alone. Float sums and products are in `f64`, so that of n terms is within
//! n * 2^-53 (relative to the sum of magnitudes) of the exact one before it is rounded to its dtype.

pub mod columns;
mod combine;
mod parts;

pub use combine::{SLOT, broadcast, combine, combine_all, get, put};
pub use parts::{emit_parts, parked_bytes};

use graph::dim::Dim;
use graph::expr::{BinOp, Expr};
use graph::node::{Acc, Combiner};
use ptx_expr::{Int, IntOp, Relation, Width};

use crate::error::PtxError;
use crate::flat::Flat;
use crate::index::Ix;
use crate::point::{Place, Point, Stage};
use crate::points::{Sinks, blocks, in_runs, shifted};
use crate::state::{State, Taken};
use crate::writer::{V, Writer};

/// How the threads of a CTA stand to points and steps.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    pub points: u32,
    pub lanes: u32,
    pub vector: u32,
    pub rows: bool,
    /// CTAs that share the steps of a point.
    pub parts: u32,
}

impl Share {
    pub fn threads(&self) -> u32 {
        self.points * self.lanes
    }
}

/// Runs of steps that a lane loads before it takes them in.
const AT_ONCE: u32 = 4;

/// A thread's place.
struct Seat {
    lane: V,
    /// Position of its point, at most the last.
    point: V,
    /// Whether there is such a point.
    valid: V,
}

/// Neutral states of all accumulators.
pub fn states(w: &mut Writer, flat: &Flat) -> Result<Vec<State>, PtxError> {
    flat.accs.iter().map(|acc| State::new(w, acc, flat.exprs.dtype(acc.value))).collect()
}

fn seat(w: &mut Writer, flat: &Flat, ix: Ix, share: Share) -> Seat {
    let thread = w.thread();
    let (point, lane) = if share.lanes == 1 {
        let zero = w.m.u32(0);
        (thread, zero)
    } else {
        let by = if share.rows { share.lanes } else { share.points };
        let (high, low) = w.ix_divide(Ix::Narrow, thread, &Dim::constant(i64::from(by)));
        if share.rows { (high, low) } else { (low, high) }
    };
    let cta = w.cta(ix);
    let per_cta = w.ix_const(ix, i64::from(share.points));
    let point = w.ix_from32(ix, point);
    let point = w.ix_mad(ix, cta, per_cta, point);
    let total = flat.points();
    let end = w.size(ix, &total);
    let valid = w.ix_less(ix, point, end);
    let last = w.size(ix, &(&total - &Dim::constant(1)));
    let point = w.ix_min(ix, point, last);
    Seat { lane, point, valid }
}

/// The whole stage; yields the grid. With several parts, states go to the scratch at `offset`.
pub fn emit(
    w: &mut Writer,
    flat: &Flat,
    ix: Ix,
    share: Share,
    places: Vec<Place>,
    sinks: &Sinks<'_>,
) -> Result<[Dim; 3], PtxError> {
    let stage = Stage::new(flat, ix, places);
    let seat = seat(w, flat, ix, share);
    let index = w.unravel(ix, seat.point, &flat.parallel);
    let states = states(w, flat)?;
    if share.lanes == 1 && share.parts == 1 {
        steps_in_order(w, &stage, &index, &states)?;
    } else {
        let part = if share.parts == 1 { w.m.u32(0) } else { w.cta_y() };
        let lanes = w.m.u32(share.lanes);
        let first = w.ix_mad(Ix::Narrow, part, lanes, seat.lane);
        steps_by_lanes(w, &stage, &index, &states, first, share)?;
        combine(w, &states, share, seat.lane)?;
    }
    let zero = w.m.u32(0);
    let leads = w.m.icmp(Relation::Eq, Int::U32, seat.lane, zero);
    let writes = w.m.and(Width::Pred, leads, seat.valid);
    let ctas = blocks(&flat.points(), share.points);
    w.when(writes, |w| {
        if share.parts > 1 {
            let part = w.cta_y();
            return parts::park(w, flat, ix, &states, part, seat.point, share.parts);
        }
        outputs(w, &stage, &index, &states, sinks)
    })?;
    Ok([ctas, Dim::constant(i64::from(share.parts)), Dim::constant(1)])
}

/// Computes and stores the outputs of one point from its states.
pub fn outputs(
    w: &mut Writer,
    stage: &Stage<'_>,
    parallel: &[V],
    states: &[State],
    sinks: &Sinks<'_>,
) -> Result<(), PtxError> {
    let accs = states.iter().map(|s| s.finish(w)).collect::<Result<Vec<_>, _>>()?;
    let mut point = Point::new(stage, with_steps(w, stage, parallel, None));
    point.set_accs(accs);
    crate::points::store(w, stage, &mut [point], parallel, sinks, None)
}

/// Indices of the whole domain: the parallel ones, then these or zeros.
pub fn with_steps(w: &mut Writer, stage: &Stage<'_>, parallel: &[V], steps: Option<&[V]>) -> Vec<V> {
    let zero = w.ix_const(stage.ix, 0);
    let mut index = parallel.to_vec();
    match steps {
        Some(steps) => index.extend(steps),
        None => index.extend(stage.flat.reduce.iter().map(|_| zero)),
    }
    index
}

/// The extents of the reductions at a point: bounds, or sizes taken into them.
fn ends(w: &mut Writer, stage: &Stage<'_>, parallel: &[V]) -> Result<Vec<V>, PtxError> {
    let mut point = Point::new(stage, with_steps(w, stage, parallel, None));
    let mut out = Vec::with_capacity(stage.flat.reduce.len());
    for extent in &stage.flat.reduce {
        let Some(size) = extent.size else {
            out.push(w.size(stage.ix, &extent.bound));
            continue;
        };
        let size = point.value(w, size)?;
        let (zero, bound) = (w.m.i64(0), w.size(Ix::Wide, &extent.bound));
        let size = w.m.int2(IntOp::Max, Int::S64, size, zero);
        let size = w.m.int2(IntOp::Min, Int::S64, size, bound);
        out.push(if stage.ix == Ix::Narrow { w.low(size) } else { size });
    }
    Ok(out)
}

/// Takes in one step.
pub fn take(
    w: &mut Writer,
    stage: &Stage<'_>,
    point: &mut Point<'_, '_>,
    states: &[State],
    guard: Option<V>,
    steps: &[V],
) -> Result<(), PtxError> {
    let bounds: Vec<Dim> = stage.flat.reduce.iter().map(|e| e.bound.clone()).collect();
    for (acc, state) in stage.flat.accs.iter().zip(states) {
        let taken = taken(w, stage, point, acc)?;
        let mut position = |w: &mut Writer| {
            let at = w.ravel(stage.ix, steps, &bounds);
            w.ix_to64(stage.ix, at)
        };
        state.take(w, taken, guard, &mut position)?;
    }
    Ok(())
}

fn taken(w: &mut Writer, stage: &Stage<'_>, point: &mut Point<'_, '_>, acc: &Acc) -> Result<Taken, PtxError> {
    let exprs = &stage.flat.exprs;
    if let Some(Expr::Binary(BinOp::Mul, a, b)) = exprs.get(acc.value)
        && acc.combiner == Combiner::Sum
        && exprs.dtype(acc.value).is_float()
    {
        return Ok(Taken::Product(point.value(w, *a)?, point.value(w, *b)?));
    }
    Ok(Taken::Value(point.value(w, acc.value)?))
}

/// All steps by one thread, in row-major order.
pub fn steps_in_order(w: &mut Writer, stage: &Stage<'_>, parallel: &[V], states: &[State]) -> Result<(), PtxError> {
    let ends = ends(w, stage, parallel)?;
    nested(w, stage, parallel, states, &ends, &mut Vec::new())
}

fn nested(
    w: &mut Writer,
    stage: &Stage<'_>,
    parallel: &[V],
    states: &[State],
    ends: &[V],
    steps: &mut Vec<V>,
) -> Result<(), PtxError> {
    let Some((end, inner)) = ends.split_first() else {
        let index = with_steps(w, stage, parallel, Some(steps));
        let mut point = Point::new(stage, index);
        return take(w, stage, &mut point, states, None, steps);
    };
    let (zero, one) = (w.ix_const(stage.ix, 0), w.ix_const(stage.ix, 1));
    w.count(stage.ix, zero, *end, one, |w, i| {
        steps.push(i);
        let done = nested(w, stage, parallel, states, inner, steps);
        steps.pop();
        done
    })
}

/// Every `lanes * parts`-th run of steps from `first` on.
pub fn steps_by_lanes(
    w: &mut Writer,
    stage: &Stage<'_>,
    parallel: &[V],
    states: &[State],
    first: V,
    share: Share,
) -> Result<(), PtxError> {
    let (ix, flat) = (stage.ix, stage.flat);
    let bounds: Vec<Dim> = flat.reduce.iter().map(|e| e.bound.clone()).collect();
    let runs = in_runs(&bounds, share.vector);
    let sized = flat.reduce.iter().any(|e| e.size.is_some());
    let ends = if sized { ends(w, stage, parallel)? } else { Vec::new() };
    let first = w.ix_from32(ix, first);
    let total = Dim::product(&runs);
    let end = w.size(ix, &total);
    let stride = share.lanes * share.parts;
    let at_once = if sized { 1 } else { AT_ONCE };
    let advance = w.ix_const(ix, i64::from(stride * at_once));
    let whole = total.as_const().is_some_and(|n| n % i64::from(stride * at_once) == 0);
    let last = w.size(ix, &(&total - &Dim::constant(1)));
    w.count(ix, first, end, advance, |w, at| {
        let mut runs_at_once = Vec::with_capacity(at_once as usize);
        for u in 0..at_once {
            let step = w.ix_const(ix, i64::from(u * stride));
            let mut at = w.ix_add(ix, at, step);
            let mut there = None;
            if !whole && u > 0 {
                there = Some(w.ix_less(ix, at, end));
                at = w.ix_min(ix, at, last);
            }
            let start = crate::points::run_start(w, ix, at, &runs, share.vector);
            let index = with_steps(w, stage, parallel, Some(&start));
            let dim = index.len().saturating_sub(1);
            let ahead = Point::new(stage, index.clone()).run_ahead(w, dim, share.vector)?;
            let elements = ahead.into_iter().enumerate();
            runs_at_once.extend(elements.map(|(j, loaded)| (j, loaded, index.clone(), start.clone(), there)));
        }
        for (j, loaded, index, start, there) in runs_at_once {
            let dim = index.len().saturating_sub(1);
            let index = shifted(w, ix, &index, dim, j as i64);
            let steps = shifted(w, ix, &start, start.len().saturating_sub(1), j as i64);
            let mut inside: Option<V> = there;
            for ((step, end), extent) in steps.iter().zip(&ends).zip(&flat.reduce) {
                if extent.size.is_none() {
                    continue;
                }
                let below = w.ix_less(ix, *step, *end);
                inside = Some(match inside {
                    Some(all) => w.m.and(Width::Pred, all, below),
                    None => below,
                });
            }
            let mut point = Point::new(stage, index);
            loaded.into_iter().for_each(|(source, value)| point.preload(source, value));
            take(w, stage, &mut point, states, inside, &steps)?;
        }
        Ok(())
    })
}
