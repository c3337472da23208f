//! The verifier of plans: takes any data without failing, and yields all violations. It shares no code with what fills in
//! offsets and dependencies, so that it checks them.
//!
//! Tables
//! - P01 Sizes, conditions, types, graphs and blocks nest at most [`graph::MAX_NESTING`] deep. Where they do not, no other
//!   rule is checked.
//! - P02 Symbols have distinct names and ranges that are not empty.
//! - P03 Origins of steps and guards are in the table.
//! - P04 States have distinct inputs and outputs, which exist and have one type.
//! - P05 Code: kernels keep the rules of [`nest::verify`]. An epilogue is a nest of one stage without outer dims or
//!   reductions that loads the claim's results at its own index.
//! - P06 Weights have their dtype and shape; a derived one is the result of a graph that keeps the rules of
//!   [`graph::verify`], over inputs of its types.
//! - P07 Places: weight, border or state exist and agree with the buffer. Borders are dense, in a buffer of their place.
//!   Objects have the dtype `str`.
//! - P08 Offsets in the arena are multiples of 64 and inside it, and depend on input symbols only, as do sizes there.
//! - P09 Buffers in the arena that are live at the same time have disjoint bytes.
//!
//! Views and calls
//! - P10 Buffers, codes and guards that are named exist.
//! - P11 A view has one stride a dim; a blocked dim exists, its factor is 1 or more.
//! - P12 Every address of a view is inside its buffer.
//! - P13 A launch has as many reads, writes and sizes as its code asks for.
//! - P14 A launch's views have the dtypes, extents and access maps of its code's ports.
//! - P15 Nothing reads a buffer that it writes.
//! - P16 Claimed code has a meaning, which keeps the rules of [`graph::verify`], from its reads but the derived ones to its
//!   writes; a kernel has none.
//! - P17 A copy is between dense views of one dtype and shape, or between objects.
//! - P18 A host call has one type a result; dense operands and results.
//! - P19 Trip limits and what is read back are i64 scalars, conditions bool scalars.
//! - P20 A loop ends: it has a trip count, a limit or a condition. `next` gives values to symbols of `first`; values are
//!   carried between views of one dtype.
//!
//! Order
//! - P21 A symbol is known where it is read: an input symbol anywhere, another after the step that defines it; after an
//!   `if`, what both blocks define; after a loop, `first` and `count`.
//! - P22 What is known is not defined again.
//! - P23 A buffer is written before it is read. Weights, inputs and states are. What the body of a loop writes counts as
//!   written after it; what one block of an `if` writes does not.
//! - P24 Outputs are written on every path.
//! - P25 A guard is checked once on every path on which its symbols are known.
//! - P26 `after` is ascending and names earlier steps.
//! - P27 Steps that must not change places are ordered by `after`: one writes what the other touches, or bytes of it, or one
//!   defines a symbol, or checks a guard over one, that the other mentions.
//!
//! P08, P09, P12 and P14 try sizes that depend on symbols at some values of these ([`samples`]): what they report is wrong,
//! what they do not report may still be.

mod call;
mod checker;
mod code;
mod effects;
mod memory;
mod nesting;
mod order;
mod rule;
mod samples;
mod tables;
mod view;
mod walk;

pub use rule::{Rule, Violation};

use crate::plan::Plan;

/// A plan that has no violations. Emission takes this, so that it cannot be given an unverified plan.
#[derive(Debug)]
pub struct VerifiedPlan<'a, C>(&'a Plan<C>);

impl<'a, C> VerifiedPlan<'a, C> {
    /// Verifies a plan.
    pub fn new(plan: &'a Plan<C>) -> Result<VerifiedPlan<'a, C>, Vec<Violation>> {
        self::plan(plan).map(|()| VerifiedPlan(plan))
    }

    /// The plan.
    pub fn plan(self) -> &'a Plan<C> {
        self.0
    }
}

impl<C> Clone for VerifiedPlan<'_, C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for VerifiedPlan<'_, C> {}

impl<C> std::ops::Deref for VerifiedPlan<'_, C> {
    type Target = Plan<C>;

    fn deref(&self) -> &Plan<C> {
        self.0
    }
}

/// All violations of a plan.
pub fn plan<C>(plan: &Plan<C>) -> Result<(), Vec<Violation>> {
    let mut c = checker::Checker::new(plan);
    if nesting::check(&mut c) {
        tables::check(&mut c);
        code::check(&mut c);
        memory::check(&mut c);
        walk::check(&mut c);
        order::check(&mut c);
    }
    c.finish()
}

#[cfg(test)]
mod tests;
