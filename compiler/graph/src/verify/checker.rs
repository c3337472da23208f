//! What all rules share: the model, where the check stands, and the violations found.

use std::collections::{BTreeMap, BTreeSet};

use crate::dim::{Dim, SymId};
use crate::graph::{Graph, Model, ValueId};
use crate::node::Node;
use crate::symbol::SymSource;
use crate::text::dim::Names;
use crate::text::node::print_header;
use crate::text::ty::print_type;
use crate::ty::{TensorType, Type};
use crate::verify::facts::Facts;
use crate::verify::{Place, Rule, Violation};

pub(super) struct Checker<'a> {
    pub(super) model: &'a Model,
    pub(super) names: Names<'a>,
    pub(super) facts: Facts<'a>,
    /// Symbols known here.
    pub(super) known: BTreeSet<SymId>,
    /// Where each symbol is bound.
    pub(super) bound: BTreeMap<SymId, String>,
    /// Where each symbol is read first.
    pub(super) read: BTreeMap<SymId, String>,
    /// Path of the graph or table entry under check.
    pub(super) path: String,
    node: Option<(&'a Graph, &'a Node, usize)>,
    violations: Vec<Violation>,
}

impl<'a> Checker<'a> {
    pub(super) fn new(model: &'a Model) -> Checker<'a> {
        let inputs = model.symbols.iter().filter(|(_, s)| s.source == SymSource::Input);
        Checker {
            model,
            names: Names::new(&model.symbols),
            facts: Facts::new(model),
            known: inputs.map(|(id, _)| id).collect(),
            bound: BTreeMap::new(),
            read: BTreeMap::new(),
            path: String::new(),
            node: None,
            violations: Vec::new(),
        }
    }

    pub(super) fn finish(self) -> Result<(), Vec<Violation>> {
        if self.violations.is_empty() { Ok(()) } else { Err(self.violations) }
    }

    /// Reports a violation where the check stands.
    pub(super) fn report(&mut self, rule: Rule, message: String) {
        let context = self.node.map_or(String::new(), |(graph, node, _)| print_header(graph, node, &self.names));
        self.report_with(rule, context, message);
    }

    /// Reports a violation with the text of what stands there.
    pub(super) fn report_with(&mut self, rule: Rule, context: String, message: String) {
        let origin = self
            .node
            .and_then(|(_, node, _)| node.origins.first())
            .and_then(|id| self.model.origins.get(id.0 as usize))
            .map(|origin| origin.name.clone());
        let place = Place { path: self.place(), origin };
        self.violations.push(Violation { rule, place, context, message });
    }

    /// Path of what is under check.
    pub(super) fn place(&self) -> String {
        match self.node {
            Some((_, _, index)) => format!("{}/{index}", self.path),
            None => self.path.clone(),
        }
    }

    /// Moves to a node of the graph at the current path, or off it.
    pub(super) fn at_node(&mut self, node: Option<(&'a Graph, &'a Node, usize)>) {
        self.node = node;
    }

    /// A symbol that is read here must be known.
    pub(super) fn read_symbol(&mut self, id: SymId, what: &str) {
        let place = self.place();
        self.read.entry(id).or_insert(place);
        if self.known.contains(&id) {
            return;
        }
        let why = match (self.model.symbols.get(id), self.bound.get(&id)) {
            (None, _) => "is not in the table".to_string(),
            (Some(_), Some(place)) => format!("is bound at {place}, out of reach"),
            (Some(_), None) => "is not bound before".to_string(),
        };
        self.report(Rule::SymbolsKnown, format!("symbol {} in {what} {why}", self.names.spell(id)));
    }

    /// Symbols of a size that is read here must be known.
    pub(super) fn read_dim(&mut self, dim: &Dim, what: &str) {
        let mut symbols = BTreeSet::new();
        dim.for_each_symbol(&mut |id| {
            symbols.insert(id);
        });
        symbols.into_iter().for_each(|id| self.read_symbol(id, what));
    }

    /// The types of values, if all exist.
    pub(super) fn types(&self, graph: &'a Graph, ids: &[ValueId]) -> Option<Vec<&'a Type>> {
        ids.iter().map(|id| graph.value(*id).map(|v| &v.ty)).collect()
    }

    /// A type as text.
    pub(super) fn show(&self, ty: &Type) -> String {
        print_type(ty, &self.names)
    }

    /// Reports unless so many are found.
    pub(super) fn expect_count(&mut self, rule: Rule, what: &str, expected: usize, found: usize) -> bool {
        if expected != found {
            self.report(rule, format!("expected {expected} {what}, found {found}"));
        }
        expected == found
    }

    /// Reports unless a type is the expected one.
    pub(super) fn expect_type(&mut self, rule: Rule, what: &str, expected: &Type, found: &Type) {
        if !self.facts.same_type(expected, found) {
            let message = format!("expected {what} to have type {}, found {}", self.show(expected), self.show(found));
            self.report(rule, message);
        }
    }

    /// The tensor type; reports if it is another.
    pub(super) fn expect_tensor<'t>(&mut self, rule: Rule, what: &str, found: &'t Type) -> Option<&'t TensorType> {
        if found.as_tensor().is_none() {
            self.report(rule, format!("expected {what} to be a tensor, found {}", self.show(found)));
        }
        found.as_tensor()
    }
}
