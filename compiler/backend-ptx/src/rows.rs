//! Nests of several stages: a CTA computes all stages of one outer index.
//!
//! Rows that fit the registers of a CTA stay there ([`held`]). Else:
//!
//! What a stage keeps and is the same at every inner index stays in registers of all threads; the rest lies in shared memory
//! if it fits there, else in a slice of the scratch of its own.

mod held;

use graph::dim::{Dim, Pred};
use graph::dtype::DType;
use graph::symbol::Symbols;
use nest::kernel::{Kernel, Nest, Target};
use ptx::Space;
use ptx_expr::{Int, Relation};

use crate::error::PtxError;
use crate::facts::{Limits, all, at_most};
use crate::flat::{Flat, Memory, Merge, Reads, Sink, flatten};
use crate::index::Ix;
use crate::memory::{Region, unpacked_bytes};
use crate::point::{Place, Point, Stage, coarse};
use crate::points::{Sinks, in_runs, run_start, shifted, store};
use crate::reduce::{Share, broadcast, combine, outputs, states, steps_by_lanes, steps_in_order, with_steps};
use crate::schedule::{THREADS, vector_of, vector_of_steps};
use crate::writer::{V, Writer};

pub use held::Held;

/// Kept values, by number: dtype, inner shape, offset in bytes.
#[derive(Clone, Debug)]
pub struct Kept {
    pub dtype: DType,
    pub shape: Vec<Dim>,
    pub offset: Dim,
}

/// A nest of several stages, collapsed.
#[derive(Clone, Debug)]
pub struct Rows {
    pub outer: Vec<Dim>,
    pub stages: Vec<Flat>,
    pub kept: Vec<Kept>,
    /// Bytes of what one outer index keeps.
    pub bytes: Dim,
    /// What is known of kept values.
    pub precision: coarse::Kept,
}

/// One way to run the rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowsVariant {
    pub when: Pred,
    pub wide: bool,
    pub shared: bool,
    /// Points or steps at once, by stage.
    pub vectors: Vec<u32>,
    /// Rows in registers.
    pub held: Option<Held>,
}

impl RowsVariant {
    /// Threads of a CTA.
    pub fn threads(&self) -> u32 {
        self.held.map_or(THREADS, |held| held.threads())
    }
}

/// Collapses every stage.
pub fn rows(kernel: &Kernel, nest: &Nest, symbols: &Symbols) -> Result<Rows, PtxError> {
    let mut kept: Vec<Kept> = Vec::new();
    let mut bytes = Dim::constant(0);
    let mut stages = Vec::new();
    for stage in &nest.stages {
        let known: Vec<(DType, Vec<Dim>)> = kept.iter().map(|k| (k.dtype, k.shape.clone())).collect();
        let reads = Reads { operands: &kernel.operands, kept: &known };
        stages.push(flatten(symbols, &nest.outer, stage, reads, &kernel.results, Merge::Inner)?);
        for out in stage.outs.iter().filter(|o| o.target == Target::Keep) {
            let dtype = stage.exprs.dtype(out.value);
            let count = Dim::product(&stage.inner);
            let offset = bytes.clone();
            let own = &count * &Dim::constant(i64::from(unpacked_bytes(dtype)));
            let whole = &symbols.ceil_div(&own, &Dim::constant(16)) * &Dim::constant(16);
            bytes = &bytes + &whole;
            kept.push(Kept { dtype, shape: stage.inner.clone(), offset });
        }
    }
    let precision = coarse::kept(&stages);
    Ok(Rows { outer: nest.outer.clone(), stages, kept, bytes, precision })
}

/// The ways to run rows; they exclude each other.
pub fn variants(rows: &Rows, symbols: &Symbols, limits: &Limits) -> Vec<RowsVariant> {
    let narrow = all(rows.stages.iter().map(|s| s.fits_narrow(symbols, limits)), symbols);
    let fits = at_most(&rows.bytes, limits.kept);
    let vectors: Vec<(u32, Pred)> = rows.stages.iter().map(|s| vector(s, symbols)).collect();
    let aligned = all(vectors.iter().map(|(_, pred)| pred.clone()), symbols);
    let plain = vec![1; rows.stages.len()];
    let best: Vec<u32> = vectors.iter().map(|(v, _)| *v).collect();
    let held = if limits.kept > 0 { held::ways(rows, symbols) } else { Vec::new() };
    let held = held
        .into_iter()
        .map(|(when, held)| (all([narrow.clone(), when], symbols), false, true, vec![held.vector], Some(held)));
    let mut list: Vec<_> = held.collect();
    if list.is_empty() {
        list.push((all([narrow.clone(), fits.clone(), aligned], symbols), false, true, best, None));
        list.push((all([narrow.clone(), fits], symbols), false, true, plain.clone(), None));
        list.push((narrow, false, false, plain.clone(), None));
    }
    // Registers hold all rows whose addresses fit 32 bits, or none.
    list.push((Pred::Const(true), true, false, plain, None));
    let mut out = Vec::new();
    let mut earlier: Vec<Pred> = Vec::new();
    for (when, wide, shared, vectors, held) in list {
        let own = symbols.prove(&when);
        if own == Some(false) {
            continue;
        }
        let not = earlier.iter().map(|p| Pred::Not(Box::new(p.clone())));
        out.push(RowsVariant { when: all(not.chain([when.clone()]), symbols), wide, shared, vectors, held });
        if own == Some(true) {
            break;
        }
        earlier.push(when);
    }
    out
}

/// Points or steps that a stage takes at once, and when it may.
fn vector(flat: &Flat, symbols: &Symbols) -> (u32, Pred) {
    let none = (1, Pred::Const(true));
    if flat.accs.is_empty() {
        if flat.parallel.len() == flat.outer { none } else { vector_of(flat, symbols).unwrap_or(none) }
    } else if flat.parallel.len() == flat.outer && flat.reduce.iter().all(|e| e.size.is_none()) {
        vector_of_steps(flat, symbols).unwrap_or(none)
    } else {
        none
    }
}

/// Whether a stage has one point per outer index.
fn is_single(flat: &Flat) -> bool {
    flat.parallel.len() == flat.outer
}

/// All stages; yields the number of CTAs.
pub fn emit(
    w: &mut Writer,
    kernel: &Kernel,
    rows: &Rows,
    variant: &RowsVariant,
    results: &[Region],
) -> Result<Dim, PtxError> {
    if let Some(held) = variant.held {
        return held::emit(w, kernel, rows, held, results);
    }
    let ix = Ix::of(variant.wide);
    let total = Dim::product(&rows.outer);
    let cta = w.cta(ix);
    let outer = w.unravel(ix, cta, &rows.outer);
    let storage = storage(w, rows, variant.shared, ix, cta);
    let mut values: Vec<Option<V>> = vec![None; rows.kept.len()];
    for (flat, vector) in rows.stages.iter().zip(&variant.vectors) {
        let places = places(w, kernel, flat, &storage, &values)?;
        let stage = Stage::among(flat, ix, places, &rows.precision);
        let keeps: Vec<usize> = flat
            .outs
            .iter()
            .filter_map(|(_, sink)| match sink {
                Sink::Keep { kept, .. } => Some(*kept),
                Sink::Strided { .. } | Sink::Indexed { .. } => None,
            })
            .collect();
        if is_single(flat) {
            single(w, &stage, &outer, *vector, results, &mut values)?;
            continue;
        }
        let regions: Vec<Option<Region>> = storage.iter().copied().map(Some).collect();
        let sinks = Sinks { results, kept: &regions };
        many(w, &stage, &outer, *vector, &sinks)?;
        if !keeps.is_empty() {
            w.barrier();
        }
    }
    Ok(total)
}

/// Regions of the kept values.
fn storage(w: &mut Writer, rows: &Rows, shared: bool, ix: Ix, cta: V) -> Vec<Region> {
    let base = if rows.kept.is_empty() {
        w.m.u32(0)
    } else if shared {
        w.dynamic_shared(&rows.bytes)
    } else {
        let scratch = w.workspace(&Dim::constant(0));
        let cta = w.ix_to64(ix, cta);
        let bytes = w.size(Ix::Wide, &rows.bytes);
        w.ix_mad(Ix::Wide, cta, bytes, scratch)
    };
    let mut out = Vec::new();
    for kept in &rows.kept {
        let (space, width) = if shared { (Space::Shared, Ix::Narrow) } else { (Space::Global, Ix::Wide) };
        let offset = w.size(width, &kept.offset);
        let base = w.ix_add(width, base, offset);
        out.push(Region { space, base, dtype: kept.dtype, unpacked: true, constant: false, saturate: false });
    }
    out
}

fn places(
    w: &mut Writer,
    kernel: &Kernel,
    flat: &Flat,
    storage: &[Region],
    values: &[Option<V>],
) -> Result<Vec<Place>, PtxError> {
    let mut out = Vec::with_capacity(flat.sources.len());
    for source in &flat.sources {
        out.push(match source.memory {
            Memory::Operand(k) => Place::Region(w.operand(kernel, k)?),
            Memory::Kept(k) => match values.get(k).copied().flatten() {
                Some(value) => Place::Value(value),
                None => {
                    let region = storage.get(k).copied();
                    Place::Region(region.ok_or(PtxError::Malformed("a kept value without storage"))?)
                }
            },
        });
    }
    Ok(out)
}

/// A stage of one point: all threads share its reduction, then all have its outputs.
fn single(
    w: &mut Writer,
    stage: &Stage<'_>,
    outer: &[V],
    vector: u32,
    results: &[Region],
    values: &mut [Option<V>],
) -> Result<(), PtxError> {
    let flat = stage.flat;
    let thread = w.thread();
    let states = states(w, flat)?;
    if !states.is_empty() {
        let share = Share { points: 1, lanes: THREADS, vector, rows: true, parts: 1 };
        steps_by_lanes(w, stage, outer, &states, thread, share)?;
        combine(w, &states, share, thread)?;
        broadcast(w, &states, thread)?;
    }
    let accs = states.iter().map(|s| s.finish(w)).collect::<Result<Vec<_>, _>>()?;
    let mut point = Point::new(stage, with_steps(w, stage, outer, None));
    point.set_accs(accs);
    for (value, sink) in &flat.outs {
        if let Sink::Keep { kept, .. } = sink {
            let value = point.value(w, *value)?;
            if let Some(slot) = values.get_mut(*kept) {
                *slot = Some(value);
            }
        }
    }
    let zero = w.m.u32(0);
    let first = w.m.icmp(Relation::Eq, Int::U32, thread, zero);
    let kept: Vec<Option<Region>> = vec![None; values.len()];
    store(w, stage, &mut [point], outer, &Sinks { results, kept: &kept }, Some(first))
}

/// A stage of many points: threads take them in turn.
fn many(w: &mut Writer, stage: &Stage<'_>, outer: &[V], vector: u32, sinks: &Sinks<'_>) -> Result<(), PtxError> {
    let (ix, flat) = (stage.ix, stage.flat);
    let inner = flat.parallel.get(flat.outer..).unwrap_or_default();
    let runs = in_runs(inner, vector);
    let thread = w.thread();
    let first = w.ix_from32(ix, thread);
    let end = w.size(ix, &Dim::product(&runs));
    let step = w.ix_const(ix, i64::from(THREADS));
    w.count(ix, first, end, step, |w, at| {
        let mut index = outer.to_vec();
        index.extend(run_start(w, ix, at, &runs, vector));
        if !flat.accs.is_empty() {
            let states = states(w, flat)?;
            steps_in_order(w, stage, &index, &states)?;
            return outputs(w, stage, &index, &states, sinks);
        }
        let dim = index.len().saturating_sub(1);
        let ahead = Point::new(stage, index.clone()).run_ahead(w, dim, vector)?;
        let mut points = Vec::with_capacity(vector as usize);
        for (j, loaded) in ahead.into_iter().enumerate() {
            let mut point = Point::new(stage, shifted(w, ix, &index, dim, j as i64));
            loaded.into_iter().for_each(|(source, value)| point.preload(source, value));
            points.push(point);
        }
        store(w, stage, &mut points, &index, sinks, None)
    })
}
