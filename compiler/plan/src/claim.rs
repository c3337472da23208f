//! Claims: parts of the graph that a kernel family offers to run.

use graph::dim::{Dim, Pred};
use graph::graph::{Graph, NodeId, ValueId};
use graph::symbol::Symbols;
use graph::tensor::Tensor;
use nest::layout::{Access, Layout};

use crate::facts::Facts;
use crate::tuning::{Problem, Variant};

/// A kernel family. It looks at one node (a region, or what a region was opened into) and offers claims rooted there.
pub trait Claimant {
    /// What the family emits.
    type Code: Clone + PartialEq + std::fmt::Debug;

    /// Name in reports.
    fn name(&self) -> &'static str;

    /// Every way the family can run the node at `seed`; nothing if it cannot.
    fn claims(&self, site: &Site<'_>, seed: NodeId) -> Vec<Claim<Self::Code>>;

    /// What is to be tuned of a claim of this family; `None` if it runs in one way only.
    fn problem(&self, _claim: &Claim<Self::Code>) -> Option<Problem> {
        None
    }

    /// At most so many variants in which the claim can run, the cheapest by the model first.
    fn variants(&self, _symbols: &Symbols, _claim: &Claim<Self::Code>, _most: usize) -> Vec<Variant> {
        Vec::new()
    }

    /// The claim in a variant, by the name that [`Claimant::variants`] gives it. Code, sizes, scratch and derived constants may
    /// differ; nodes, operands and results may not. `None` if the family cannot run the claim so.
    fn apply(&self, _symbols: &Symbols, _claim: &Claim<Self::Code>, _variant: &str) -> Option<Claim<Self::Code>> {
        None
    }
}

/// Where a claimant looks.
#[derive(Clone, Copy)]
pub struct Site<'a> {
    pub graph: &'a Graph,
    pub symbols: &'a Symbols,
    pub facts: &'a Facts,
    /// Constants of the graph by value, where known.
    pub constants: &'a dyn Fn(ValueId) -> Option<Tensor>,
}

/// What an operand of a claim may look like in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Want {
    /// Row-major without gaps.
    Dense,
    /// Any strides, no blocks; the claim reads them from the view.
    Strided(Strided),
    /// Exactly this layout.
    Layout(Layout),
}

/// What must be certain of the strides of an operand; else it is copied to be dense.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Strided {
    /// Elements of the last dim lie next to each other.
    pub contiguous_last: bool,
    /// The offset and all strides but the last dim's are multiples of this, unless it is 0.
    pub multiple: i64,
    /// Dims that can be walked as one with the dim behind them.
    pub merged: Vec<usize>,
}

impl Strided {
    /// Whether a view is certainly so.
    pub fn fits(&self, access: &Access, shape: &[Dim], symbols: &Symbols) -> bool {
        let one = |d: usize| shape.get(d).is_some_and(|e| e.is(1));
        let stride = |d: usize| access.strides.get(d);
        let last = shape.len().wrapping_sub(1);
        let contiguous = stride(last).is_none_or(|s| s.is(1)) || one(last);
        let unit = Dim::constant(self.multiple);
        let aligned = |size: &Dim| symbols.prove(&Pred::Divides(unit.clone(), size.clone())) == Some(true);
        let outer = (0..last.min(shape.len())).filter(|d| !one(*d)).filter_map(stride);
        let multiples = self.multiple <= 1 || outer.chain([&access.offset]).all(aligned);
        let together = self.merged.iter().all(|d| match (stride(*d), stride(d + 1), shape.get(d + 1)) {
            (Some(outer), Some(inner), Some(extent)) => one(*d) || *outer == inner * extent,
            _ => false,
        });
        access.block.is_none() && (contiguous || !self.contiguous_last) && multiples && together
    }
}

/// An operand of a claim.
#[derive(Clone, Debug, PartialEq)]
pub struct ClaimOperand {
    pub value: ValueId,
    pub want: Want,
}

/// A constant made at compile time from constants of the graph.
#[derive(Clone, Debug, PartialEq)]
pub struct Derived {
    /// For names in reports and the weight table.
    pub name: String,
    /// One output; the inputs are `inputs` in order.
    pub graph: Graph,
    pub inputs: Vec<ValueId>,
}

/// An offer. It covers the root node; the plan adds pointwise readers as epilogue where `epilogue` allows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim<C> {
    /// Nodes it replaces; a convex set. The values that others read are among `results`.
    pub nodes: Vec<NodeId>,
    pub operands: Vec<ClaimOperand>,
    pub derived: Vec<Derived>,
    /// Results in the order of the code's accumulators; all of one shape if there is an epilogue.
    pub results: Vec<ValueId>,
    /// Layout in which the results are best stored; the epilogue can store any.
    pub result_layout: Option<Layout>,
    /// Whether pointwise readers may be taken in.
    pub epilogue: bool,
    /// Values of the code's own parameters.
    pub sizes: Vec<Dim>,
    /// Bytes of scratch.
    pub workspace: Dim,
    /// Estimated cost in nanoseconds of one core or one GPU at typical sizes.
    pub cost: f64,
    pub code: C,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(shape: &[i64], strides: &[i64], offset: i64, want: &Strided, expected: bool) {
        let dims = |values: &[i64]| values.iter().map(|v| Dim::constant(*v)).collect::<Vec<_>>();
        let access = Access { offset: Dim::constant(offset), strides: dims(strides), block: None };
        assert_eq!(want.fits(&access, &dims(shape), &Symbols::default()), expected, "{strides:?} + {offset}");
    }

    #[test]
    fn strides_that_fit() {
        let any = Strided::default();
        check(&[4, 6], &[1, 4], 3, &any, true);
        let rows = Strided { contiguous_last: true, multiple: 8, merged: Vec::new() };
        check(&[4, 6], &[16, 1], 8, &rows, true);
        check(&[4, 6], &[12, 1], 8, &rows, false);
        check(&[4, 6], &[16, 1], 4, &rows, false);
        check(&[4, 6], &[16, 2], 0, &rows, false);
        check(&[1, 6], &[3, 1], 0, &rows, true);
        let merged = Strided { merged: vec![0], ..Strided::default() };
        check(&[2, 3, 4], &[24, 8, 1], 0, &merged, true);
        check(&[2, 3, 4], &[32, 8, 1], 0, &merged, false);
        check(&[1, 3, 4], &[0, 8, 1], 0, &merged, true);
    }
}
