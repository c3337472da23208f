//! The verifier: finds every place where a model is not what the types promise. It stands between whatever makes models
//! (parsers, builders, passes) and whatever reads them, takes any data without failing, and yields all violations.
//!
//! Tables
//! - V01 Sizes, conditions, types and bodies nest at most [`crate::MAX_NESTING`] deep, counted together. Where they do
//!   not, no other rule is checked.
//! - V02 Symbols have distinct names and ranges that are not empty.
//! - V03 Origins of nodes and guards are in the table.
//! - V04 States have distinct names, inputs and outputs, which exist; input and output have the same type.
//! - V05 Names of the model's inputs are distinct.
//!
//! Values and symbols
//! - V06 Values that are named exist.
//! - V07 Every value is an input or a result, once.
//! - V08 A value is defined before it is read.
//! - V09 A symbol is known where it is read: an input symbol anywhere; a bound one after the node that binds it, in bodies
//!   of later nodes too, in the body whose border binds it, and, as a region runs exactly once, after a region that binds
//!   it inside. Contents may read what their graph binds later; guards what is bound anywhere.
//! - V10 Input symbols that are read follow from the types of the model's inputs: an extent is the symbol, or a sum of it
//!   (times a constant) and symbols that follow from others.
//! - V11 Symbols are bound at most once in the model, have the source `Bind`, and are bound by `bind`, `if`, `loop`, `host`
//!   or the border of a loop's body.
//! - V12 Types: no extent is certainly negative; ragged tensors only inside sequences, optionals and maps, whose keys are
//!   integers or strings; strings and what is not a tensor only at the model's border and on `host`, `if`, `loop`, strings
//!   also on `const` and `compute`.
//! - V13 Contents belong to integer or bool tensors of static shape, one size an element.
//!
//! Expressions (of `compute` and `scatter`)
//! - V14 Children come before their readers; equal expressions are one.
//! - V15 An expression has the dtype that its kind and children give. Strings are loaded and selected, nothing else.
//! - V16 Constants have bits of their dtype's width only; bools are 0 or 1; there are no strings.
//! - V17 Index variables are below rank plus reduction dims; what is outside the accumulators reads parallel ones only.
//! - V18 Accumulators are read in results only and exist; their dtype is the value's (i64 for `argmax`, `argmin`), and one
//!   that the combiner is defined on.
//! - V19 A load reads a tensor among the operands, with one index a dim.
//! - V20 Expressions that a node names exist; sizes of reduction dims and indices of updates are i64.
//!
//! Nodes: operands and results have the number and the types that [`crate::node`] gives
//! - V21 `compute` · V22 `const` · V23 `scatter` · V24 `sort` · V25 `compact` · V26 `prefix` · V27 `scan` · V28 `if` ·
//!   V29 `loop` · V30 `bind` · V31 `host` (what its `infer` says) · V32 `region` (attributes are left to the kinds)
//!
//! Two extents count as the same if they are equal, or if a guard says so: `eq` of them, or of symbols that make them so.

mod bodies;
mod checker;
mod constant;
pub mod expr;
mod facts;
mod graph;
pub mod nesting;
mod order;
mod point;
mod rule;
mod tables;

pub use nesting::for_each_dim;
pub use point::is_defined_on;
pub use rule::{Place, Rule, Violation};

use crate::graph::Model;

/// A model that has no violations. A stage that takes this cannot be given an unverified model.
#[derive(Clone, Copy, Debug)]
pub struct Verified<'a>(&'a Model);

impl<'a> Verified<'a> {
    /// Verifies a model.
    pub fn new(model: &'a Model) -> Result<Verified<'a>, Vec<Violation>> {
        self::model(model).map(|()| Verified(model))
    }

    /// The model.
    pub fn model(self) -> &'a Model {
        self.0
    }
}

impl std::ops::Deref for Verified<'_> {
    type Target = Model;

    fn deref(&self) -> &Model {
        self.0
    }
}

/// All violations of a model.
pub fn model(model: &Model) -> Result<(), Vec<Violation>> {
    nesting::check(model)?;
    let mut checker = checker::Checker::new(model);
    tables::check(&mut checker);
    graph::check(&mut checker);
    tables::check_symbols_in_use(&mut checker);
    checker.finish()
}
