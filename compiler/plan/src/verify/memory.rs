//! P08 and P09: the arena.

use std::collections::{BTreeMap, BTreeSet};

use graph::dim::{Dim, Pred};
use graph::eval::Bindings;
use graph::symbol::SymSource;

use crate::plan::{Action, Block, Buffer, BufferId, Place, Plan};
use crate::verify::Rule;
use crate::verify::checker::Checker;
use crate::verify::effects::Effects;
use crate::verify::nesting::blocks_of;
use crate::verify::samples::Samples;
use crate::verify::view::shown;

const ALIGNMENT: i64 = 64;

pub(super) fn check<C>(c: &mut Checker<'_, C>) {
    let plan = c.plan;
    let samples = Samples::of_inputs(&plan.symbols, &plan.guards);
    c.path = "arena".to_string();
    expect_inputs_only(c, "the size", &plan.arena);
    for (index, buffer) in plan.buffers.iter().enumerate() {
        if let Place::Arena { offset } = &buffer.place {
            c.path = format!("buffers/{index}");
            check_place(c, buffer, offset, &samples);
        }
    }
    check_lifetimes(c, &samples);
    c.path = String::new();
}

fn expect_inputs_only<C>(c: &mut Checker<'_, C>, what: &str, dim: &Dim) {
    let symbols = &c.plan.symbols;
    let mut late = BTreeSet::new();
    dim.for_each_symbol(&mut |id| {
        if symbols.get(id).is_none_or(|s| s.source != SymSource::Input) {
            late.insert(id);
        }
    });
    for id in late {
        c.report(Rule::Arena, format!("{what} depends on {}, which is no input symbol", c.spell(id)));
    }
}

fn check_place<C>(c: &mut Checker<'_, C>, buffer: &Buffer, offset: &Dim, samples: &Samples) {
    expect_inputs_only(c, "the offset", offset);
    expect_inputs_only(c, "the number of elements", &buffer.elements);
    let symbols = &c.plan.symbols;
    let aligned = symbols.prove(&Pred::Divides(Dim::constant(ALIGNMENT), offset.clone())) == Some(true);
    for sample in &samples.0 {
        let Some((start, end)) = span(buffer, sample) else { continue };
        let Some(arena) = sample.dim(&c.plan.arena) else { continue };
        if !aligned && start % i128::from(ALIGNMENT) != 0 {
            let message = format!("offset {start} is not a multiple of {ALIGNMENT}{}", shown(c, sample));
            return c.report(Rule::Arena, message);
        }
        if start < 0 || end > i128::from(arena) {
            let message = format!("bytes {start}..{end} of an arena of {arena}{}", shown(c, sample));
            return c.report(Rule::Arena, message);
        }
    }
}

/// First byte and the one after the last.
fn span(buffer: &Buffer, sample: &Bindings) -> Option<(i128, i128)> {
    let Place::Arena { offset } = &buffer.place else { return None };
    let start = i128::from(sample.dim(offset)?);
    let bits = i128::from(sample.dim(&buffer.elements)?).max(0) * i128::from(buffer.dtype.bits());
    Some((start, start + (bits + 7) / 8))
}

/// For every buffer, the others that share bytes with it at some assignment.
pub(super) fn sharing<C>(plan: &Plan<C>) -> BTreeMap<BufferId, BTreeSet<BufferId>> {
    let samples = Samples::of_inputs(&plan.symbols, &plan.guards);
    let mut out: BTreeMap<BufferId, BTreeSet<BufferId>> = BTreeMap::new();
    for sample in &samples.0 {
        let mut spans: Vec<(i128, i128, BufferId)> = Vec::new();
        for (index, buffer) in plan.buffers.iter().enumerate() {
            if let Some((start, end)) = span(buffer, sample).filter(|(start, end)| start < end) {
                spans.push((start, end, BufferId(index as u32)));
            }
        }
        spans.sort_unstable();
        for (i, (_, end, a)) in spans.iter().enumerate() {
            for (_, _, b) in spans.iter().skip(i + 1).take_while(|(start, _, _)| start < end) {
                out.entry(*a).or_default().insert(*b);
                out.entry(*b).or_default().insert(*a);
            }
        }
    }
    out
}

fn check_lifetimes<C>(c: &mut Checker<'_, C>, samples: &Samples) {
    let live = live_ranges(c.plan);
    for (a, others) in sharing(c.plan) {
        for b in others.into_iter().filter(|b| *b > a) {
            let (Some(x), Some(y)) = (live.get(&a), live.get(&b)) else { continue };
            if x.0 <= y.1 && y.0 <= x.1 {
                c.path = format!("buffers/{}", a.0);
                let spans = samples.0.iter().find_map(|sample| {
                    let (x, y) = (span(c.buffer(a)?, sample)?, span(c.buffer(b)?, sample)?);
                    (x.0 < y.1 && y.0 < x.1).then(|| (x, y, shown(c, sample)))
                });
                let Some((x, y, shown)) = spans else { continue };
                let message = format!(
                    "bytes {}..{} meet {}..{} of buffer ^{}, which is live at the same time{shown}",
                    x.0, x.1, y.0, y.1, b.0
                );
                c.report(Rule::Lifetimes, message);
            }
        }
    }
}

/// First and last moment at which each buffer is needed.
fn live_ranges<C>(plan: &Plan<C>) -> BTreeMap<BufferId, (usize, usize)> {
    let mut moments = Moments::default();
    moments.block(plan, &plan.body);
    let mut out = BTreeMap::new();
    for (buffer, touched) in &moments.touched {
        let (Some(mut first), Some(mut last)) = (touched.first().copied(), touched.last().copied()) else { continue };
        for (start, end) in &moments.loops {
            let inside = touched.range(start..=end).count();
            // What a loop shares with the outside is needed in every iteration.
            if inside > 0 && inside < touched.len() {
                (first, last) = (first.min(*start), last.max(*end));
            }
        }
        out.insert(*buffer, (first, last));
    }
    out
}

#[derive(Default)]
struct Moments {
    now: usize,
    touched: BTreeMap<BufferId, BTreeSet<usize>>,
    loops: Vec<(usize, usize)>,
}

impl Moments {
    fn touch(&mut self, buffers: impl IntoIterator<Item = BufferId>) {
        for buffer in buffers {
            self.touched.entry(buffer).or_default().insert(self.now);
        }
    }

    fn block<C>(&mut self, plan: &Plan<C>, block: &Block) {
        for step in &block.steps {
            self.now += 1;
            let start = self.now;
            let effects = Effects::own(plan, &step.action);
            match &step.action {
                // Conditions are read before every iteration, values are carried after it.
                Action::Loop(inner) => {
                    self.touch(inner.limit.iter().chain(&inner.condition).map(|v| v.buffer));
                    self.block(plan, &inner.body);
                    self.now += 1;
                    self.touch(effects.reads.into_iter().chain(effects.writes));
                    self.loops.push((start, self.now));
                }
                Action::Launch(_)
                | Action::Copy { .. }
                | Action::Clear { .. }
                | Action::Host(_)
                | Action::ReadBack { .. }
                | Action::Let { .. }
                | Action::Check { .. }
                | Action::If(_) => {
                    self.touch(effects.reads.into_iter().chain(effects.writes));
                    blocks_of(&step.action).into_iter().for_each(|(_, inner)| self.block(plan, inner));
                }
            }
        }
    }
}
