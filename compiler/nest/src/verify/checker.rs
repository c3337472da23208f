//! N01 to N04, and what all rules share.

use graph::MAX_NESTING;
use graph::dim::Dim;
use graph::expr::{Expr, Exprs};
use graph::symbol::Symbols;
use graph::text::dim::{Names, print_dim};
use graph::verify::nesting::dim_is_shallow;

use crate::kernel::{Body, Kernel, Port};
use crate::text::parameters;
use crate::verify::{Rule, Violation};

pub(super) struct Checker<'a> {
    pub kernel: &'a Kernel,
    pub place: String,
    symbols: Symbols,
    violations: Vec<Violation>,
}

impl<'a> Checker<'a> {
    pub fn new(kernel: &'a Kernel) -> Checker<'a> {
        Checker { kernel, place: String::new(), symbols: parameters(kernel.params), violations: Vec::new() }
    }

    pub fn finish(self) -> Result<(), Vec<Violation>> {
        if self.violations.is_empty() { Ok(()) } else { Err(self.violations) }
    }

    pub fn report(&mut self, rule: Rule, message: String) {
        self.violations.push(Violation { rule, place: self.place.clone(), message });
    }

    /// Reports unless so many are found.
    pub fn expect_count(&mut self, rule: Rule, what: &str, expected: usize, found: usize) -> bool {
        if expected != found {
            let plural = if expected == 1 { "" } else { "s" };
            self.report(rule, format!("expected {expected} {what}{plural}, found {found}"));
        }
        expected == found
    }

    /// N01, without recursion.
    pub fn check_nesting(&mut self) -> bool {
        let mut good = true;
        for (place, dim, _) in sizes(self.kernel) {
            if !dim_is_shallow(dim) {
                self.place = place;
                self.report(Rule::Nesting, format!("a size nests more than {MAX_NESTING} deep"));
                good = false;
            }
        }
        good
    }

    pub fn check_sizes(&mut self) {
        let kernel = self.kernel;
        for (place, dim, is_extent) in sizes(kernel) {
            self.place = place;
            let mut unknown = None;
            dim.for_each_symbol(&mut |id| {
                if id.0 as usize >= kernel.params {
                    unknown = Some(id);
                }
            });
            if let Some(id) = unknown {
                let message = format!("parameter {} does not exist; there are {}", id.0, kernel.params);
                self.report(Rule::Parameters, message);
            } else if is_extent && self.symbols.range(dim).hi < 0 {
                let text = print_dim(dim, &Names::new(&self.symbols));
                self.report(Rule::Extents, format!("the extent {text} is negative"));
            }
        }
    }

    pub fn check_ports(&mut self) {
        for (word, ports) in [("operand", &self.kernel.operands), ("result", &self.kernel.results)] {
            for (k, port) in ports.iter().enumerate() {
                self.place = format!("{word} {k}");
                self.check_port(port);
            }
        }
    }

    fn check_port(&mut self, port: &Port) {
        let rank = port.shape.len();
        if port.access.strides.len() != rank {
            self.report(Rule::Access, format!("{} strides for rank {rank}", port.access.strides.len()));
        }
        let Some(block) = port.access.block else { return };
        if block.dim >= rank {
            self.report(Rule::Access, format!("dim {} is blocked, the rank is {rank}", block.dim));
        }
        if block.factor < 1 {
            self.report(Rule::Access, format!("blocks of {} elements", block.factor));
        }
    }
}

/// All sizes of a kernel: where they stand, and whether they are extents.
fn sizes(kernel: &Kernel) -> Vec<(String, &Dim, bool)> {
    let mut out = Vec::new();
    for (word, ports) in [("operand", &kernel.operands), ("result", &kernel.results)] {
        for (k, port) in ports.iter().enumerate() {
            let place = format!("{word} {k}");
            out.extend(port.shape.iter().map(|d| (place.clone(), d, true)));
            out.push((place.clone(), &port.access.offset, false));
            out.extend(port.access.strides.iter().map(|d| (place.clone(), d, false)));
        }
    }
    match &kernel.body {
        Body::Nest(nest) => {
            out.extend(nest.outer.iter().map(|d| ("nest".to_string(), d, true)));
            for (k, stage) in nest.stages.iter().enumerate() {
                let place = format!("stage {k}");
                let extents = stage.inner.iter().chain(stage.reduce.iter().map(|e| &e.bound));
                out.extend(extents.map(|d| (place.clone(), d, true)));
                out.extend(in_exprs(&stage.exprs).map(|d| (place.clone(), d, false)));
            }
        }
        Body::Scatter(scatter) => {
            out.extend(scatter.domain.iter().map(|d| ("scatter".to_string(), d, true)));
            out.extend(in_exprs(&scatter.exprs).map(|d| ("scatter".to_string(), d, false)));
        }
        Body::Sort { axis: _, descending: _ }
        | Body::Compact
        | Body::Prefix { axis: _, combiner: _, exclusive: _, reverse: _ } => {}
    }
    out
}

fn in_exprs(exprs: &Exprs) -> impl Iterator<Item = &Dim> {
    exprs.iter().filter_map(|(_, expr)| match expr {
        Expr::Dim(dim) => Some(dim),
        _ => None,
    })
}
