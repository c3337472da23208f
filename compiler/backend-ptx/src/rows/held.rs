//! Rows whose elements stay in registers: some lanes share a row, load it once, and keep what later stages read.
//!
//! ```text
//! row of 3000 elements, vector 4, 256 lanes:    lane l has runs l, l + 256, l + 512 of 4 elements; the last turn is partly idle
//! thread = row * lanes + lane                   up to 32 lanes: several rows a CTA, combined by shuffles alone
//! ```
//!
//! Every stage has one point, or walks the positions of the row, over one dim or several; what it keeps there is read at the same position. A run beyond the end
//! of the row is taken as the last one, and neither combined nor stored; so is a row beyond the last.

use std::collections::BTreeMap;

use graph::dim::{Dim, Pred};
use graph::symbol::Symbols;
use nest::layout::Access;
use ptx_expr::{Int, Relation};

use crate::error::PtxError;
use crate::facts::{Along, access_width, all, along};
use crate::flat::{Flat, Memory, Sink, Way};
use crate::index::Ix;
use crate::memory::Region;
use crate::point::{Point, Stage};
use crate::points::{Sinks, blocks, in_runs, run_start, shifted, store};
use crate::reduce::{combine_all, states, take, with_steps};
use crate::rows::{Rows, places};
use crate::writer::{V, Writer};

/// Elements of a row that a CTA can hold.
const MOST: i64 = 32 << 10;
/// Lanes of a row at most.
const LANES: i64 = 1024;
/// Elements of a lane, where rows are not long.
const PER_LANE: i64 = 16;
/// Threads of a CTA of several rows.
const THREADS: u32 = 128;

/// How lanes share a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    pub elements: i64,
    pub vector: u32,
    pub lanes: u32,
    pub turns: u32,
}

impl Held {
    fn new(elements: i64, vector: u32, bits: u32) -> Held {
        let runs = elements / i64::from(vector);
        // Lanes beside each other read at least 64 bytes, where the row has so many; single elements come in lines that stay cached.
        let least = if vector == 1 { 8 } else { (512 / i64::from(vector * bits.max(8))).clamp(1, 32) };
        let per_lane = if vector == 1 && elements < 512 { PER_LANE / 2 } else { PER_LANE };
        let wanted = (elements + per_lane - 1) / per_lane;
        let wanted = if wanted > 32 && wanted <= 64 { 32 } else { wanted };
        let lanes = wanted.clamp(least, LANES).min(runs).cast_unsigned().next_power_of_two();
        let turns = runs.cast_unsigned().div_ceil(lanes);
        Held { elements, vector, lanes: lanes as u32, turns: turns as u32 }
    }

    pub fn threads(&self) -> u32 {
        self.lanes.max(THREADS)
    }

    fn rows(&self) -> u32 {
        self.threads() / self.lanes
    }

    fn runs(&self) -> u32 {
        (self.elements / i64::from(self.vector)) as u32
    }
}

/// The ways to hold the rows, with the sizes that they are for; the last is for all sizes. None, if a stage is of another kind.
pub fn ways(rows: &Rows, symbols: &Symbols) -> Vec<(Pred, Held)> {
    let Some(extents) = extents(rows) else { return Vec::new() };
    let (elements, last) = (extents.iter().product(), extents.last().copied().unwrap_or(1));
    let bits = rows.stages.iter().flat_map(|s| s.views().map(|v| v.dtype.bits()).chain(s.stores().map(|(_, b)| b)));
    let bits = bits.filter(|b| *b >= 8).min().unwrap_or(32);
    let mut out = Vec::new();
    let mut vector = (128 / bits).clamp(1, 8);
    while vector > 1 {
        let fits = if last % i64::from(vector) == 0 { fits(rows, vector, symbols) } else { Pred::Const(false) };
        match symbols.prove(&fits) {
            Some(false) => vector /= 2,
            Some(true) => {
                out.push((fits, Held::new(elements, vector, bits)));
                return out;
            }
            None => {
                out.push((fits, Held::new(elements, vector, bits)));
                break;
            }
        }
    }
    out.push((Pred::Const(true), Held::new(elements, 1, bits)));
    out
}

/// The dims that a stage walks for each row.
fn walked(flat: &Flat) -> Vec<Dim> {
    let inner = flat.parallel.get(flat.outer..).unwrap_or_default();
    inner.iter().chain(flat.reduce.iter().map(|e| &e.bound)).cloned().collect()
}

/// Extents of a row, where all stages are of the kinds that can be held.
fn extents(rows: &Rows) -> Option<Vec<i64>> {
    let mut found: Option<Vec<i64>> = None;
    for flat in &rows.stages {
        let (spread, reduces) = (flat.parallel.len() > flat.outer, !flat.accs.is_empty());
        if spread && reduces || flat.reduce.is_empty() == reduces || flat.reduce.iter().any(|e| e.size.is_some()) {
            return None;
        }
        if spread || reduces {
            let extents: Vec<i64> = walked(flat).iter().map(Dim::as_const).collect::<Option<_>>()?;
            let elements = extents.iter().try_fold(1i64, |product, e| product.checked_mul(*e))?;
            if !(1..=MOST).contains(&elements) || *found.get_or_insert_with(|| extents.clone()) != extents {
                return None;
            }
        }
        let packed = |bits: u32| bits < 8;
        if flat.sources.iter().any(|s| packed(s.dtype.bits())) || flat.stores().any(|(_, bits)| packed(bits)) {
            return None;
        }
        if flat.sources.iter().any(|s| matches!(s.memory, Memory::Kept(_)) && !is_own_position(flat, &s.way)) {
            return None;
        }
    }
    found
}

/// Whether a kept value is read at the position that it was kept for.
fn is_own_position(flat: &Flat, way: &Way) -> bool {
    let Way::View { map, checks, .. } = way else { return false };
    let plain = checks.is_empty() && map.terms.is_empty() && map.access.offset.is(0);
    let (outer, position) = map.access.strides.split_at(flat.outer.min(map.access.strides.len()));
    let dense = Access::dense(&walked(flat)).strides;
    let own = position.iter().all(|s| s.is(0)) || position.iter().zip(&dense).all(|(s, own)| s == own);
    plain && outer.iter().all(|s| s.is(0)) && own
}

/// Whether runs of so many elements are aligned in all that lies along the row.
fn fits(rows: &Rows, vector: u32, symbols: &Symbols) -> Pred {
    let mut preds = Vec::new();
    for flat in rows.stages.iter().filter(|s| s.parallel.len() > s.outer || !s.accs.is_empty()) {
        let dim = (flat.outer + walked(flat).len()).saturating_sub(1);
        for source in flat.sources.iter().filter(|s| matches!(s.memory, Memory::Operand(_))) {
            let Way::View { map, varies, .. } = &source.way else { continue };
            if along(&map.access, dim) == Along::Next && !varies.get(dim).copied().unwrap_or(false) {
                let width = access_width(source.dtype.bits(), vector);
                let terms = map.terms.iter().map(|(c, _)| Pred::Divides(Dim::constant(i64::from(width)), c.clone()));
                preds.extend(terms);
                preds.push(crate::facts::aligned(&map.access, dim, width, symbols));
            }
        }
        for (_, sink) in &flat.outs {
            if let Sink::Strided { access, dtype, .. } = sink
                && flat.parallel.len() > flat.outer
            {
                if along(access, dim) != Along::Next {
                    return Pred::Const(false);
                }
                preds.push(crate::facts::aligned(access, dim, access_width(dtype.bits(), vector), symbols));
            }
        }
    }
    all(preds, symbols)
}

/// What a source reads at a position of the row: equal keys read equal elements.
type Key = (Memory, Dim, Vec<Dim>);

/// Values of the positions of a lane: by turn, then by element of the run.
type Lane = Vec<Vec<V>>;

/// What a lane holds.
#[derive(Default)]
struct Values {
    loaded: BTreeMap<Key, Lane>,
    kept: BTreeMap<usize, Lane>,
    /// Kept values of the row.
    single: Vec<Option<V>>,
}

/// A lane's place.
struct Seat {
    lane: V,
    outer: Vec<V>,
    /// Whether there is such a row.
    valid: V,
    /// Whether the lane is the first of an actual row.
    leads: V,
}

/// All stages; yields the number of CTAs.
pub fn emit(
    w: &mut Writer,
    kernel: &nest::kernel::Kernel,
    rows: &Rows,
    held: Held,
    results: &[Region],
) -> Result<Dim, PtxError> {
    let ix = Ix::Narrow;
    if w.sm() == ptx::Sm::Sm120a && held.threads() == THREADS && held.turns * held.vector > 16 {
        // For this architecture `ptxas` keeps to 56 registers and spills; with 5 CTAs there are 96.
        w.b().min_ctas(5);
    }
    let total = Dim::product(&rows.outer);
    let seat = seat(w, rows, held, &total);
    let mut values = Values { single: vec![None; rows.kept.len()], ..Values::default() };
    // Kept values of positions are in registers, so that no place is read.
    let none = Region {
        space: ptx::Space::Shared,
        base: w.m.u32(0),
        dtype: graph::dtype::DType::F32,
        unpacked: true,
        constant: false,
        saturate: false,
    };
    let storage = vec![none; rows.kept.len()];
    for flat in &rows.stages {
        let places = places(w, kernel, flat, &storage, &values.single)?;
        let stage = Stage::among(flat, ix, places, &rows.precision);
        if flat.parallel.len() > flat.outer {
            spread(w, &stage, held, &seat, results, &mut values)?;
        } else {
            single(w, &stage, held, &seat, results, &mut values)?;
        }
    }
    Ok(blocks(&total, held.rows()))
}

fn seat(w: &mut Writer, rows: &Rows, held: Held, total: &Dim) -> Seat {
    let ix = Ix::Narrow;
    let (thread, cta) = (w.thread(), w.cta(ix));
    let (row, lane) = if held.rows() == 1 {
        (cta, thread)
    } else {
        let (row, lane) = w.ix_divide(ix, thread, &Dim::constant(i64::from(held.lanes)));
        let per_cta = w.m.u32(held.rows());
        (w.ix_mad(ix, cta, per_cta, row), lane)
    };
    let (valid, row) = if held.rows() == 1 {
        (w.m.bool(true), row)
    } else {
        let end = w.size(ix, total);
        let last = w.size(ix, &(total - &Dim::constant(1)));
        (w.ix_less(ix, row, end), w.ix_min(ix, row, last))
    };
    let outer = w.unravel(ix, row, &rows.outer);
    let zero = w.m.u32(0);
    let first = w.m.icmp(Relation::Eq, Int::U32, lane, zero);
    let leads = w.both(first, valid);
    Seat { lane, outer, valid, leads }
}

/// One turn of a lane: where its run begins, and whether the row has it (`None`: it does).
struct Turn {
    index: Vec<V>,
    inside: Option<V>,
    /// Values that are there before they are asked for, by element of the run.
    ahead: Vec<Vec<(u32, V)>>,
}

/// The turns of a lane, their elements loaded.
fn turns(
    w: &mut Writer,
    stage: &Stage<'_>,
    held: Held,
    seat: &Seat,
    values: &mut Values,
) -> Result<Vec<Turn>, PtxError> {
    let ix = stage.ix;
    let mut out = Vec::new();
    for turn in 0..held.turns {
        let step = w.m.u32(turn * held.lanes);
        let mut run = w.ix_add(ix, seat.lane, step);
        let mut inside = None;
        if (turn + 1) * held.lanes > held.runs() {
            let (end, last) = (w.m.u32(held.runs()), w.m.u32(held.runs() - 1));
            inside = Some(w.ix_less(ix, run, end));
            run = w.ix_min(ix, run, last);
        }
        let mut index = seat.outer.clone();
        index.extend(run_start(w, ix, run, &in_runs(&walked(stage.flat), held.vector), held.vector));
        let ahead = ahead(w, stage, held, turn as usize, &index, values)?;
        out.push(Turn { index, inside, ahead });
    }
    Ok(out)
}

/// What the lane has, or loads, for a turn.
fn ahead(
    w: &mut Writer,
    stage: &Stage<'_>,
    held: Held,
    turn: usize,
    index: &[V],
    values: &mut Values,
) -> Result<Vec<Vec<(u32, V)>>, PtxError> {
    let dim = index.len().saturating_sub(1);
    let mut point = Point::new(stage, index.to_vec());
    let mut out = vec![Vec::new(); held.vector as usize];
    for (k, source) in stage.flat.sources.iter().enumerate() {
        let known = match (source.memory, key(source.memory, &source.way)) {
            (Memory::Kept(kept), _) => values.kept.get(&kept).and_then(|lane| lane.get(turn)),
            (Memory::Operand(_), Some(key)) => values.loaded.get(&key).and_then(|lane| lane.get(turn)),
            (Memory::Operand(_), None) => None,
        };
        let Some(known) = known else { continue };
        for (element, value) in out.iter_mut().zip(known) {
            point.preload(k as u32, *value);
            element.push((k as u32, *value));
        }
    }
    let fresh = point.run_ahead(w, dim, held.vector)?;
    for (element, new) in fresh.into_iter().enumerate() {
        for (k, value) in new {
            let source = stage.flat.source(k).ok_or(PtxError::Malformed("no such source"))?;
            if let Some(key) = key(source.memory, &source.way) {
                let lane = values.loaded.entry(key).or_insert_with(|| vec![Vec::new(); held.turns as usize]);
                if let Some(slot) = lane.get_mut(turn) {
                    slot.push(value);
                }
            }
            if let Some(slot) = out.get_mut(element) {
                slot.push((k, value));
            }
        }
    }
    Ok(out)
}

/// What an operand is read by, if that is strides alone.
fn key(memory: Memory, way: &Way) -> Option<Key> {
    match way {
        Way::View { map, checks, .. } if map.terms.is_empty() && checks.is_empty() => {
            Some((memory, map.access.offset.clone(), map.access.strides.clone()))
        }
        Way::View { .. } | Way::Indexed { .. } => None,
    }
}

/// The points of a run.
fn run<'s, 'a>(w: &mut Writer, stage: &'s Stage<'a>, turn: &Turn) -> Vec<Point<'s, 'a>> {
    let dim = turn.index.len().saturating_sub(1);
    let mut out = Vec::with_capacity(turn.ahead.len());
    for (j, loaded) in turn.ahead.iter().enumerate() {
        let mut point = Point::new(stage, shifted(w, stage.ix, &turn.index, dim, j as i64));
        loaded.iter().for_each(|(source, value)| point.preload(*source, *value));
        out.push(point);
    }
    out
}

/// A stage of one point: all lanes combine what they have, then all know its outputs.
fn single(
    w: &mut Writer,
    stage: &Stage<'_>,
    held: Held,
    seat: &Seat,
    results: &[Region],
    values: &mut Values,
) -> Result<(), PtxError> {
    let flat = stage.flat;
    let states = states(w, flat)?;
    if !states.is_empty() {
        for turn in turns(w, stage, held, seat, values)? {
            let start = turn.index.get(flat.outer..).ok_or(PtxError::Malformed("a row without positions"))?;
            for (j, mut point) in run(w, stage, &turn).into_iter().enumerate() {
                let steps = shifted(w, stage.ix, start, start.len().saturating_sub(1), j as i64);
                take(w, stage, &mut point, &states, turn.inside, &steps)?;
            }
        }
        for state in &states {
            combine_all(w, state, held.lanes)?;
        }
    }
    let accs = states.iter().map(|s| s.finish(w)).collect::<Result<Vec<_>, _>>()?;
    let mut point = Point::new(stage, with_steps(w, stage, &seat.outer, None));
    point.set_accs(accs);
    for (value, sink) in &flat.outs {
        if let Sink::Keep { kept, .. } = sink {
            let value = point.value(w, *value)?;
            if let Some(slot) = values.single.get_mut(*kept) {
                *slot = Some(value);
            }
        }
    }
    let kept: Vec<Option<Region>> = vec![None; values.single.len()];
    store(w, stage, &mut [point], &seat.outer, &Sinks { results, kept: &kept }, Some(seat.leads))
}

/// A stage of all positions.
fn spread(
    w: &mut Writer,
    stage: &Stage<'_>,
    held: Held,
    seat: &Seat,
    results: &[Region],
    values: &mut Values,
) -> Result<(), PtxError> {
    let none: Vec<Option<Region>> = vec![None; values.single.len()];
    for turn in turns(w, stage, held, seat, values)? {
        let mut points = run(w, stage, &turn);
        for (value, sink) in &stage.flat.outs {
            if let Sink::Keep { kept, .. } = sink {
                let own = points.iter_mut().map(|p| p.value(w, *value)).collect::<Result<Vec<_>, _>>()?;
                values.kept.entry(*kept).or_default().push(own);
            }
        }
        let guard = match turn.inside {
            Some(inside) => w.both(inside, seat.valid),
            None => seat.valid,
        };
        store(w, stage, &mut points, &turn.index, &Sinks { results, kept: &none }, Some(guard))?;
    }
    Ok(())
}
