//! The closed set of nodes.

use crate::attrs::Attrs;
use crate::dim::{Dim, SymId};
use crate::dtype::DType;
use crate::expr::{ExprId, Exprs};
use crate::graph::{Graph, ValueId};
use crate::host::HostOp;
use crate::region::RegionKind;
use crate::scalar::Scalar;
use crate::tensor::Tensor;

/// Index into the model's table of ONNX nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OriginId(pub u32);

/// A node: what it does, what it reads, what it yields, and the ONNX nodes it stems from.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub op: Op,
    pub operands: Vec<ValueId>,
    pub results: Vec<ValueId>,
    /// Symbols that this node brings into being: the one of a `Bind`, sizes of the results of `If`, `Loop`, `Host`.
    pub binds: Vec<SymId>,
    pub origins: Vec<OriginId>,
}

/// What a node does.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// No operands, one result of static shape.
    Const(Const),
    Compute(Compute),
    Scatter(Scatter),
    Sort(Sort),
    Compact(Compact),
    Prefix(Prefix),
    Scan(Scan),
    If(If),
    Loop(Loop),
    /// One integer scalar (rank 0, i64); no results, one symbol in `binds`. A value outside the symbol's range is an
    /// error that names the node.
    Bind,
    Host(Host),
    Region(Region),
}

/// A constant's contents.
#[derive(Clone, Debug, PartialEq)]
pub enum Const {
    /// Small: printed in full.
    Inline(Tensor),
    /// One element repeated over the result's shape.
    Splat(Scalar),
    /// `0, 1, 2, …` along the only dim, of the result's dtype.
    Iota,
    /// Large: printed by hash.
    Blob(Blob),
}

/// A large constant and its content hash.
#[derive(Clone, Debug)]
pub struct Blob {
    pub hash: crate::tensor::Hash,
    pub tensor: Tensor,
}

impl PartialEq for Blob {
    /// The hash covers dtype, shape and contents.
    fn eq(&self, other: &Blob) -> bool {
        self.hash == other.hash
    }
}

/// `outs[k][i] = expr(i, accs)`, each `acc = combine over the reduction dims of value(i, r)`.
///
/// All results share `shape`. With an empty `reduce` there are no accumulators. Index variables: `0..shape.len()` run
/// over the parallel dims, the following ones over `reduce`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compute {
    pub shape: Vec<Dim>,
    pub reduce: Vec<Extent>,
    pub exprs: Exprs,
    pub accs: Vec<Acc>,
    pub outs: Vec<ExprId>,
}

/// Extent of a reduction dim: `bound`, or `size` (an i64 expression of the parallel index) taken into `0..=bound`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extent {
    pub bound: Dim,
    pub size: Option<ExprId>,
}

/// One accumulator. Its initial value is the combiner's neutral element, so an empty reduction yields that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acc {
    pub combiner: Combiner,
    /// Dtype of the accumulator: that of `value`, or i64 for `ArgMax` and `ArgMin`.
    pub dtype: DType,
    pub value: ExprId,
}

/// How values combine, in row-major order of the reduction index. Sums and products of integers wrap; those of floats run in
/// `f64` and round once at the end, and a `Sum` whose value is a product (`Mul`) of floats adds the unrounded products.
/// `Max`, `Min` give NaN if any value is, and the first of equal values (the two zeros). `ArgMax`, `ArgMin` give the linear
/// reduction index (row-major over the bounds) of the best value, the first of equals unless `last`, NaN better than
/// anything; their neutral element is index 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Combiner {
    Sum,
    Prod,
    Max,
    Min,
    Any,
    All,
    ArgMax { last: bool },
    ArgMin { last: bool },
}

impl Combiner {
    /// The neutral element of an accumulator of `dtype`.
    pub fn neutral(self, dtype: DType) -> Scalar {
        match self {
            Combiner::Sum => Scalar::zero(dtype),
            Combiner::Prod => Scalar::from_i64(dtype, 1),
            Combiner::Max => Scalar::lowest(dtype),
            Combiner::Min => Scalar::highest(dtype),
            Combiner::Any => Scalar::bool(false),
            Combiner::All => Scalar::bool(true),
            Combiner::ArgMax { .. } | Combiner::ArgMin { .. } => Scalar::zero(DType::I64),
        }
    }

    /// Spelling in text.
    pub fn name(self) -> &'static str {
        match self {
            Combiner::Sum => "sum",
            Combiner::Prod => "prod",
            Combiner::Max => "max",
            Combiner::Min => "min",
            Combiner::Any => "any",
            Combiner::All => "all",
            Combiner::ArgMax { last: false } => "argmax",
            Combiner::ArgMax { last: true } => "argmax_last",
            Combiner::ArgMin { last: false } => "argmin",
            Combiner::ArgMin { last: true } => "argmin_last",
        }
    }

    /// All combiners.
    pub const ALL: [Combiner; 10] = [
        Combiner::Sum,
        Combiner::Prod,
        Combiner::Max,
        Combiner::Min,
        Combiner::Any,
        Combiner::All,
        Combiner::ArgMax { last: false },
        Combiner::ArgMax { last: true },
        Combiner::ArgMin { last: false },
        Combiner::ArgMin { last: true },
    ];
}

/// What happens where two updates meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScatterMode {
    /// The later in row-major order of the domain wins.
    Last,
    /// Combined with what is there, in row-major order of the domain.
    Combine(Combiner),
}

/// Result = operand 0, changed at `index(d)` by `value(d)` for every `d` of `domain` in row-major order. An index outside
/// the base's shape is skipped. `index` has one i64 expression per dim of the base; `value` has the base's dtype. Float sums
/// and products round once, after the last update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scatter {
    pub domain: Vec<Dim>,
    pub exprs: Exprs,
    pub index: Vec<ExprId>,
    pub value: ExprId,
    pub mode: ScatterMode,
}

/// Sorts along an axis. Operands: one or more keys of one shape, the first the most significant. Results: each key in the
/// new order, then the i64 source index along the axis. NaN counts as the largest value. Equal keys keep their order.
/// `descending` turns the order of the keys around, so NaN come first. With `limit` (at most the extent), only the first so
/// many are produced. -0 equals +0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sort {
    pub axis: usize,
    pub descending: bool,
    pub limit: Option<Dim>,
}

/// Positions of the true elements of a rank-1 bool mask. Results: i64 positions (extent `bound`, those beyond the count are
/// 0) and the i64 count (rank 0). More than `bound` true elements: the rest is dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compact {
    pub bound: Dim,
}

/// Running combination along an axis (sum, product, max, min; any or all of bool); every element rounds once. `exclusive`
/// leaves the element itself out, so that the first is the combiner's neutral one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix {
    pub axis: usize,
    pub combiner: Combiner,
    pub exclusive: bool,
    pub reverse: bool,
}

/// A sequential loop of known trip count. Operands: `carried` initial states, `scanned` tensors (sliced along axis 0), then
/// captures. Body inputs: states, slices, captures; body outputs: states, then slices that are stacked along a new axis 0.
/// Results: final states, stacked outputs. States keep their types.
#[derive(Clone, Debug, PartialEq)]
pub struct Scan {
    pub trip: Dim,
    pub carried: usize,
    pub scanned: usize,
    pub body: Box<Graph>,
}

/// Operand 0: condition (bool, rank 0); then captures, which both bodies take as inputs. Results: the taken body's outputs.
#[derive(Clone, Debug, PartialEq)]
pub struct If {
    pub then_body: Box<Graph>,
    pub else_body: Box<Graph>,
}

/// A loop whose end is found while it runs. Operands: trip limit (i64, rank 0), initial condition (bool, rank 0), `carried`
/// initial values, captures. Body inputs: iteration number (i64, rank 0), carried, captures; the condition is not an
/// input. Body outputs: condition, carried, then tensors that are stacked along a new axis 0. Results: carried, stacked.
/// `binds` of the node: sizes of the results; `binds` of the body: sizes of its carried inputs. A trip limit below 1 runs
/// nothing. Slices of one stacked output have one shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Loop {
    pub carried: usize,
    pub body: Box<Graph>,
}

/// Work that only the host does: strings, sequences, maps, image decoding.
#[derive(Clone, Debug, PartialEq)]
pub struct Host {
    pub op: &'static HostOp,
    pub attrs: Attrs,
}

/// A computation known as a whole; `body` says exactly what it means. The body's inputs are the operands, its outputs the
/// results.
#[derive(Clone, Debug, PartialEq)]
pub struct Region {
    pub kind: &'static RegionKind,
    pub attrs: Attrs,
    pub body: Box<Graph>,
}

impl Op {
    /// Spelling in text.
    pub fn name(&self) -> &'static str {
        match self {
            Op::Const(_) => "const",
            Op::Compute(_) => "compute",
            Op::Scatter(_) => "scatter",
            Op::Sort(_) => "sort",
            Op::Compact(_) => "compact",
            Op::Prefix(_) => "prefix",
            Op::Scan(_) => "scan",
            Op::If(_) => "if",
            Op::Loop(_) => "loop",
            Op::Bind => "bind",
            Op::Host(_) => "host",
            Op::Region(_) => "region",
        }
    }

    /// The graphs inside, to change.
    pub fn bodies_mut(&mut self) -> Vec<&mut Graph> {
        match self {
            Op::Scan(s) => vec![&mut s.body],
            Op::Loop(l) => vec![&mut l.body],
            Op::If(i) => vec![&mut i.then_body, &mut i.else_body],
            Op::Region(r) => vec![&mut r.body],
            Op::Const(_)
            | Op::Compute(_)
            | Op::Scatter(_)
            | Op::Sort(_)
            | Op::Compact(_)
            | Op::Prefix(_)
            | Op::Bind
            | Op::Host(_) => Vec::new(),
        }
    }

    /// The graphs inside.
    pub fn bodies(&self) -> Vec<&Graph> {
        match self {
            Op::Scan(s) => vec![&s.body],
            Op::Loop(l) => vec![&l.body],
            Op::If(i) => vec![&i.then_body, &i.else_body],
            Op::Region(r) => vec![&r.body],
            Op::Const(_)
            | Op::Compute(_)
            | Op::Scatter(_)
            | Op::Sort(_)
            | Op::Compact(_)
            | Op::Prefix(_)
            | Op::Bind
            | Op::Host(_) => Vec::new(),
        }
    }
}
