//! Claims: parts of the graph that a kernel family offers to run.

use graph::dim::Dim;
use graph::graph::{Graph, NodeId, ValueId};
use graph::symbol::Symbols;
use graph::tensor::Tensor;
use nest::layout::Layout;

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
    /// Any strides, no blocks; the claim reads them from the view. The last dim may have to be contiguous.
    Strided { contiguous_last: bool },
    /// Exactly this layout.
    Layout(Layout),
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
