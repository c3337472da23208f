//! Model-local functions: the table, the check that no calls form a circle, and what calling each one amounts to.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::names::{Opsets, domain, for_each_node};
use crate::ops;
use crate::options::Options;
use crate::problem::{Code, Fault};
use crate::proto::{FunctionProto, ModelProto, NodeProto};

/// Domain, name and overload of a function or of a node that calls one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key([String; 3]);

impl Key {
    fn new(domain_name: &str, name: &str, overload: &str) -> Key {
        Key([domain(domain_name), name, overload].map(str::to_string))
    }

    fn of(function: &FunctionProto) -> Key {
        Key::new(function.domain(), function.name(), function.overload())
    }

    fn name(&self) -> &str {
        &self.0[1]
    }
}

/// A function and what it imports.
pub struct Function<'m> {
    pub proto: &'m FunctionProto,
    pub opsets: Rc<Opsets>,
    /// Nodes once every call inside is inlined.
    size: u64,
    /// Functions inside functions.
    depth: usize,
}

/// All functions of a model.
#[derive(Default)]
pub struct Functions<'m> {
    table: BTreeMap<Key, Function<'m>>,
    /// Calls must not be followed: they go in circles or are too many.
    pub endless: bool,
}

impl<'m> Functions<'m> {
    /// The table, with everything that is wrong with it.
    pub fn new(model: &'m ModelProto, options: &Options, report: &mut dyn FnMut(Fault)) -> Functions<'m> {
        let mut functions = Functions::default();
        for proto in &model.functions {
            let key = Key::of(proto);
            let about = about(proto);
            if proto.name().is_empty() {
                report(Fault::new(Code::Function, "a function with a name", "none").about(about.clone()));
            }
            let (opsets, faults) = opsets(&proto.opset_import);
            faults.into_iter().for_each(|f| report(f.about(about.clone())));
            let function = Function { proto, opsets: Rc::new(opsets), size: 0, depth: 0 };
            if functions.table.insert(key, function).is_some() {
                report(Fault::new(Code::DefinedTwice, "one function of a name", "two").about(about));
            }
        }
        functions.measure(options, report);
        functions
    }

    /// The function that a node calls. An operator of the same name that needs no overload goes before it.
    pub fn callee(&self, node: &NodeProto) -> Option<&Function<'m>> {
        if self.table.is_empty() || node.overload().is_empty() && ops::find(node.domain(), node.op_type()).is_some() {
            return None;
        }
        self.table.get(&Key::new(node.domain(), node.op_type(), node.overload()))
    }

    /// All functions in order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Function<'m>> {
        self.table.values()
    }

    /// Nodes of a graph once every call is inlined.
    pub fn expanded(&self, nodes: &[NodeProto]) -> u64 {
        let mut total = 0u64;
        for_each_node(nodes, &mut |node| {
            let inside = self.callee(node).map_or(0, |f| f.size);
            total = total.saturating_add(1).saturating_add(inside);
        });
        total
    }

    /// Depth-first over calls with a stack of its own, so that no chain of functions exhausts the thread's.
    fn measure(&mut self, options: &Options, report: &mut dyn FnMut(Fault)) {
        #[derive(Clone, Copy, PartialEq)]
        enum State {
            Open,
            Done,
        }
        let calls: BTreeMap<Key, Vec<Key>> =
            self.table.iter().map(|(key, f)| (key.clone(), self.callees(&f.proto.node))).collect();
        let mut states: BTreeMap<&Key, State> = BTreeMap::new();
        for start in calls.keys() {
            let mut stack: Vec<(&Key, usize)> = Vec::new();
            if !states.contains_key(start) {
                states.insert(start, State::Open);
                stack.push((start, 0));
            }
            while let Some((key, position)) = stack.last_mut() {
                let callees = calls.get(*key).map(Vec::as_slice).unwrap_or_default();
                if let Some(callee) = callees.get(*position) {
                    *position += 1;
                    match states.get(callee) {
                        None => {
                            states.insert(callee, State::Open);
                            stack.push((callee, 0));
                        }
                        Some(State::Open) => {
                            let names: Vec<&str> =
                                stack.iter().skip_while(|(k, _)| *k != callee).map(|(k, _)| k.name()).collect();
                            let found = format!("{} -> {}", names.join(" -> "), callee.name());
                            report(Fault::new(Code::FunctionCycle, "functions that end", found));
                            self.endless = true;
                        }
                        Some(State::Done) => {}
                    }
                    continue;
                }
                let key = *key;
                states.insert(key, State::Done);
                stack.pop();
                let own = self.table.get(key).map_or(0, |f| self.expanded(&f.proto.node));
                let depth = callees.iter().filter_map(|c| self.table.get(c)).map(|f| f.depth + 1).max().unwrap_or(1);
                if let Some(function) = self.table.get_mut(key) {
                    (function.size, function.depth) = (own, depth);
                    if depth > options.function_depth && !self.endless {
                        let expected = format!("at most {} functions inside each other", options.function_depth);
                        report(Fault::new(Code::Limit, expected, depth.to_string()).about(about(function.proto)));
                        self.endless = true;
                    }
                }
            }
        }
    }

    fn callees(&self, nodes: &[NodeProto]) -> Vec<Key> {
        let mut keys = Vec::new();
        for_each_node(nodes, &mut |node| keys.extend(self.callee(node).map(|f| Key::of(f.proto))));
        keys
    }
}

/// Domains and versions, each domain once and no version that is unknown here.
pub fn opsets(imports: &[crate::proto::OperatorSetIdProto]) -> (Opsets, Vec<Fault>) {
    let mut opsets = Opsets::new();
    let mut faults = Vec::new();
    for import in imports {
        let (name, version) = (domain(import.domain()), import.version());
        let shown = if name.is_empty() { "ai.onnx" } else { name };
        let newest = NEWEST.iter().find(|(d, _)| *d == name).map(|(_, v)| *v);
        if version < 1 || newest.is_some_and(|n| version > n) {
            let expected = newest.map_or("a version of 1 or more".to_string(), |n| format!("a version in 1..={n}"));
            faults.push(Fault::new(Code::Opset, expected, version.to_string()).about(format!("operator set {shown}")));
        }
        if opsets.insert(name.to_string(), version).is_some_and(|other| other != version) {
            faults.push(Fault::new(Code::Opset, "one version", "two").about(format!("operator set {shown}")));
        }
    }
    (opsets, faults)
}

/// Newest version of each domain of ONNX.
const NEWEST: [(&str, i64); 4] = [("", 27), ("ai.onnx.ml", 5), ("ai.onnx.preview", 1), ("ai.onnx.preview.training", 1)];

/// A function in words.
pub fn about(function: &FunctionProto) -> String {
    format!("function {:?}", format!("{}::{}", function.domain(), function.name()))
}
