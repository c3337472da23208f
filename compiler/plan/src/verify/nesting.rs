//! P01, without recursion: everything after it may recurse.

use graph::MAX_NESTING;
use graph::dim::Dim;
use graph::ty::Type;
use graph::verify::nesting::{dim_is_shallow, graph_is_shallow, pred_is_shallow, type_is_shallow};

use crate::plan::{Action, Block, Condition, Place, Plan, Source, View};
use crate::verify::Rule;
use crate::verify::checker::Checker;

pub(super) fn check<C>(c: &mut Checker<'_, C>) -> bool {
    let plan = c.plan;
    let mut deep = Vec::new();
    for (index, guard) in plan.guards.iter().enumerate() {
        if !pred_is_shallow(&guard.pred) {
            deep.push((format!("guards/{index}"), "a condition"));
        }
    }
    check_tables(plan, &mut deep);
    let mut blocks = vec![(&plan.body, "body".to_string(), 1)];
    while let Some((block, path, depth)) = blocks.pop() {
        if depth > MAX_NESTING {
            deep.push((path, "a block"));
            continue;
        }
        for (index, step) in block.steps.iter().enumerate() {
            let path = format!("{path}/{index}");
            if !action_is_shallow(&step.action) {
                deep.push((path.clone(), "a size, type or graph"));
            }
            for (word, inner) in blocks_of(&step.action) {
                blocks.push((inner, format!("{path}/{word}"), depth + 1));
            }
        }
    }
    let good = deep.is_empty();
    for (path, what) in deep {
        c.path = path;
        c.report(Rule::Nesting, format!("{what} nests more than {MAX_NESTING} deep"));
    }
    good
}

/// The blocks inside an action.
pub(super) fn blocks_of(action: &Action) -> Vec<(&'static str, &Block)> {
    match action {
        Action::Loop(inner) => vec![("body", &inner.body)],
        Action::If(inner) => vec![("then", &inner.then_block), ("else", &inner.else_block)],
        Action::Launch(_)
        | Action::Copy { .. }
        | Action::Clear { .. }
        | Action::Host(_)
        | Action::ReadBack { .. }
        | Action::Let { .. }
        | Action::Check { .. } => Vec::new(),
    }
}

fn check_tables<C>(plan: &Plan<C>, deep: &mut Vec<(String, &'static str)>) {
    for (index, buffer) in plan.buffers.iter().enumerate() {
        let place = match &buffer.place {
            Place::Arena { offset } => dim_is_shallow(offset),
            Place::Object(ty) => type_is_shallow(ty),
            Place::Weight(_) | Place::Input(_) | Place::Output(_) | Place::State(_) | Place::Growable => true,
        };
        if !place || !dim_is_shallow(&buffer.elements) {
            deep.push((format!("buffers/{index}"), "a size or type"));
        }
    }
    for (word, borders) in [("inputs", &plan.inputs), ("outputs", &plan.outputs)] {
        for (index, border) in borders.iter().enumerate() {
            if !type_is_shallow(&border.ty) || !view_is_shallow(&border.view) {
                deep.push((format!("{word}/{index}"), "a size or type"));
            }
        }
    }
    for (index, weight) in plan.weights.iter().enumerate() {
        if let Source::Derived { graph, inputs: _ } = &weight.source
            && !graph_is_shallow(graph)
        {
            deep.push((format!("weights/{index}"), "a graph"));
        }
    }
    if !dim_is_shallow(&plan.arena) {
        deep.push(("arena".to_string(), "a size"));
    }
}

fn view_is_shallow(view: &View) -> bool {
    view.shape.iter().chain(&view.access.strides).chain([&view.access.offset]).all(dim_is_shallow)
}

/// Whether what an action mentions, but for blocks inside, nests within the limit.
fn action_is_shallow(action: &Action) -> bool {
    let views = |views: &[View]| views.iter().all(view_is_shallow);
    match action {
        Action::Launch(launch) => {
            views(&launch.reads)
                && views(&launch.writes)
                && launch.workspace.iter().all(view_is_shallow)
                && launch.sizes.iter().all(dim_is_shallow)
                && launch.meaning.iter().all(|graph| graph_is_shallow(graph))
        }
        Action::Copy { from, to } => view_is_shallow(from) && view_is_shallow(to),
        Action::Clear { buffer: _ } | Action::Check { guard: _ } => true,
        Action::Host(call) => {
            let attrs = call.attrs.0.values().all(|attr| match attr {
                graph::attrs::Attr::Dims(dims) => dims.iter().all(dim_is_shallow),
                _ => true,
            });
            attrs && views(&call.operands) && views(&call.results) && call.result_types.iter().all(type_is_shallow)
        }
        Action::ReadBack { reads } => reads.iter().all(|(from, _)| view_is_shallow(from)),
        Action::Let { symbol: _, value } => dim_is_shallow(value),
        Action::Loop(inner) => {
            let sizes = inner.first.iter().chain(&inner.next).map(|(_, d)| d).chain(&inner.trip).all(dim_is_shallow);
            let scalars = inner.limit.iter().chain(&inner.condition).all(view_is_shallow);
            sizes && scalars && inner.carry.iter().all(|m| view_is_shallow(&m.from) && view_is_shallow(&m.to))
        }
        Action::If(inner) => match &inner.condition {
            Condition::Value(view) => view_is_shallow(view),
            Condition::Size(size) => dim_is_shallow(size),
        },
    }
}

/// Calls `visit` for every symbol of a type.
pub(super) fn type_symbols(ty: &Type, visit: &mut dyn FnMut(graph::dim::SymId)) {
    ty.for_each_dim(&mut |dim: &Dim| dim.for_each_symbol(visit));
}
