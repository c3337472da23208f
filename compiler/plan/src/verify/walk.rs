//! P21 to P25: follows every path through the blocks, with what is known, checked and written on it.

use std::collections::BTreeSet;

use graph::dim::{Dim, SymId};
use graph::symbol::SymSource;

use crate::plan::{Action, Block, BufferId, HostCall, IfStep, LoopStep, Place};
use crate::verify::Rule;
use crate::verify::checker::Checker;
use crate::verify::effects::Effects;
use crate::verify::samples::Samples;
use crate::verify::{call, tables};

/// What is so on the path that leads here.
#[derive(Clone)]
struct Path {
    known: BTreeSet<SymId>,
    /// Known symbols that a loop gives other values in every iteration.
    varying: BTreeSet<SymId>,
    /// Guards that were checked, whatever way led here.
    checked: BTreeSet<usize>,
    /// Guards that were checked on some way.
    perhaps_checked: BTreeSet<usize>,
    written: BTreeSet<BufferId>,
    samples: Samples,
}

pub(super) fn check<C>(c: &mut Checker<'_, C>) {
    let plan = c.plan;
    let inputs = plan.symbols.iter().filter(|(_, s)| s.source == SymSource::Input);
    let given = plan.buffers.iter().enumerate().filter(|(_, b)| match b.place {
        Place::Weight(_) | Place::Input(_) | Place::State(_) => true,
        Place::Arena { .. } | Place::Output(_) | Place::Growable | Place::Object(_) => false,
    });
    let mut path = Path {
        known: inputs.map(|(id, _)| id).collect(),
        varying: BTreeSet::new(),
        checked: BTreeSet::new(),
        perhaps_checked: BTreeSet::new(),
        written: given.map(|(index, _)| BufferId(index as u32)).collect(),
        samples: Samples::of_inputs(&plan.symbols, &plan.guards),
    };
    c.path = "body".to_string();
    check_block(c, &plan.body, &mut path);
    check_guards(c, &path, None);
    for (k, output) in plan.outputs.iter().enumerate() {
        if c.buffer(output.view.buffer).is_some() && !path.written.contains(&output.view.buffer) {
            c.path = format!("outputs/{k}");
            c.report(Rule::Outputs, format!("buffer ^{} is not written on every path", output.view.buffer.0));
        }
    }
}

fn check_block<'a, C>(c: &mut Checker<'a, C>, block: &'a Block, path: &mut Path) {
    for (index, step) in block.steps.iter().enumerate() {
        c.at_step(Some((index, step)));
        step.origins.iter().for_each(|origin| tables::check_origin(c, *origin));
        check_step(c, &step.action, path);
    }
    c.at_step(None);
}

fn check_step<'a, C>(c: &mut Checker<'a, C>, action: &'a Action, path: &mut Path) {
    match action {
        Action::Loop(inner) => check_loop(c, action, inner, path),
        Action::If(inner) => check_if(c, action, inner, path),
        Action::Launch(_)
        | Action::Copy { .. }
        | Action::Clear { .. }
        | Action::Host(_)
        | Action::ReadBack { .. }
        | Action::Let { .. }
        | Action::Check { .. } => check_plain(c, action, path),
    }
}

fn check_plain<C>(c: &mut Checker<'_, C>, action: &Action, path: &mut Path) {
    let effects = Effects::own(c.plan, action);
    read_symbols(c, path, &effects, action);
    read_buffers(c, path, &effects);
    let before = path.samples.clone();
    match action {
        Action::Host(HostCall { binds, .. }) => {
            binds.iter().for_each(|id| {
                define(c, path, *id);
                path.samples.choose(*id, &c.plan.symbols);
            });
        }
        Action::ReadBack { reads } => {
            for (_, symbol) in reads {
                define(c, path, *symbol);
                path.samples.choose(*symbol, &c.plan.symbols);
            }
        }
        Action::Let { symbol, value } => {
            define(c, path, *symbol);
            path.samples.define(*symbol, value);
        }
        Action::Check { guard } => {
            if path.perhaps_checked.contains(guard) {
                c.report(Rule::Guards, format!("guard {guard} was checked before"));
            }
            path.checked.insert(*guard);
            path.perhaps_checked.insert(*guard);
            if let Some(guard) = c.plan.guards.get(*guard) {
                path.samples.assume(guard);
            }
        }
        Action::Launch(_) | Action::Copy { .. } | Action::Clear { .. } | Action::Loop(_) | Action::If(_) => {}
    }
    call::check(c, action, &before, &path.samples);
    // Zeros are no value: a buffer that is only cleared is not written.
    if !matches!(action, Action::Clear { .. }) {
        path.written.extend(effects.writes);
    }
}

/// Symbols that an action mentions are known. Extents of a host call's results may be those that it defines.
fn read_symbols<C>(c: &mut Checker<'_, C>, path: &Path, effects: &Effects, action: &Action) {
    let own: &[SymId] = match action {
        Action::Host(call) => &call.binds,
        _ => &[],
    };
    let unknown = effects.mentions.iter().filter(|id| !path.known.contains(id) && !own.contains(id));
    unknown.for_each(|id| c.report(Rule::SymbolsKnown, format!("{} is not known here", c.spell(*id))));
}

fn read_size<C>(c: &mut Checker<'_, C>, path: &Path, dim: &Dim) {
    let mut unknown = BTreeSet::new();
    dim.for_each_symbol(&mut |id| {
        if !path.known.contains(&id) {
            unknown.insert(id);
        }
    });
    unknown.into_iter().for_each(|id| c.report(Rule::SymbolsKnown, format!("{} is not known here", c.spell(id))));
}

fn read_buffers<C>(c: &mut Checker<'_, C>, path: &Path, effects: &Effects) {
    for id in effects.reads.iter().filter(|id| !path.written.contains(id)) {
        read_unwritten(c, *id);
    }
}

fn read_unwritten<C>(c: &mut Checker<'_, C>, id: BufferId) {
    if c.buffer(id).is_some() {
        c.report(Rule::WrittenBefore, format!("buffer ^{} is not written on every path that leads here", id.0));
    }
}

fn define<C>(c: &mut Checker<'_, C>, path: &mut Path, id: SymId) {
    if c.plan.symbols.get(id).is_none() {
        c.report(Rule::SymbolsKnown, format!("{} is not in the table", c.spell(id)));
    }
    if !path.known.insert(id) {
        c.report(Rule::DefinedOnce, format!("{} has a value already", c.spell(id)));
    }
}

/// P25 at the end of a path: guards over known symbols were checked, but for those that can be checked further on.
fn check_guards<C>(c: &mut Checker<'_, C>, path: &Path, later: Option<&BTreeSet<SymId>>) {
    for (index, guard) in c.plan.guards.iter().enumerate() {
        let mut symbols = BTreeSet::new();
        guard.pred.for_each_symbol(&mut |id| {
            symbols.insert(id);
        });
        let ready = symbols.is_subset(&path.known) && symbols.is_disjoint(&path.varying);
        let postponed = later.is_some_and(|later| symbols.is_subset(later));
        if ready && !postponed && !path.checked.contains(&index) {
            let text = c.show_pred(&guard.pred);
            c.report(Rule::Guards, format!("guard {index}, {text}, is not checked on every path"));
        }
    }
}

fn check_if<'a, C>(c: &mut Checker<'a, C>, action: &'a Action, inner: &'a IfStep, path: &mut Path) {
    let effects = Effects::own(c.plan, action);
    read_symbols(c, path, &effects, action);
    read_buffers(c, path, &effects);
    call::check(c, action, &path.samples, &path.samples);
    let (mut then_path, mut else_path) = (path.clone(), path.clone());
    c.inside("then", |c| check_block(c, &inner.then_block, &mut then_path));
    c.inside("else", |c| check_block(c, &inner.else_block, &mut else_path));
    let known: BTreeSet<SymId> = then_path.known.intersection(&else_path.known).copied().collect();
    // What is known on both ways can still be checked after them.
    c.inside("then", |c| check_guards(c, &then_path, Some(&known)));
    c.inside("else", |c| check_guards(c, &else_path, Some(&known)));
    path.checked = then_path.checked.intersection(&else_path.checked).copied().collect();
    path.perhaps_checked = then_path.perhaps_checked.union(&else_path.perhaps_checked).copied().collect();
    path.written = then_path.written.intersection(&else_path.written).copied().collect();
    path.samples = then_path.samples.join(else_path.samples);
    path.known = known;
}

fn check_loop<'a, C>(c: &mut Checker<'a, C>, action: &'a Action, inner: &'a LoopStep, path: &mut Path) {
    let plan = c.plan;
    inner.trip.iter().for_each(|d| read_size(c, path, d));
    inner.first.iter().for_each(|(_, d)| read_size(c, path, d));
    for v in inner.limit.iter().chain(&inner.condition) {
        if !path.written.contains(&v.buffer) {
            read_unwritten(c, v.buffer);
        }
    }
    call::check(c, action, &path.samples, &path.samples);
    let mut body = path.clone();
    let varying: BTreeSet<SymId> = inner.first.iter().map(|(id, _)| *id).chain([inner.counter]).collect();
    body.samples = path.samples.iterate(inner.counter, inner.trip.as_ref());
    define(c, &mut body, inner.counter);
    let first: Vec<Samples> = inner
        .first
        .iter()
        .map(|(id, value)| {
            define(c, &mut body, *id);
            let mut samples = body.samples.clone();
            samples.define(*id, value);
            samples
        })
        .collect();
    for ((id, _), samples) in inner.first.iter().zip(first) {
        for (to, from) in body.samples.0.iter_mut().zip(&samples.0) {
            from.get(*id).into_iter().for_each(|value| to.set(*id, value));
        }
    }
    for moved in &inner.carry {
        if !path.written.contains(&moved.to.buffer) {
            read_unwritten(c, moved.to.buffer);
        }
    }
    c.inside("body", |c| {
        check_block(c, &inner.body, &mut body);
        inner.next.iter().for_each(|(_, d)| read_size(c, &body, d));
        for moved in &inner.carry {
            for v in [&moved.from, &moved.to] {
                v.shape.iter().chain(&v.access.strides).chain([&v.access.offset]).for_each(|d| read_size(c, &body, d));
            }
            if !body.written.contains(&moved.from.buffer) {
                read_unwritten(c, moved.from.buffer);
            }
        }
        call::check_carry(c, inner, &body.samples);
        // A guard over symbols of the body has no other place.
        check_guards(c, &Path { varying: path.varying.clone(), ..body.clone() }, Some(&path.known));
    });
    path.known.extend(inner.first.iter().map(|(id, _)| *id));
    path.varying.extend(varying);
    path.perhaps_checked.extend(body.perhaps_checked);
    path.written.extend(body.written);
    for (id, _) in &inner.first {
        path.samples.choose(*id, &plan.symbols);
    }
    if let Some(count) = inner.count {
        define(c, path, count);
        match &inner.trip {
            Some(trip) if inner.limit.is_none() && inner.condition.is_none() => path.samples.define(count, trip),
            Some(_) | None => path.samples.choose(count, &plan.symbols),
        }
    }
}
