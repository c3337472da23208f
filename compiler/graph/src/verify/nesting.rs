//! V01, without recursion: everything after it may recurse.

use crate::MAX_NESTING;
use crate::attrs::Attr;
use crate::dim::{Atom, Dim, Pred};
use crate::expr::{Expr, Exprs};
use crate::graph::{Graph, Model};
use crate::node::{Node, Op};
use crate::text::node::body_words;
use crate::ty::Type;
use crate::verify::{Place, Rule, Violation};

enum Item<'a> {
    Graph(&'a Graph, String),
    Type(&'a Type),
    Dim(&'a Dim),
    Pred(&'a Pred),
}

pub(super) fn check(model: &Model) -> Result<(), Vec<Violation>> {
    let mut violations = Vec::new();
    for (index, guard) in model.guards.iter().enumerate() {
        if deepest_within(vec![(Item::Pred(&guard.pred), 1)]).is_none() {
            violations.push(violation(format!("guards/{index}"), "a condition"));
        }
    }
    let mut graphs = vec![(&model.graph, "graph".to_string(), 1)];
    while let Some((graph, path, depth)) = graphs.pop() {
        if depth > MAX_NESTING {
            violations.push(violation(path, "a body"));
            continue;
        }
        match deepest_within(vec![(Item::Graph(graph, path.clone()), depth)]) {
            Some(bodies) => graphs.extend(bodies),
            None => violations.push(violation(path, "a size, condition or type")),
        }
    }
    if violations.is_empty() { Ok(()) } else { Err(violations) }
}

/// Whether a size may be walked by recursion.
pub fn dim_is_shallow(dim: &Dim) -> bool {
    deepest_within(vec![(Item::Dim(dim), 1)]).is_some()
}

/// Whether a condition may be walked by recursion.
pub fn pred_is_shallow(pred: &Pred) -> bool {
    deepest_within(vec![(Item::Pred(pred), 1)]).is_some()
}

/// Whether a type may be walked by recursion.
pub fn type_is_shallow(ty: &Type) -> bool {
    deepest_within(vec![(Item::Type(ty), 1)]).is_some()
}

/// Whether a graph may be walked by recursion.
pub fn graph_is_shallow(graph: &Graph) -> bool {
    let mut graphs = vec![(graph, String::new(), 1)];
    while let Some((graph, path, depth)) = graphs.pop() {
        match deepest_within(vec![(Item::Graph(graph, path), depth)]) {
            Some(bodies) if depth <= MAX_NESTING => graphs.extend(bodies),
            Some(_) | None => return false,
        }
    }
    true
}

fn violation(path: String, what: &str) -> Violation {
    Violation {
        rule: Rule::Nesting,
        place: Place { path, origin: None },
        context: String::new(),
        message: format!("{what} nests more than {MAX_NESTING} deep"),
    }
}

/// The bodies met, to be looked into next; `None` if something nests too deep.
fn deepest_within(mut items: Vec<(Item<'_>, usize)>) -> Option<Vec<(&Graph, String, usize)>> {
    let mut bodies = Vec::new();
    while let Some((item, depth)) = items.pop() {
        if depth > MAX_NESTING {
            return None;
        }
        let inner = depth + 1;
        match item {
            Item::Graph(graph, path) => {
                for value in &graph.values {
                    items.push((Item::Type(&value.ty), inner));
                    items.extend(value.contents.iter().flat_map(|c| c.iter()).map(|d| (Item::Dim(d), inner)));
                }
                for (index, node) in graph.nodes.iter().enumerate() {
                    for_each_dim(node, &mut |dim| items.push((Item::Dim(dim), inner)));
                    for (body, word) in node.op.bodies().into_iter().zip(body_words(&node.op)) {
                        bodies.push((body, format!("{path}/{index}/{word}"), inner));
                    }
                }
            }
            Item::Type(Type::Tensor(t)) => items.extend(t.shape.iter().map(|d| (Item::Dim(d), inner))),
            Item::Type(Type::Seq(ty) | Type::Opt(ty) | Type::Map { value: ty, key: _ }) => {
                items.push((Item::Type(ty), inner));
            }
            Item::Type(Type::Ragged { dtype: _, rank: _ }) | Item::Pred(Pred::Const(_)) => {}
            Item::Dim(dim) => {
                for atom in dim.terms().iter().flat_map(|t| &t.factors) {
                    match atom {
                        Atom::Sym(_) => {}
                        Atom::FloorDiv(a, b)
                        | Atom::CeilDiv(a, b)
                        | Atom::Mod(a, b)
                        | Atom::Min(a, b)
                        | Atom::Max(a, b) => items.extend([(Item::Dim(a), inner), (Item::Dim(b), inner)]),
                        Atom::Select(p, a, b) => {
                            items.extend([(Item::Pred(p), inner), (Item::Dim(a), inner), (Item::Dim(b), inner)]);
                        }
                    }
                }
            }
            Item::Pred(Pred::Eq(a, b) | Pred::Le(a, b) | Pred::Divides(a, b)) => {
                items.extend([(Item::Dim(a), inner), (Item::Dim(b), inner)]);
            }
            Item::Pred(Pred::Not(p)) => items.push((Item::Pred(p), inner)),
            Item::Pred(Pred::And(ps) | Pred::Or(ps)) => items.extend(ps.iter().map(|p| (Item::Pred(p), inner))),
        }
    }
    Some(bodies)
}

/// Calls `visit` for every size that a node's operation mentions itself (not its bodies, operands or results).
pub fn for_each_dim<'a>(node: &'a Node, visit: &mut dyn FnMut(&'a Dim)) {
    let in_exprs = |exprs: &'a Exprs, visit: &mut dyn FnMut(&'a Dim)| {
        exprs.iter().for_each(|(_, expr)| {
            if let Expr::Dim(dim) = expr {
                visit(dim);
            }
        });
    };
    match &node.op {
        Op::Const(_) | Op::Prefix(_) | Op::Bind | Op::If(_) | Op::Loop(_) => {}
        Op::Compute(c) => {
            c.shape.iter().for_each(&mut *visit);
            c.reduce.iter().for_each(|extent| visit(&extent.bound));
            in_exprs(&c.exprs, visit);
        }
        Op::Scatter(s) => {
            s.domain.iter().for_each(&mut *visit);
            in_exprs(&s.exprs, visit);
        }
        Op::Sort(s) => s.limit.iter().for_each(visit),
        Op::Compact(c) => visit(&c.bound),
        Op::Scan(s) => visit(&s.trip),
        Op::Host(crate::node::Host { attrs, op: _ }) | Op::Region(crate::node::Region { attrs, kind: _, body: _ }) => {
            attrs.0.values().for_each(|attr| {
                if let Attr::Dims(dims) = attr {
                    dims.iter().for_each(&mut *visit);
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Guard;
    use crate::node::Region;
    use crate::region::KINDS;
    use crate::ty::TensorType;

    fn check(model: &Model, expected: &[&str]) {
        let found = crate::verify::model(model).err().unwrap_or_default();
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found, expected);
    }

    fn deep_dim(levels: usize) -> Dim {
        (1..levels).fold(Dim::constant(1), |d, _| Dim::atom(Atom::Min(Box::new(d), Box::new(Dim::constant(2)))))
    }

    fn deep_graph(levels: usize) -> Graph {
        (1..levels).fold(Graph::default(), |body, _| {
            let region = Region { kind: KINDS[0], attrs: Default::default(), body: Box::new(body) };
            let mut graph = Graph::default();
            graph.nodes.push(Node {
                op: Op::Region(region),
                operands: Vec::new(),
                results: Vec::new(),
                binds: Vec::new(),
                origins: Vec::new(),
            });
            graph
        })
    }

    fn model_of(graph: Graph) -> Model {
        Model { graph, ..Model::default() }
    }

    #[test]
    fn bodies_nest_to_the_limit() {
        check(&model_of(deep_graph(MAX_NESTING)), &[]);
        let path = "graph".to_string() + &"/0/body".repeat(MAX_NESTING);
        check(&model_of(deep_graph(MAX_NESTING + 1)), &[&format!("V01 {path}: a body nests more than 128 deep")]);
    }

    #[test]
    fn sizes_and_types_nest_to_the_limit() {
        let with_input = |ty: Type| {
            let mut graph = Graph::default();
            let id = graph.add_value(ty, None);
            graph.inputs.push(id);
            model_of(graph)
        };
        // The graph and the type take a level each.
        let sized =
            |levels| Type::Tensor(TensorType { dtype: crate::dtype::DType::F32, shape: vec![deep_dim(levels)] });
        check(&with_input(sized(MAX_NESTING - 2)), &[]);
        check(&with_input(sized(MAX_NESTING - 1)), &["V01 graph: a size, condition or type nests more than 128 deep"]);
        let nested =
            |levels| (0..levels).fold(Type::tensor(crate::dtype::DType::F32, []), |ty, _| Type::Seq(Box::new(ty)));
        check(&with_input(nested(MAX_NESTING - 2)), &[]);
        check(&with_input(nested(MAX_NESTING - 1)), &["V01 graph: a size, condition or type nests more than 128 deep"]);
    }

    #[test]
    fn what_passes_prints_and_parses() {
        for model in [model_of(deep_graph(MAX_NESTING))] {
            let text = crate::text::print(&model);
            assert_eq!(crate::text::parse(&text, &crate::text::Registry::default()), Ok(model));
        }
    }

    #[test]
    fn guards_nest_to_the_limit() {
        let mut model = Model::default();
        let pred = (0..2000).fold(Pred::Const(true), |p, _| Pred::Not(Box::new(p)));
        model.guards.push(Guard { pred, origin: None, what: String::new() });
        check(&model, &["V01 guards/0: a condition nests more than 128 deep"]);
    }
}
