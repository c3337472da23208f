//! What all rules share: the plan, where the check stands, and the violations found.

use graph::dim::{Dim, Pred, SymId};
use graph::text::dim::{Names, print_dim, print_dims, print_pred};
use graph::verify::Place;

use crate::plan::{Buffer, BufferId, Plan, Step};
use crate::verify::{Rule, Violation};

pub(super) struct Checker<'a, C> {
    pub plan: &'a Plan<C>,
    /// Path of the block or table entry under check.
    pub path: String,
    names: Names<'a>,
    step: Option<(usize, &'a Step)>,
    violations: Vec<Violation>,
}

impl<'a, C> Checker<'a, C> {
    pub fn new(plan: &'a Plan<C>) -> Checker<'a, C> {
        let names = Names::new(&plan.symbols);
        Checker { plan, path: String::new(), names, step: None, violations: Vec::new() }
    }

    pub fn finish(self) -> Result<(), Vec<Violation>> {
        if self.violations.is_empty() { Ok(()) } else { Err(self.violations) }
    }

    /// Reports a violation where the check stands.
    pub fn report(&mut self, rule: Rule, message: String) {
        let origin = self.step.and_then(|(_, step)| step.origins.first());
        let origin = origin.and_then(|o| self.plan.origins.get(o.0 as usize)).map(|o| o.name.clone());
        let place = Place { path: self.place(), origin };
        self.violations.push(Violation { rule, place, message });
    }

    /// Reports unless so many are found.
    pub fn expect_count(&mut self, rule: Rule, what: &str, expected: usize, found: usize) -> bool {
        if expected != found {
            self.report(rule, format!("expected {expected} {what}, found {found}"));
        }
        expected == found
    }

    /// Path of what is under check.
    pub fn place(&self) -> String {
        match self.step {
            Some((index, _)) => format!("{}/{index}", self.path),
            None => self.path.clone(),
        }
    }

    /// Moves to a step of the block at the current path, or off it.
    pub fn at_step(&mut self, step: Option<(usize, &'a Step)>) {
        self.step = step;
    }

    /// Runs a check in a block inside the current step.
    pub fn inside(&mut self, word: &str, check: impl FnOnce(&mut Self)) {
        let (path, step) = (self.path.clone(), self.step);
        self.path = format!("{}/{word}", self.place());
        self.step = None;
        check(self);
        (self.path, self.step) = (path, step);
    }

    pub fn buffer(&self, id: BufferId) -> Option<&'a Buffer> {
        self.plan.buffers.get(id.0 as usize)
    }

    pub fn show(&self, dim: &Dim) -> String {
        print_dim(dim, &self.names)
    }

    pub fn show_dims(&self, dims: &[Dim]) -> String {
        print_dims(dims, &self.names)
    }

    pub fn show_pred(&self, pred: &Pred) -> String {
        print_pred(pred, &self.names)
    }

    pub fn spell(&self, id: SymId) -> String {
        self.names.spell(id)
    }
}
