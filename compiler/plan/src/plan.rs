//! The plan: which code runs on which buffers, in which order, for every shape within the symbols' ranges.
//!
//! Sizes anywhere are [`Dim`]s over the plan's symbols; input symbols are known when a call starts, the others once the
//! step that defines them has run. `C` is what a back end's claimants emit; the plan does not look into it.

use graph::attrs::Attrs;
use graph::dim::{Dim, SymId};
use graph::dtype::DType;
use graph::graph::{Graph, Guard, Origin, State};
use graph::host::HostOp;
use graph::node::OriginId;
use graph::symbol::Symbols;
use graph::tensor::Tensor;
use graph::ty::Type;
use nest::kernel::Kernel;
use nest::layout::Access;

/// Index into [`Plan::buffers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BufferId(pub u32);

/// Index into [`Plan::codes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CodeId(pub u32);

/// A whole plan for one target.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan<C> {
    pub name: String,
    pub symbols: Symbols,
    pub guards: Vec<Guard>,
    pub origins: Vec<Origin>,
    pub states: Vec<State>,
    pub inputs: Vec<Border>,
    pub outputs: Vec<Border>,
    pub weights: Vec<Weight>,
    pub buffers: Vec<Buffer>,
    pub codes: Vec<Code<C>>,
    /// Bytes of the arena, all of it live at some time.
    pub arena: Dim,
    pub body: Block,
}

/// An input or output of the model. Tensors are dense at the border.
#[derive(Clone, Debug, PartialEq)]
pub struct Border {
    pub name: String,
    pub ty: Type,
    /// Where the value is read or, for an output, found at the end.
    pub view: View,
}

/// A constant in the weight table: stored as it is, or evaluated at compile time from others.
#[derive(Clone, Debug, PartialEq)]
pub struct Weight {
    pub name: String,
    pub source: Source,
    /// Type of the stored bytes.
    pub dtype: DType,
    pub shape: Vec<usize>,
}

/// Where a weight's bytes come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    Constant(Tensor),
    /// One result of a closed graph over constants: packing, column sums, folded scales. Kept, so that new weights can be
    /// put in without planning again.
    Derived {
        graph: Box<Graph>,
        inputs: Vec<Tensor>,
    },
}

/// Memory that steps read and write.
#[derive(Clone, Debug, PartialEq)]
pub struct Buffer {
    pub dtype: DType,
    /// Elements it holds, padding of the layout included.
    pub elements: Dim,
    pub place: Place,
}

/// Where a buffer lives.
#[derive(Clone, Debug, PartialEq)]
pub enum Place {
    /// In the session's arena, at this byte offset (a multiple of 64); live ranges that overlap have disjoint bytes.
    Arena {
        offset: Dim,
    },
    /// In the weight table.
    Weight(usize),
    /// The caller's memory or the session's copy of it.
    Input(usize),
    Output(usize),
    /// Outlives a call.
    State(usize),
    /// Grows while a call runs: extents that nothing bounds. Before a step writes a view, the buffer is grown to hold it and
    /// keeps its contents.
    Growable,
    /// Not bytes: strings, a sequence, an optional or a map.
    Object(Type),
}

/// A tensor in a buffer.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    pub buffer: BufferId,
    pub shape: Vec<Dim>,
    /// In elements of the buffer's dtype.
    pub access: Access,
}

/// Steps in an order that respects all dependencies.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Block {
    pub steps: Vec<Step>,
}

/// One step.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    pub action: Action,
    /// Earlier steps of the block that must have ended, ascending.
    pub after: Vec<usize>,
    pub origins: Vec<OriginId>,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    Launch(Launch),
    /// Equal shapes and dtypes, both dense; only the offsets differ. Objects are cloned.
    Copy {
        from: View,
        to: View,
    },
    /// Zeroes a buffer, a growable one once it is grown to its elements: its layout has padding, which is zero by contract.
    Clear {
        buffer: BufferId,
    },
    Host(HostCall),
    /// Waits once and reads i64 scalars, each into a symbol; outside the symbol's range is an error that names the step's
    /// origins. No view is over a symbol that the step reads.
    ReadBack {
        reads: Vec<(View, SymId)>,
    },
    /// Gives a symbol a value that is a size.
    Let {
        symbol: SymId,
        value: Dim,
    },
    /// Checks a guard, whose symbols are known by now.
    Check {
        guard: usize,
    },
    Loop(LoopStep),
    If(IfStep),
}

/// A call of code.
#[derive(Clone, Debug, PartialEq)]
pub struct Launch {
    pub code: CodeId,
    /// For a kernel: its operands. For a claim: its operands, then its derived constants, then the operands of its epilogue
    /// beyond the claim's results.
    pub reads: Vec<View>,
    /// For a claim: the results of its epilogue.
    pub writes: Vec<View>,
    /// Values of the code's parameters: of a kernel its own; of a claim the claim's sizes, then those of the epilogue.
    pub sizes: Vec<Dim>,
    /// Scratch that the code may write, its contents undefined before and after.
    pub workspace: Option<View>,
    /// What a claim computes: from `reads` but the derived constants, in order, to `writes`.
    pub meaning: Option<Box<Graph>>,
}

/// A call of a host operator. Results are resized; `binds` take the extents of the results that the operator's type rule
/// left open.
#[derive(Clone, Debug, PartialEq)]
pub struct HostCall {
    pub op: &'static HostOp,
    pub attrs: Attrs,
    pub operands: Vec<View>,
    pub results: Vec<View>,
    pub result_types: Vec<Type>,
    pub binds: Vec<SymId>,
}

/// A loop. Per iteration: `counter` has its number, the body runs, then `carry` moves values and `next` gives symbols their
/// new values (all read before any is written).
#[derive(Clone, Debug, PartialEq)]
pub struct LoopStep {
    pub counter: SymId,
    /// Number of iterations, where it is a size.
    pub trip: Option<Dim>,
    /// i64 scalar: upper limit found while running.
    pub limit: Option<View>,
    /// bool scalar: looked at before every iteration; the body writes it anew.
    pub condition: Option<View>,
    /// Symbols of the body's carried inputs: value before the first iteration.
    pub first: Vec<(SymId, Dim)>,
    pub body: Block,
    pub carry: Vec<Carry>,
    pub next: Vec<(SymId, Dim)>,
    /// Takes the number of iterations that ran.
    pub count: Option<SymId>,
}

/// A value handed from one iteration to the next.
#[derive(Clone, Debug, PartialEq)]
pub struct Carry {
    pub from: View,
    pub to: View,
}

/// What a choice looks at.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// A bool scalar.
    Value(View),
    /// A size that is not 0.
    Size(Dim),
}

/// A choice. Both blocks write the same result views, and give the same symbols their values by `Let`.
#[derive(Clone, Debug, PartialEq)]
pub struct IfStep {
    pub condition: Condition,
    pub then_block: Block,
    pub else_block: Block,
}

/// Code, emitted once however often it is launched.
#[derive(Clone, Debug, PartialEq)]
pub enum Code<C> {
    Kernel(Kernel),
    Claimed(Claimed<C>),
}

/// A kernel family's code with the pointwise work around it.
#[derive(Clone, Debug, PartialEq)]
pub struct Claimed<C> {
    pub code: C,
    /// Number of the claim's own operands (derived constants not counted), derived constants and sizes.
    pub operands: usize,
    pub derived: usize,
    pub sizes: usize,
    /// Number of results.
    pub results: usize,
    /// One stage over the results' index space. Its first operands are the claim's results, which are not in memory: they are
    /// loaded at the stage's own index only. The others are read from memory. `None`: the code writes its results itself,
    /// dense.
    pub epilogue: Option<Kernel>,
}
