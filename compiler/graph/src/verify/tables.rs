//! V02 to V05: symbols, guards, states, names. V09 of guards, V10.

use std::collections::{BTreeMap, BTreeSet};

use crate::dim::{Atom, Dim, SymId, Term};
use crate::graph::State;
use crate::node::OriginId;
use crate::symbol::SymSource;
use crate::text::dim::print_pred;
use crate::text::lexer::{name_text, quote};
use crate::verify::Rule;
use crate::verify::checker::Checker;

pub(super) fn check(c: &mut Checker<'_>) {
    check_symbols(c);
    check_guard_origins(c);
    check_input_names(c);
    check_states(c);
}

fn check_symbols(c: &mut Checker<'_>) {
    let mut names = BTreeMap::new();
    for (id, symbol) in c.model.symbols.iter() {
        c.path = format!("symbols/{}", id.0);
        let context = name_text(&symbol.name);
        if let Some(first) = names.insert(symbol.name.as_str(), id) {
            let message = format!("symbols {} and {} have the same name", first.0, id.0);
            c.report_with(Rule::SymbolTable, context.clone(), message);
        }
        if let Some(hi) = symbol.hi.filter(|hi| *hi < symbol.lo) {
            c.report_with(Rule::SymbolTable, context, format!("the range {}..={hi} is empty", symbol.lo));
        }
    }
}

/// Reports an origin that is not in the table.
pub(super) fn check_origin(c: &mut Checker<'_>, origin: OriginId) {
    let count = c.model.origins.len();
    if origin.0 as usize >= count {
        c.report(Rule::Origins, format!("origin @{} is not in the table of {count}", origin.0));
    }
}

fn check_guard_origins(c: &mut Checker<'_>) {
    for (index, guard) in c.model.guards.iter().enumerate() {
        c.path = format!("guards/{index}");
        if let Some(origin) = guard.origin {
            check_origin(c, origin);
        }
    }
}

fn check_input_names(c: &mut Checker<'_>) {
    let graph = &c.model.graph;
    let mut seen = BTreeSet::new();
    for (position, input) in graph.inputs.iter().enumerate() {
        let name = graph.value(*input).and_then(|v| v.name.as_deref());
        if let Some(name) = name.filter(|name| !seen.insert(*name)) {
            c.path = format!("graph/inputs/{position}");
            c.report_with(Rule::InputNames, quote(name), "another input has this name".to_string());
        }
    }
}

fn check_states(c: &mut Checker<'_>) {
    let (mut names, mut inputs, mut outputs) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for (index, state) in c.model.states.iter().enumerate() {
        c.path = format!("states/{index}");
        let fresh = [
            ("name", names.insert(&state.name)),
            ("input", inputs.insert(state.input)),
            ("output", outputs.insert(state.output)),
        ];
        for (what, _) in fresh.into_iter().filter(|(_, fresh)| !fresh) {
            c.report_with(Rule::States, quote(&state.name), format!("another state has the same {what}"));
        }
        check_state_types(c, state);
    }
}

fn check_state_types(c: &mut Checker<'_>, state: &State) {
    let graph = &c.model.graph;
    let input = graph.inputs.get(state.input).and_then(|v| graph.value(*v));
    let output = graph.outputs.get(state.output).and_then(|v| graph.value(*v));
    let message = match (input, output) {
        (Some(input), Some(output)) if c.facts.same_type(&input.ty, &output.ty) => return,
        (Some(input), Some(output)) => {
            format!("the input has type {}, the output {}", c.show(&input.ty), c.show(&output.ty))
        }
        (None, _) => format!("there is no input {}", state.input),
        (_, None) => format!("there is no output {}", state.output),
    };
    c.report_with(Rule::States, quote(&state.name), message);
}

/// V09 of guards and V10, once it is known what is bound and read.
pub(super) fn check_symbols_in_use(c: &mut Checker<'_>) {
    c.known.extend(c.bound.keys().copied());
    for (index, guard) in c.model.guards.iter().enumerate() {
        c.path = format!("guards/{index}");
        let mut symbols = BTreeSet::new();
        guard.pred.for_each_symbol(&mut |id| {
            symbols.insert(id);
        });
        for id in symbols {
            c.read.entry(id).or_insert(format!("guards/{index}"));
            if !c.known.contains(&id) {
                let message = format!("symbol {} is neither an input symbol nor bound", c.names.spell(id));
                c.report_with(Rule::SymbolsKnown, print_pred(&guard.pred, &c.names), message);
            }
        }
    }
    let determined = determined(c);
    let missing: Vec<(SymId, String)> = c
        .read
        .iter()
        .filter(|(id, _)| c.model.symbols.get(**id).is_some_and(|s| s.source == SymSource::Input))
        .filter(|(id, _)| !determined.contains(*id))
        .map(|(id, place)| (*id, place.clone()))
        .collect();
    for (id, place) in missing {
        c.path = format!("symbols/{}", id.0);
        let message = format!("no input has an extent that gives this input symbol, which {place} reads");
        c.report_with(Rule::InputSymbols, c.names.spell(id), message);
    }
}

/// Symbols that follow from the extents of the model's inputs.
fn determined(c: &Checker<'_>) -> BTreeSet<SymId> {
    let graph = &c.model.graph;
    let mut extents: Vec<&Dim> = Vec::new();
    for value in graph.inputs.iter().filter_map(|id| graph.value(*id)) {
        value.ty.for_each_dim(&mut |dim| extents.push(dim));
    }
    let mut found = BTreeSet::new();
    loop {
        let before = found.len();
        for extent in &extents {
            found.extend(solved(extent, &found));
        }
        if found.len() == before {
            return found;
        }
    }
}

/// The symbol that an extent gives, if it is the only unknown one and occurs once, times a constant.
fn solved(extent: &Dim, known: &BTreeSet<SymId>) -> Option<SymId> {
    let mut unknown = BTreeSet::new();
    extent.for_each_symbol(&mut |id| {
        if !known.contains(&id) {
            unknown.insert(id);
        }
    });
    let [only] = unknown.into_iter().collect::<Vec<_>>()[..] else { return None };
    let mentions = |term: &&Term| {
        let mut found = false;
        Dim::from_terms(vec![(*term).clone()]).for_each_symbol(&mut |id| found |= id == only);
        found
    };
    let terms: Vec<&Term> = extent.terms().iter().filter(mentions).collect();
    let [term] = terms[..] else { return None };
    (term.factors == [Atom::Sym(only)]).then_some(only)
}
