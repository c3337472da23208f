//! The text form of plans: everything prints, and what is printed parses back to equal data.
//!
//! ```text
//! plan "relu" {
//!   symbol n = 1..=64 input
//!   origin @0 "act" Relu
//!   buffer ^0: f32 elements 4*n input 0
//!   buffer ^1: f32 elements 4*n output 0
//!   input "x": f32[n, 4] at ^0[n, 4]
//!   output "y": f32[n, 4] at ^1[n, 4]
//!   code !0 kernel params 2 {
//!     …
//!   }
//!   arena 0
//!   body {
//!     0: launch !0 (^0[n, 4]) -> (^1[n, 4]) sizes [n, 4] @0
//!   }
//! }
//! ```
//!
//! Tensors of more than [`INLINE`] bytes are named by their hash; [`blobs`] yields what a parser's registry needs. What a back
//! end's claimants emit prints through [`CodeText`].

mod step;
mod tables;
mod view;

use std::collections::BTreeMap;

use graph::tensor::{Hash, Tensor};
use graph::text::cursor::Cursor;
use graph::text::dim::{Names, parse_dim, print_dim};
use graph::text::lexer::quote;
use graph::text::tables::{Tables, parse_tables, print_tables};
use graph::text::{ParseError, Registry};
use nest::text::Lines;

use crate::plan::{Action, Block, Plan, Source};
use step::{parse_block, print_block};

/// Tensors up to so many bytes are written out.
pub const INLINE: usize = 64;

/// What a kernel family emits, as text.
pub trait CodeText: Sized {
    /// The text, on one line: words, numbers, strings and marks of [`graph::text::lexer`].
    fn print(&self) -> String;

    /// Reads what [`CodeText::print`] prints.
    fn parse(c: &mut Cursor<'_>) -> Result<Self, ParseError>;
}

/// The text of a plan.
pub fn print<C: CodeText>(plan: &Plan<C>) -> String {
    let names = Names::new(&plan.symbols);
    let mut out = format!("plan {} {{\n", quote(&plan.name));
    print_tables(&plan.symbols, &plan.origins, &plan.guards, &plan.states, &mut out);
    let mut lines = Lines { indent: 1, out: &mut out };
    tables::print_weights(&mut lines, &plan.weights, &names);
    tables::print_buffers(&mut lines, &plan.buffers, &names);
    tables::print_borders(&mut lines, "input", &plan.inputs, &names);
    tables::print_borders(&mut lines, "output", &plan.outputs, &names);
    tables::print_codes(&mut lines, &plan.codes);
    lines.line(&format!("arena {}", print_dim(&plan.arena, &names)));
    lines.pad();
    lines.out.push_str("body ");
    print_block(&mut lines, &plan.body, &names);
    lines.out.push_str("\n}\n");
    out
}

/// Reads a plan.
pub fn parse<C: CodeText>(text: &str, registry: &Registry<'_>) -> Result<Plan<C>, ParseError> {
    let mut c = Cursor::new(text)?;
    c.keyword("plan")?;
    let name = c.string("the plan's name")?;
    c.mark("{")?;
    let Tables { symbols, origins, guards, states } = parse_tables(&mut c)?;
    let names = Names::new(&symbols);
    let weights = tables::parse_weights(&mut c, &names, registry)?;
    let buffers = tables::parse_buffers(&mut c, &names)?;
    let inputs = tables::parse_borders(&mut c, "input", &names)?;
    let outputs = tables::parse_borders(&mut c, "output", &names)?;
    let codes = tables::parse_codes(&mut c)?;
    if !c.take_keyword("arena") {
        let order = "`symbol`, `origin`, `guard`, `state`, `weight`, `buffer`, `input`, `output`, `code`";
        return c.expected(&format!("{order}, in this order, or `arena`"));
    }
    let arena = parse_dim(&mut c, &names)?;
    c.keyword("body")?;
    let body = parse_block(&mut c, &names, registry)?;
    c.mark("}")?;
    c.end()?;
    Ok(Plan { name, guards, origins, states, inputs, outputs, weights, buffers, codes, arena, body, symbols })
}

/// Every tensor that a plan's text names by hash.
pub fn blobs<C>(plan: &Plan<C>) -> BTreeMap<Hash, Tensor> {
    let mut out = BTreeMap::new();
    for weight in &plan.weights {
        match &weight.source {
            Source::Constant(tensor) => add_tensor(tensor, &mut out),
            Source::Derived { graph, inputs } => {
                inputs.iter().for_each(|tensor| add_tensor(tensor, &mut out));
                out.extend(graph::text::blobs(graph));
            }
        }
    }
    add_block(&plan.body, &mut out);
    out
}

fn add_tensor(tensor: &Tensor, out: &mut BTreeMap<Hash, Tensor>) {
    if view::is_named(tensor) {
        out.insert(tensor.hash(), tensor.clone());
    }
}

fn add_block(block: &Block, out: &mut BTreeMap<Hash, Tensor>) {
    for step in &block.steps {
        match &step.action {
            Action::Launch(launch) => launch.meaning.iter().for_each(|graph| out.extend(graph::text::blobs(graph))),
            Action::Loop(inner) => add_block(&inner.body, out),
            Action::If(inner) => {
                add_block(&inner.then_block, out);
                add_block(&inner.else_block, out);
            }
            Action::Copy { .. }
            | Action::Clear { .. }
            | Action::Host(_)
            | Action::ReadBack { .. }
            | Action::Let { .. }
            | Action::Check { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests;
