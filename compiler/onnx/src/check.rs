//! What can be said about a model before any operator code runs: names, operators, arity, attributes, initializers.
//!
//! Nodes that fail are remembered, so that the import skips them and what depends on them and still finds the rest.

use std::collections::BTreeSet;

use crate::attrs;
use crate::functions::{Function, Functions, about};
use crate::names::{self, Opsets, domain, node_name};
use crate::operator::{Arity, AttrKind, Operator};
use crate::ops;
use crate::problem::{Code, Fault, NodePlace, Problem, Problems};
use crate::proto::{AttributeProto, FunctionProto, GraphProto, NodeProto};
use crate::tensor::{Source, decode, decode_sparse};

/// Operators that newer operator sets no longer have: domain, name, first version without it.
const REMOVED: [(&str, &str, i64); 4] = [
    ("", "Upsample", 10),
    ("", "Scatter", 11),
    ("ai.onnx.ml", "TreeEnsembleClassifier", 5),
    ("ai.onnx.ml", "TreeEnsembleRegressor", 5),
];

/// Problems gathered so far, and where they are.
#[derive(Default)]
pub struct Report {
    pub file: Option<String>,
    pub problems: Problems,
    pub warnings: Vec<Problem>,
}

impl Report {
    /// Adds a problem.
    pub fn push(&mut self, node: Option<NodePlace>, fault: Fault) {
        self.problems.push(Problem { file: self.file.clone(), node, fault });
    }

    /// Adds a remark that stops nothing.
    pub fn warn(&mut self, fault: Fault) {
        self.warnings.push(Problem { file: self.file.clone(), node: None, fault });
    }
}

/// The place of a node.
pub fn place(path: &str, node: &NodeProto, index: usize, opsets: &Opsets) -> NodePlace {
    let domain = domain(node.domain());
    NodePlace {
        name: node_name(path, node, index),
        operator: node.op_type().to_string(),
        domain: domain.to_string(),
        opset: opsets.get(domain).copied(),
    }
}

/// Whether an operator set has an operator, and if not, what is expected.
pub fn version_fault(op: &Operator, opset: Option<i64>) -> Option<Fault> {
    let first = op.versions.first().copied().unwrap_or(1);
    let removed = REMOVED.iter().find(|(d, n, _)| (*d, *n) == (op.domain, op.name)).map(|(_, _, v)| *v);
    let Some(version) = opset else {
        let domain = if op.domain.is_empty() { "ai.onnx" } else { op.domain };
        return Some(Fault::new(Code::Opset, format!("an import of operator set {domain}"), "none"));
    };
    match removed {
        _ if version < first => {
            Some(Fault::new(Code::OperatorVersion, format!("operator set {first} or newer"), version.to_string()))
        }
        Some(removed) if version >= removed => {
            let expected = format!("operator set {} or older", removed - 1);
            Some(Fault::new(Code::OperatorVersion, expected, version.to_string()))
        }
        Some(_) | None => None,
    }
}

/// Names visible in a graph: its own and those around it.
struct Visible<'a, 'm> {
    own: BTreeSet<&'m str>,
    around: Option<&'a Visible<'a, 'm>>,
}

impl Visible<'_, '_> {
    fn contains(&self, name: &str) -> bool {
        self.own.contains(name) || self.around.is_some_and(|a| a.contains(name))
    }
}

/// What surrounds a graph under check.
#[derive(Clone, Copy)]
struct Around<'a> {
    path: &'a str,
    opsets: &'a Opsets,
    /// The function whose attributes may be referred to.
    function: Option<&'a FunctionProto>,
}

/// Checks a model's graph and functions.
pub struct Checker<'c, 'm> {
    pub functions: &'c Functions<'m>,
    pub source: Source<'c>,
    pub report: &'c mut Report,
    /// Nodes that must not be imported, by address.
    pub failed: BTreeSet<*const NodeProto>,
}

impl<'m> Checker<'_, 'm> {
    /// Checks the nodes of the model's graph, its bodies and all functions. The graph's own initializers are the
    /// importer's.
    pub fn model(&mut self, graph: &'m GraphProto, opsets: &Opsets) {
        self.graph(graph, &Around { path: "", opsets, function: None }, None);
        let functions = self.functions;
        for function in functions.iter() {
            self.function(function);
        }
    }

    fn function(&mut self, function: &Function<'m>) {
        let proto = function.proto;
        let path = format!("{}/", proto.name());
        let mut own: BTreeSet<&str> = BTreeSet::new();
        for input in &proto.input {
            if !own.insert(input) {
                let found = format!("{input:?} twice");
                self.report
                    .push(None, Fault::new(Code::Function, "inputs with different names", found).about(about(proto)));
            }
        }
        let around = Around { path: &path, opsets: &function.opsets, function: Some(proto) };
        let outputs = proto.output.iter().map(String::as_str);
        self.nodes(&proto.node, own, outputs, &around, None);
    }

    fn graph(&mut self, graph: &'m GraphProto, around: &Around<'_>, outer: Option<&Visible<'_, 'm>>) {
        let mut own: BTreeSet<&str> = BTreeSet::new();
        let inputs: Vec<&str> = graph.input.iter().map(|i| i.name()).collect();
        for name in &inputs {
            self.define(&mut own, name, "graph input", around);
        }
        let mut constants: BTreeSet<&str> = BTreeSet::new();
        for name in names::initializer_names(graph) {
            self.define(&mut constants, name, "initializer", around);
        }
        own.extend(constants);
        if !around.path.is_empty() {
            self.initializers(graph, around);
        }
        let outputs = graph.output.iter().map(|o| o.name());
        self.nodes(&graph.node, own, outputs, around, outer);
    }

    /// Decodes the initializers of a body, for what may be wrong with them.
    fn initializers(&mut self, graph: &GraphProto, around: &Around<'_>) {
        for proto in &graph.initializer {
            if let Err(fault) = decode(proto, &mut self.source) {
                self.report
                    .push(None, fault.about(format!("initializer {:?}", format!("{}{}", around.path, proto.name()))));
            }
        }
        for proto in &graph.sparse_initializer {
            if let Err(fault) = decode_sparse(proto, &mut self.source) {
                let name = proto.values.as_ref().map_or("", |v| v.name());
                self.report
                    .push(None, fault.about(format!("sparse initializer {:?}", format!("{}{name}", around.path))));
            }
        }
    }

    fn define(&mut self, own: &mut BTreeSet<&'m str>, name: &'m str, what: &str, around: &Around<'_>) {
        let fault = if name.is_empty() {
            Fault::new(Code::Undefined, "a name", "none")
        } else if !own.insert(name) {
            Fault::new(Code::DefinedTwice, "one definition", "two")
        } else {
            return;
        };
        self.report.push(None, fault.about(format!("{what} {:?}", format!("{}{name}", around.path))));
    }

    fn nodes<'o>(
        &mut self,
        nodes: &'m [NodeProto],
        mut own: BTreeSet<&'m str>,
        outputs: impl Iterator<Item = &'o str>,
        around: &Around<'_>,
        outer: Option<&Visible<'_, 'm>>,
    ) {
        for (index, node) in nodes.iter().enumerate() {
            for output in node.output.iter().filter(|o| !o.is_empty()) {
                if !own.insert(output) {
                    let fault =
                        Fault::new(Code::DefinedTwice, "one definition", "two").about(format!("value {output:?}"));
                    self.fail(node, index, around, fault);
                }
            }
        }
        self.order(nodes, around);
        let visible = Visible { own, around: outer };
        for (index, node) in nodes.iter().enumerate() {
            let mut missing = BTreeSet::new();
            for input in node.input.iter().filter(|i| !i.is_empty()) {
                if !visible.contains(input) && missing.insert(input) {
                    let fault = Fault::new(Code::Undefined, "a defined name", format!("{input:?}")).about("input");
                    self.fail(node, index, around, fault);
                }
            }
            self.node(node, index, around);
            let path = node_name(around.path, node, index);
            for (attr, body) in names::bodies(node) {
                let path = format!("{path}/{}/", attr.name());
                self.graph(body, &Around { path: &path, ..*around }, Some(&visible));
            }
        }
        for output in outputs.filter(|o| !visible.contains(o)) {
            let name = format!("{}{output}", around.path);
            self.report.push(None, Fault::new(Code::NoOutput, "a defined name", format!("{name:?}")).about("output"));
        }
    }

    fn order(&mut self, nodes: &'m [NodeProto], around: &Around<'_>) {
        let order = names::order(nodes);
        if let Some(first) = order.stuck.first() {
            let circle = names::circle(nodes, &order.stuck);
            let name = |i: &usize| nodes.get(*i).map(|n| node_name(around.path, n, *i)).unwrap_or_default();
            let mut names: Vec<String> = circle.iter().map(name).collect();
            names.truncate(8);
            let at = circle.first().unwrap_or(first);
            if let Some(node) = nodes.get(*at) {
                let fault = Fault::new(Code::Cycle, "nodes that do not depend on themselves", names.join(" -> "));
                self.fail(node, *at, around, fault);
            }
            self.failed.extend(order.stuck.iter().filter_map(|i| nodes.get(*i)).map(|n| n as *const NodeProto));
        } else if order.sorted.windows(2).any(|w| w[0] > w[1]) {
            let what = if around.path.is_empty() { "graph" } else { around.path };
            self.report.warn(Fault::new(Code::Unsorted, "sorted nodes", "others; they are sorted here").about(what));
        }
    }

    fn node(&mut self, node: &'m NodeProto, index: usize, around: &Around<'_>) {
        let mut faults = Vec::new();
        if let Some(function) = self.functions.callee(node) {
            check_call(node, function.proto, around, &mut faults);
        } else if let Some(op) = ops::find(node.domain(), node.op_type()) {
            let opset = around.opsets.get(op.domain).copied();
            faults.extend(version_fault(op, opset));
            check_arity(node, op, &mut faults);
            self.check_attrs(node, op, around, &mut faults);
        } else {
            faults.push(Fault::new(Code::UnknownOperator, "a supported operator", format!("{:?}", node.op_type())));
        }
        faults.into_iter().for_each(|fault| self.fail(node, index, around, fault));
    }

    fn check_attrs(&mut self, node: &'m NodeProto, op: &Operator, around: &Around<'_>, faults: &mut Vec<Fault>) {
        let mut seen = BTreeSet::new();
        for attr in &node.attribute {
            let about = format!("attribute `{}`", attr.name());
            if !seen.insert(attr.name()) {
                faults.push(Fault::new(Code::DefinedTwice, "each attribute once", "two").about(about));
                continue;
            }
            let Some(spec) = op.attrs.iter().find(|s| s.name == attr.name()) else {
                let known: Vec<&str> = op.attrs.iter().map(|s| s.name).collect();
                let expected =
                    if known.is_empty() { "no attribute".to_string() } else { format!("one of {}", known.join(", ")) };
                faults.push(Fault::new(Code::UnknownAttr, expected, format!("`{}`", attr.name())));
                continue;
            };
            match attr_kind(attr, around) {
                Err(fault) => faults.push(fault),
                Ok(Some(kind)) if kind != spec.kind => {
                    let (expected, found) = (attrs::kind_name(spec.kind), attrs::kind_name(kind));
                    faults.push(Fault::new(Code::AttrType, expected, found).about(about));
                }
                Ok(Some(AttrKind::Graph)) | Ok(None) => {}
                Ok(Some(kind)) => faults.extend(attrs::value(attr, kind, &mut self.source).err()),
            }
        }
        for spec in op.attrs.iter().filter(|s| s.required && !seen.contains(s.name)) {
            faults.push(missing_attr(spec.name, spec.kind));
        }
    }

    fn fail(&mut self, node: &'m NodeProto, index: usize, around: &Around<'_>, fault: Fault) {
        self.failed.insert(node);
        self.report.push(Some(place(around.path, node, index, around.opsets)), fault);
    }
}

/// A required attribute that is not there.
pub fn missing_attr(name: &str, kind: AttrKind) -> Fault {
    Fault::new(Code::MissingAttr, attrs::kind_name(kind), "nothing").about(format!("attribute `{name}`"))
}

/// The type of an attribute; none for a reference, whose type the caller of the function decides.
fn attr_kind(attr: &AttributeProto, around: &Around<'_>) -> Result<Option<AttrKind>, Fault> {
    if attr.ref_attr_name().is_empty() {
        return attrs::kind(attr).map(Some);
    }
    let name = attr.ref_attr_name();
    let declared = around
        .function
        .is_some_and(|f| f.attribute.iter().any(|a| a == name) || f.attribute_proto.iter().any(|a| a.name() == name));
    if declared {
        return Ok(None);
    }
    let fault = Fault::new(Code::Function, "an attribute of the function around", format!("`{name}`"));
    Err(fault.about(format!("attribute `{}`", attr.name())))
}

fn check_arity(node: &NodeProto, op: &Operator, faults: &mut Vec<Fault>) {
    let check = |code, arity: Arity, names: &[String]| {
        let used = names.iter().rposition(|n| !n.is_empty()).map_or(0, |last| last + 1);
        if names.len() >= arity.min && used <= arity.max {
            return None;
        }
        let expected = match arity {
            Arity { min, max } if min == max => format!("{min}"),
            Arity { min, max: usize::MAX } => format!("{min} or more"),
            Arity { min, max } => format!("{min} to {max}"),
        };
        let what = if code == Code::Inputs { "inputs" } else { "outputs" };
        Some(Fault::new(code, format!("{expected} {what}"), names.len().to_string()))
    };
    faults.extend(check(Code::Inputs, op.inputs, &node.input));
    faults.extend(check(Code::Outputs, op.outputs, &node.output));
}

fn check_call(node: &NodeProto, function: &FunctionProto, around: &Around<'_>, faults: &mut Vec<Fault>) {
    if node.input.len() > function.input.len() {
        let expected = format!("at most {} inputs", function.input.len());
        faults.push(Fault::new(Code::Inputs, expected, node.input.len().to_string()));
    }
    if node.output.len() > function.output.len() {
        let expected = format!("at most {} outputs", function.output.len());
        faults.push(Fault::new(Code::Outputs, expected, node.output.len().to_string()));
    }
    let mut seen = BTreeSet::new();
    for attr in &node.attribute {
        let about = format!("attribute `{}`", attr.name());
        let known = function.attribute.iter().any(|a| a == attr.name())
            || function.attribute_proto.iter().any(|a| a.name() == attr.name());
        if !known {
            faults.push(Fault::new(Code::UnknownAttr, "an attribute of the function", format!("`{}`", attr.name())));
        }
        if !seen.insert(attr.name()) {
            faults.push(Fault::new(Code::DefinedTwice, "each attribute once", "two").about(about.clone()));
        }
        match attr_kind(attr, around) {
            Err(fault) => faults.push(fault),
            Ok(Some(AttrKind::Graph)) => {
                faults.push(Fault::new(Code::Function, "an attribute that is no graph", "a graph").about(about));
            }
            Ok(_) => {}
        }
    }
}
