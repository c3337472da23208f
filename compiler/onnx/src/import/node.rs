//! One node: an operator, a call of a function, or the body of an operator.

use std::collections::BTreeMap;
use std::rc::Rc;

use graph::builder::{BuildError, Builder};
use graph::graph::Origin;
use graph::ty::Type;

use crate::attrs;
use crate::check::{missing_attr, place, version_fault};
use crate::functions::Function;
use crate::import::{Around, Body, Entry, Frame, Import, declared};
use crate::names::free_names;
use crate::operator::{AttrValue, Body as BodyId, Ctx, Importer, Operator, Signature};
use crate::ops;
use crate::problem::{Code, Fault};
use crate::proto::{AttributeProto, GraphProto, NodeProto};
use crate::tensor::Source;
use crate::value::ImportValue;

/// Values of a node's outputs by position; none where nothing came of it.
type Results = Option<Vec<ImportValue>>;

impl<'m> Import<'_, 'm> {
    /// Imports a node and names its results; outputs of a node that fails are poisoned.
    pub(super) fn node(&mut self, b: &mut Builder, node: &'m NodeProto, index: usize) {
        let results = if self.failed.contains(&(node as *const NodeProto)) {
            None
        } else {
            self.inputs_of(node).and_then(|inputs| self.results(b, node, index, &inputs))
        };
        let Some(frame) = self.frames.last_mut() else { return };
        for (position, output) in node.output.iter().enumerate().filter(|(_, o)| !o.is_empty()) {
            let entry = match results.as_ref().and_then(|r| r.get(position)) {
                Some(value) => {
                    if let Some(id) = value.as_value() {
                        b.name_value(id, output);
                    }
                    Entry::Value(value.clone())
                }
                None => Entry::Poisoned,
            };
            frame.names.entry(output).or_insert(entry);
        }
    }

    /// The inputs; none if one of them, or a name that a body takes from here, is poisoned.
    fn inputs_of(&self, node: &NodeProto) -> Option<Vec<Option<ImportValue>>> {
        let names = &self.frames.last()?.names;
        let mut inputs = Vec::with_capacity(node.input.len());
        for name in &node.input {
            inputs.push(match names.get(name.as_str()) {
                _ if name.is_empty() => None,
                Some(Entry::Value(value)) => Some(value.clone()),
                Some(Entry::Absent) => None,
                Some(Entry::Poisoned) | None => return None,
            });
        }
        let whole = |name: &&str| matches!(names.get(name), Some(Entry::Value(_) | Entry::Absent));
        let bodies_whole = crate::names::bodies(node).all(|(_, body)| free_names(body).iter().all(whole));
        bodies_whole.then_some(inputs)
    }

    fn results(
        &mut self,
        b: &mut Builder,
        node: &'m NodeProto,
        index: usize,
        inputs: &[Option<ImportValue>],
    ) -> Results {
        let around = Rc::clone(&self.frames.last()?.around);
        self.nodes += 1;
        if self.nodes > self.options.nodes {
            if self.nodes == self.options.nodes + 1 {
                let fault = Fault::new(Code::Expansion, format!("at most {} nodes", self.options.nodes), "more");
                self.refuse(&around, node, index, fault);
            }
            return None;
        }
        let functions = self.functions;
        if let Some(function) = functions.callee(node) {
            return self.call(b, node, index, inputs, &around, function);
        }
        let op = ops::find(node.domain(), node.op_type())?;
        if version_fault(op, around.opsets.get(op.domain).copied()).is_some() {
            return None;
        }
        let attrs = self.attributes(node, index, op, &around)?;
        self.build(b, node, index, inputs, &around, op, &attrs)
    }

    /// Decodes the attributes; references are replaced by what the function around was given.
    fn attributes(
        &mut self,
        node: &'m NodeProto,
        index: usize,
        op: &Operator,
        around: &Rc<Around<'m>>,
    ) -> Option<BTreeMap<String, AttrValue>> {
        let mut values = BTreeMap::new();
        let mut faults = Vec::new();
        for attr in &node.attribute {
            let Some(given) = resolve(attr, around) else { continue };
            let Some(spec) = op.attrs.iter().find(|s| s.name == attr.name()) else { continue };
            let value = match attrs::kind(given) {
                Ok(kind) if kind == spec.kind => match (kind, &given.g) {
                    (crate::operator::AttrKind::Graph, Some(graph)) => {
                        Ok(AttrValue::Graph(self.add_body(graph, node, index, attr.name(), around)))
                    }
                    _ => attrs::value(given, kind, &mut Source { files: &mut self.files, options: self.options }),
                },
                Ok(kind) => {
                    let (expected, found) = (attrs::kind_name(spec.kind), attrs::kind_name(kind));
                    Err(Fault::new(Code::AttrType, expected, found).about(format!("attribute `{}`", attr.name())))
                }
                Err(fault) => Err(fault),
            };
            match value {
                Ok(value) => drop(values.insert(attr.name().to_string(), value)),
                Err(fault) => faults.push(fault),
            }
        }
        let absent = op.attrs.iter().filter(|s| s.required && !values.contains_key(s.name));
        if faults.is_empty() {
            faults.extend(absent.map(|s| missing_attr(s.name, s.kind)));
        }
        let whole = faults.is_empty();
        faults.into_iter().for_each(|fault| self.refuse(around, node, index, fault));
        whole.then_some(values)
    }

    /// Enters a graph attribute into the table, with what its outer names stand for now.
    fn add_body(
        &mut self,
        graph: &'m GraphProto,
        node: &NodeProto,
        index: usize,
        attr: &str,
        around: &Rc<Around<'m>>,
    ) -> BodyId {
        let (mut captures, mut absent) = (Vec::new(), Vec::new());
        for name in free_names(graph) {
            match self.frames.last().and_then(|f| f.names.get(name)) {
                Some(Entry::Value(value)) => captures.push((name.to_string(), value.clone())),
                Some(Entry::Absent) => absent.push(name),
                Some(Entry::Poisoned) | None => {}
            }
        }
        let path = format!("{}/{attr}/", crate::names::node_name(&around.path, node, index));
        let around = Around { path, opsets: Rc::clone(&around.opsets), attrs: around.attrs.clone() };
        self.bodies.push(Body { graph, around: Rc::new(around), captures, absent });
        BodyId(self.bodies.len() - 1)
    }

    #[expect(clippy::too_many_arguments, reason = "everything that is known of the node")]
    fn build(
        &mut self,
        b: &mut Builder,
        node: &'m NodeProto,
        index: usize,
        inputs: &[Option<ImportValue>],
        around: &Rc<Around<'m>>,
        op: &Operator,
        attrs: &BTreeMap<String, AttrValue>,
    ) -> Results {
        let wanted: Vec<bool> = node.output.iter().map(|o| !o.is_empty()).collect();
        let types: Vec<Option<Type>> = node.output.iter().map(|o| self.declared_type(o)).collect();
        let place = place(&around.path, node, index, &around.opsets);
        let origin = Origin { name: place.name.clone(), op_type: place.operator.clone(), domain: place.domain.clone() };
        let origin = b.add_origin(origin);
        let former = b.set_origins(vec![origin]);
        let (depth, frames) = (b.depth(), self.frames.len());
        self.body_failed = None;
        let mut ctx = Ctx {
            opset: place.opset.unwrap_or_default(),
            op_type: node.op_type(),
            inputs,
            attrs,
            wanted: &wanted,
            declared: &types,
            b,
            importer: self,
        };
        let built = (op.build)(&mut ctx);
        while b.depth() > depth {
            b.end_body();
        }
        self.frames.truncate(frames);
        b.set_origins(former);
        let fault = match built {
            Ok(values) => match wanted.iter().rposition(|w| *w) {
                Some(last) if last >= values.len() => {
                    let found = format!("{} of them", values.len());
                    Fault::new(Code::Build, format!("{} results", last + 1), found)
                }
                Some(_) | None => return Some(values),
            },
            Err(error) => match self.body_failed.take() {
                Some(problems) => {
                    problems.into_iter().for_each(|p| self.report.problems.push(p));
                    return None;
                }
                None => Fault::from(error),
            },
        };
        self.refuse(around, node, index, fault);
        None
    }

    /// Imports the body of a function in place of the node.
    fn call(
        &mut self,
        b: &mut Builder,
        node: &'m NodeProto,
        index: usize,
        inputs: &[Option<ImportValue>],
        around: &Rc<Around<'m>>,
        function: &Function<'m>,
    ) -> Results {
        let proto = function.proto;
        let mut attrs: BTreeMap<&'m str, &'m AttributeProto> =
            proto.attribute_proto.iter().map(|a| (a.name(), a)).collect();
        for attr in &node.attribute {
            if let Some(given) = resolve(attr, around) {
                attrs.insert(attr.name(), given);
            }
        }
        let mut names = BTreeMap::new();
        for (position, name) in proto.input.iter().enumerate() {
            let entry = match inputs.get(position) {
                Some(Some(value)) => Entry::Value(value.clone()),
                Some(None) | None => Entry::Absent,
            };
            names.entry(name.as_str()).or_insert(entry);
        }
        let path = format!("{}/", crate::names::node_name(&around.path, node, index));
        let inner = Around { path, opsets: Rc::clone(&function.opsets), attrs };
        let declared = proto.value_info.iter().filter_map(|v| v.r#type.as_ref().map(|ty| (v.name(), ty))).collect();
        if let Some(fault) = self.enter(Frame { around: Rc::new(inner), names, declared }) {
            self.refuse(around, node, index, fault);
            return None;
        }
        self.import_nodes(b, &proto.node);
        let frame = self.frames.pop()?;
        let mut results = Vec::with_capacity(node.output.len());
        for name in proto.output.iter().take(node.output.len()) {
            match frame.names.get(name.as_str()) {
                Some(Entry::Value(value)) => results.push(value.clone()),
                Some(Entry::Absent | Entry::Poisoned) | None => return None,
            }
        }
        Some(results)
    }

    fn declared_type(&self, name: &str) -> Option<Type> {
        let proto = self.frames.last()?.declared.get(name)?;
        self.dims.declared(proto)
    }

    fn refuse(&mut self, around: &Around<'m>, node: &NodeProto, index: usize, fault: Fault) {
        let place = place(&around.path, node, index, &around.opsets);
        self.report.push(Some(place), fault);
    }
}

/// The attribute itself, or what it refers to; none if the function around was not given that.
fn resolve<'m>(attr: &'m AttributeProto, around: &Around<'m>) -> Option<&'m AttributeProto> {
    match attr.ref_attr_name() {
        "" => Some(attr),
        name => around.attrs.get(name).copied(),
    }
}

impl Importer for Import<'_, '_> {
    fn signature(&self, body: BodyId) -> Signature {
        let Some(entry) = self.bodies.get(body.0) else { return Signature::default() };
        let border = |infos: &[crate::proto::ValueInfoProto]| {
            infos
                .iter()
                .map(|i| (i.name().to_string(), i.r#type.as_ref().and_then(|ty| self.dims.declared(ty))))
                .collect()
        };
        Signature { inputs: border(&entry.graph.input), outputs: border(&entry.graph.output) }
    }

    fn captures(&self, body: BodyId) -> Vec<(String, ImportValue)> {
        self.bodies.get(body.0).map(|entry| entry.captures.clone()).unwrap_or_default()
    }

    fn import_body(
        &mut self,
        b: &mut Builder,
        body: BodyId,
        inputs: Vec<ImportValue>,
        captured: Vec<(String, ImportValue)>,
    ) -> Result<Vec<ImportValue>, BuildError> {
        let entry = self.bodies.get(body.0).ok_or_else(|| mismatch("a body of the node", "another".to_string()))?;
        let (graph, around) = (entry.graph, Rc::clone(&entry.around));
        if inputs.len() != graph.input.len() {
            let expected = format!("{} inputs, as the node gives them", inputs.len());
            return Err(mismatch(&expected, format!("{} inputs", graph.input.len())));
        }
        let mut names: BTreeMap<&str, Entry> = entry.absent.iter().map(|n| (*n, Entry::Absent)).collect();
        for name in free_names(graph) {
            if let Some((_, value)) = captured.iter().find(|(n, _)| n == name) {
                names.insert(name, Entry::Value(value.clone()));
            }
        }
        for (info, value) in graph.input.iter().zip(inputs) {
            if let Some(id) = value.as_value() {
                b.name_value(id, info.name());
            }
            names.insert(info.name(), Entry::Value(value));
        }
        let before = self.report.problems.len();
        if self.enter(Frame { around, names, declared: declared(graph) }).is_some() {
            let limit = self.options.limits.nesting;
            return Err(BuildError::Limit {
                what: "nesting",
                found: format!("{}", limit + 1),
                limit: limit.to_string(),
            });
        }
        self.initializers(b, graph);
        let former = b.origins().to_vec();
        self.import_nodes(b, &graph.node);
        b.set_origins(former);
        let Some(frame) = self.frames.pop() else { return Ok(Vec::new()) };
        let mut outputs = Vec::with_capacity(graph.output.len());
        for info in &graph.output {
            match frame.names.get(info.name()) {
                Some(Entry::Value(value)) => outputs.push(value.clone()),
                Some(Entry::Absent | Entry::Poisoned) | None => {
                    self.body_failed = Some(self.report.problems.0.split_off(before));
                    return Err(mismatch("a body without problems", format!("output {:?} of one with", info.name())));
                }
            }
        }
        self.body_failed = None;
        Ok(outputs)
    }
}

fn mismatch(expected: &str, found: String) -> BuildError {
    BuildError::Operand { what: "body".to_string(), expected: expected.to_string(), found }
}
