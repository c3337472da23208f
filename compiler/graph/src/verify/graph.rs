//! V03 and V06 to V13: walks graphs in order, following which values and symbols are there.

use std::collections::BTreeMap;

use crate::dim::SymId;
use crate::dtype::{Class, DType};
use crate::graph::{Graph, Value, ValueId};
use crate::node::{Node, Op};
use crate::symbol::SymSource;
use crate::tensor::element_count;
use crate::text::node::body_words;
use crate::ty::Type;
use crate::verify::checker::Checker;
use crate::verify::nesting::for_each_dim;
use crate::verify::{Rule, bodies, constant, order, point, tables};

pub(super) fn check(c: &mut Checker<'_>) {
    c.path = "graph".to_string();
    check_graph(c, &c.model.graph, false);
}

/// Checks the graph at the current path; `binds` tells whether its border may bind symbols.
fn check_graph<'a>(c: &mut Checker<'a>, graph: &'a Graph, binds: bool) {
    if !binds && !graph.binds.is_empty() {
        c.report(Rule::Binds, "only the border of a loop's body binds symbols".to_string());
    }
    graph.binds.iter().for_each(|id| bind(c, *id));
    let mut defined: BTreeMap<ValueId, String> = BTreeMap::new();
    for (position, id) in graph.inputs.iter().enumerate() {
        define(c, graph, &mut defined, *id, format!("input {position}"));
    }
    for (index, node) in graph.nodes.iter().enumerate() {
        c.at_node(Some((graph, node, index)));
        check_node(c, graph, node, index, &defined);
        for id in &node.results {
            define(c, graph, &mut defined, *id, format!("node {index}"));
        }
        c.at_node(None);
    }
    for id in &graph.outputs {
        read(c, graph, &defined, *id, "an output");
    }
    for (index, value) in graph.values.iter().enumerate() {
        if !defined.contains_key(&ValueId(index as u32)) {
            c.report(Rule::DefinedOnce, format!("value %{index} is neither an input nor a result"));
        }
        check_contents(c, index, value);
    }
}

fn check_node<'a>(
    c: &mut Checker<'a>,
    graph: &'a Graph,
    node: &'a Node,
    index: usize,
    defined: &BTreeMap<ValueId, String>,
) {
    node.origins.iter().for_each(|origin| tables::check_origin(c, *origin));
    node.operands.iter().for_each(|id| read(c, graph, defined, *id, "an operand"));
    for_each_dim(node, &mut |dim| c.read_dim(dim, "the node"));
    check_bodies(c, graph, node, index);
    let may_bind = matches!(node.op, Op::Bind | Op::If(_) | Op::Loop(_) | Op::Host(_));
    if !may_bind && !node.binds.is_empty() {
        c.report(Rule::Binds, format!("a {} binds no symbols", node.op.name()));
    }
    node.binds.iter().for_each(|id| bind(c, *id));
    let ids = node.operands.iter().chain(&node.results);
    ids.filter_map(|id| graph.value(*id).map(|v| (id, &v.ty))).for_each(|(id, ty)| check_placement(c, node, *id, ty));
    check_op(c, graph, node);
}

/// Each node against the documentation of its kind, if all values that it names exist.
fn check_op<'a>(c: &mut Checker<'a>, graph: &'a Graph, node: &'a Node) {
    let (Some(operands), Some(results)) = (c.types(graph, &node.operands), c.types(graph, &node.results)) else {
        return;
    };
    match &node.op {
        Op::Const(constant) => constant::check(c, constant, &operands, &results),
        Op::Compute(compute) => point::check_compute(c, compute, &operands, &results),
        Op::Scatter(scatter) => point::check_scatter(c, scatter, &operands, &results),
        Op::Sort(sort) => order::check_sort(c, sort, &operands, &results),
        Op::Compact(compact) => order::check_compact(c, compact, &operands, &results),
        Op::Prefix(prefix) => order::check_prefix(c, prefix, &operands, &results),
        Op::Scan(scan) => bodies::check_scan(c, scan, &operands, &results),
        Op::If(branch) => bodies::check_if(c, branch, node, &operands, &results),
        Op::Loop(repeat) => bodies::check_loop(c, repeat, node, &operands, &results),
        Op::Bind => order::check_bind(c, node, &operands, &results),
        Op::Host(host) => bodies::check_host(c, host, node, &operands, &results),
        Op::Region(region) => bodies::check_region(c, region, &operands, &results),
    }
}

/// Symbols that a body binds are forgotten after it, except those of a region, which runs exactly once.
fn check_bodies<'a>(c: &mut Checker<'a>, graph: &'a Graph, node: &'a Node, index: usize) {
    let outer = c.path.clone();
    for (body, word) in node.op.bodies().into_iter().zip(body_words(&node.op)) {
        let before = c.known.clone();
        c.path = format!("{outer}/{index}/{word}");
        c.at_node(None);
        check_graph(c, body, matches!(node.op, Op::Loop(_)));
        if !matches!(node.op, Op::Region(_)) {
            c.known = before;
        }
    }
    c.path = outer;
    c.at_node(Some((graph, node, index)));
}

fn bind(c: &mut Checker<'_>, id: SymId) {
    let name = c.names.spell(id);
    match c.model.symbols.get(id) {
        None => c.report(Rule::Binds, format!("symbol {name} is not in the table")),
        Some(symbol) if symbol.source == SymSource::Input => {
            c.report(Rule::Binds, format!("{name} is an input symbol and cannot be bound"));
        }
        Some(_) => {}
    }
    let place = c.place();
    if let Some(first) = c.bound.get(&id).cloned() {
        c.report(Rule::Binds, format!("symbol {name} is bound at {first} already"));
        return;
    }
    c.bound.insert(id, place);
    c.known.insert(id);
}

fn define(c: &mut Checker<'_>, graph: &Graph, defined: &mut BTreeMap<ValueId, String>, id: ValueId, by: String) {
    let Some(value) = graph.value(id) else {
        c.report(Rule::ValuesExist, format!("value %{} does not exist; the graph has {}", id.0, graph.values.len()));
        return;
    };
    if let Some(first) = defined.get(&id) {
        c.report(Rule::DefinedOnce, format!("value %{} is defined by {first} already", id.0));
        return;
    }
    defined.insert(id, by);
    value.ty.for_each_dim(&mut |dim| {
        c.read_dim(dim, &format!("the type of %{}", id.0));
        if c.model.symbols.range(dim).hi < 0 {
            let text = crate::text::dim::print_dim(dim, &c.names);
            c.report(Rule::Types, format!("extent {text} of %{} is negative", id.0));
        }
    });
    check_type(c, id, &value.ty, false);
}

fn read(c: &mut Checker<'_>, graph: &Graph, defined: &BTreeMap<ValueId, String>, id: ValueId, what: &str) {
    if graph.value(id).is_none() {
        let count = graph.values.len();
        c.report(Rule::ValuesExist, format!("value %{}, {what}, does not exist; the graph has {count}", id.0));
    } else if !defined.contains_key(&id) {
        c.report(Rule::DefinedBefore, format!("value %{}, {what}, is not defined before", id.0));
    }
}

fn check_type(c: &mut Checker<'_>, id: ValueId, ty: &Type, inside: bool) {
    match ty {
        Type::Tensor(_) => {}
        Type::Ragged { .. } if inside => {}
        Type::Ragged { .. } => {
            c.report(Rule::Types, format!("%{} is a ragged tensor outside a sequence, optional or map", id.0));
        }
        Type::Seq(inner) | Type::Opt(inner) => check_type(c, id, inner, true),
        Type::Map { key, value } => {
            if !key.is_int() && *key != DType::Str {
                c.report(
                    Rule::Types,
                    format!("%{} is a map with keys of dtype {key}; they are integers or strings", id.0),
                );
            }
            check_type(c, id, value, true);
        }
    }
}

/// Strings and what is not a tensor pass through few kinds of nodes.
fn check_placement(c: &mut Checker<'_>, node: &Node, id: ValueId, ty: &Type) {
    let plain = ty.as_tensor().is_some_and(|t| t.dtype != DType::Str);
    let allowed = match &node.op {
        Op::Host(_) | Op::If(_) | Op::Loop(_) => true,
        Op::Const(_) | Op::Compute(_) => ty.as_tensor().is_some(),
        Op::Scatter(_) | Op::Sort(_) | Op::Compact(_) | Op::Prefix(_) | Op::Scan(_) | Op::Bind | Op::Region(_) => plain,
    };
    if !allowed {
        let message = format!("a {} takes and yields tensors of numbers, %{} is {}", node.op.name(), id.0, c.show(ty));
        c.report(Rule::Types, message);
    }
}

fn check_contents(c: &mut Checker<'_>, index: usize, value: &Value) {
    let Some(contents) = &value.contents else { return };
    contents.iter().for_each(|dim| c.read_dim(dim, &format!("the contents of %{index}")));
    let tensor = value.ty.as_tensor();
    let numbers = tensor.is_some_and(|t| matches!(t.dtype.class(), Class::Signed | Class::Unsigned | Class::Bool));
    let count = tensor.and_then(|t| t.static_shape()).and_then(|shape| element_count(&shape));
    let message = match count {
        _ if !numbers => format!("%{index} of type {} cannot have contents; integers and bools can", c.show(&value.ty)),
        None => format!("%{index} has contents but no static shape"),
        Some(count) if count != contents.len() => {
            format!("%{index} has {count} elements, but contents of {}", contents.len())
        }
        Some(_) => return,
    };
    c.report(Rule::Contents, message);
}
