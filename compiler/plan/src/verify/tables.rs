//! P02 to P04, P06, P07: symbols, origins, states, weights, places and borders.

use std::collections::BTreeSet;

use graph::dim::Dim;
use graph::dtype::DType;
use graph::graph::{Graph, Model};
use graph::node::OriginId;
use graph::tensor::Tensor;
use graph::ty::Type;
use nest::layout::Access;

use crate::plan::{Border, Place, Source, Weight};
use crate::verify::Rule;
use crate::verify::checker::Checker;

pub(super) fn check<C>(c: &mut Checker<'_, C>) {
    check_symbols(c);
    check_guard_origins(c);
    check_states(c);
    check_weights(c);
    check_places(c);
    check_borders(c);
    c.path = String::new();
}

fn check_symbols<C>(c: &mut Checker<'_, C>) {
    let plan = c.plan;
    let mut names = BTreeSet::new();
    for (id, symbol) in plan.symbols.iter() {
        c.path = format!("symbols/{}", id.0);
        if !names.insert(&symbol.name) {
            c.report(Rule::SymbolTable, format!("another symbol is named {}", symbol.name));
        }
        if let Some(hi) = symbol.hi.filter(|hi| *hi < symbol.lo) {
            c.report(Rule::SymbolTable, format!("the range {}..={hi} is empty", symbol.lo));
        }
    }
}

/// Reports an origin that is not in the table.
pub(super) fn check_origin<C>(c: &mut Checker<'_, C>, origin: OriginId) {
    let count = c.plan.origins.len();
    if origin.0 as usize >= count {
        c.report(Rule::Origins, format!("origin @{} is not in the table of {count}", origin.0));
    }
}

fn check_guard_origins<C>(c: &mut Checker<'_, C>) {
    for (index, guard) in c.plan.guards.iter().enumerate() {
        c.path = format!("guards/{index}");
        guard.origin.iter().for_each(|origin| check_origin(c, *origin));
    }
}

fn check_states<C>(c: &mut Checker<'_, C>) {
    let plan = c.plan;
    let (mut inputs, mut outputs) = (BTreeSet::new(), BTreeSet::new());
    for (index, state) in plan.states.iter().enumerate() {
        c.path = format!("states/{index}");
        for (what, fresh) in [("input", inputs.insert(state.input)), ("output", outputs.insert(state.output))] {
            if !fresh {
                c.report(Rule::States, format!("another state has the same {what}"));
            }
        }
        match (plan.inputs.get(state.input), plan.outputs.get(state.output)) {
            (Some(input), Some(output)) if alike(&input.ty, &output.ty) => {}
            (Some(_), Some(_)) => c.report(Rule::States, "input and output have unequal types".to_string()),
            (None, _) => c.report(Rule::States, format!("there is no input {}", state.input)),
            (_, None) => c.report(Rule::States, format!("there is no output {}", state.output)),
        }
    }
}

/// Whether two types may be the same: sizes with symbols may always be.
pub(super) fn alike(a: &Type, b: &Type) -> bool {
    match (a.as_tensor(), b.as_tensor()) {
        (Some(a), Some(b)) => {
            let same = |(a, b): (&Dim, &Dim)| a.as_const().zip(b.as_const()).is_none_or(|(a, b)| a == b);
            a.dtype == b.dtype && a.rank() == b.rank() && a.shape.iter().zip(&b.shape).all(same)
        }
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

fn check_weights<C>(c: &mut Checker<'_, C>) {
    for (index, weight) in c.plan.weights.iter().enumerate() {
        c.path = format!("weights/{index}");
        match &weight.source {
            Source::Constant(tensor) => {
                if tensor.dtype() != weight.dtype || tensor.shape() != weight.shape {
                    let found = format!("{}{:?}", tensor.dtype(), tensor.shape());
                    c.report(Rule::Weights, format!("the constant is {found}, not {}{:?}", weight.dtype, weight.shape));
                }
            }
            Source::Derived { graph, inputs } => check_derived(c, weight, graph, inputs),
        }
    }
}

fn check_derived<C>(c: &mut Checker<'_, C>, weight: &Weight, graph: &Graph, inputs: &[Tensor]) {
    let model = Model { graph: graph.clone(), ..Model::default() };
    for violation in graph::verify::model(&model).err().unwrap_or_default() {
        c.report(Rule::Weights, format!("the graph breaks {violation}"));
    }
    if !c.expect_count(Rule::Weights, "inputs", graph.inputs.len(), inputs.len()) {
        return;
    }
    let typed = |dtype, shape: &[usize]| Type::tensor(dtype, shape.iter().map(|d| Dim::from(*d)).collect::<Vec<_>>());
    for (k, (input, tensor)) in graph.inputs.iter().zip(inputs).enumerate() {
        if graph.value(*input).map(|v| &v.ty) != Some(&typed(tensor.dtype(), tensor.shape())) {
            c.report(Rule::Weights, format!("input {k} has another type than the constant"));
        }
    }
    let output = graph.outputs.first().and_then(|o| graph.value(*o)).map(|v| &v.ty);
    if output != Some(&typed(weight.dtype, &weight.shape)) {
        c.report(Rule::Weights, "the graph's first output has another type than the weight".to_string());
    }
}

fn check_places<C>(c: &mut Checker<'_, C>) {
    let plan = c.plan;
    for (index, buffer) in plan.buffers.iter().enumerate() {
        c.path = format!("buffers/{index}");
        let exists = |c: &mut Checker<'_, C>, what: &str, k: usize, count: usize| {
            if k >= count {
                c.report(Rule::Places, format!("there is no {what} {k}"));
            }
        };
        match &buffer.place {
            Place::Weight(k) => match plan.weights.get(*k) {
                None => exists(c, "weight", *k, plan.weights.len()),
                Some(weight) => {
                    let count = weight.shape.iter().fold(Dim::constant(1), |n, d| &n * &Dim::from(*d));
                    if buffer.dtype != weight.dtype || buffer.elements != count {
                        c.report(Rule::Places, format!("weight {k} has another dtype or another number of elements"));
                    }
                }
            },
            Place::Input(k) => exists(c, "input", *k, plan.inputs.len()),
            Place::Output(k) => exists(c, "output", *k, plan.outputs.len()),
            Place::State(k) => exists(c, "state", *k, plan.states.len()),
            Place::Object(_) if buffer.dtype != DType::Str => {
                c.report(Rule::Places, format!("an object of dtype {}", buffer.dtype));
            }
            Place::Arena { offset: _ } if buffer.dtype == DType::Str => {
                c.report(Rule::Places, "strings in the arena".to_string());
            }
            Place::Object(_) | Place::Arena { offset: _ } | Place::Growable => {}
        }
    }
}

fn check_borders<C>(c: &mut Checker<'_, C>) {
    let plan = c.plan;
    for (k, border) in plan.inputs.iter().enumerate() {
        c.path = format!("inputs/{k}");
        let state = plan.states.iter().position(|s| s.input == k);
        check_border(c, border, &state.map_or(Place::Input(k), Place::State));
    }
    for (k, border) in plan.outputs.iter().enumerate() {
        c.path = format!("outputs/{k}");
        check_border(c, border, &Place::Output(k));
    }
}

fn check_border<C>(c: &mut Checker<'_, C>, border: &Border, place: &Place) {
    let Some(buffer) = c.buffer(border.view.buffer) else {
        return c.report(Rule::Named, format!("buffer ^{} does not exist", border.view.buffer.0));
    };
    if buffer.place != *place {
        c.report(Rule::Places, format!("buffer ^{} is not the place of this border", border.view.buffer.0));
    }
    if border.view.access != Access::dense(&border.view.shape) {
        c.report(Rule::Places, "a border is not dense".to_string());
    }
    let (dtype, shape) = match border.ty.as_tensor() {
        Some(tensor) => (tensor.dtype, tensor.shape.as_slice()),
        None => (DType::Str, border.view.shape.as_slice()),
    };
    if dtype != DType::Str && buffer.elements != Dim::product(shape) {
        let (found, id) = (c.show(&buffer.elements), border.view.buffer.0);
        c.report(Rule::Places, format!("buffer ^{id} has {found} elements, not as many as the border"));
    }
    if buffer.dtype != dtype || border.view.shape != shape {
        c.report(Rule::Places, "the view has another dtype or shape than the border".to_string());
    }
}
