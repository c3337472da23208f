//! What a back end prints: loop nests, and the few whole-tensor primitives beside them.
//!
//! All sizes in a kernel are [`Dim`]s over its own parameters (`SymId(k)` is parameter `k`), so that equal kernels of
//! different sizes are equal data and are emitted once. Operands and results are buffers with an address map each.

use graph::dim::Dim;
use graph::dtype::DType;
use graph::expr::{ExprId, Exprs};
use graph::node::{Acc, Combiner, Extent, ScatterMode};

use crate::layout::Access;

/// A kernel of the generic way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// Number of size parameters.
    pub params: usize,
    /// Read: `Load` operand `k` for `k < operands.len()`.
    pub operands: Vec<Port>,
    /// Written.
    pub results: Vec<Port>,
    pub body: Body,
}

/// A tensor as a kernel sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    pub dtype: DType,
    pub shape: Vec<Dim>,
    pub access: Access,
}

/// What a kernel does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    Nest(Nest),
    Scatter(ScatterKernel),
    /// Operands: keys, all of one shape. Results: sorted keys, i64 positions; their extent along the axis is the limit.
    Sort {
        axis: usize,
        descending: bool,
    },
    /// Operand: bool mask of rank 1. Results: i64 positions, i64 count of rank 0.
    Compact,
    /// Operand and result of one shape.
    Prefix {
        axis: usize,
        combiner: Combiner,
        exclusive: bool,
        reverse: bool,
    },
}

/// Stages over one outer domain. For every outer index the stages run in order; a kept stage's values live until that
/// outer index is done.
///
/// ```text
/// outer [B]                                       softmax of rows, as stages:
///   keep   s0[] = max over k of load 0 [b, k]
///   keep   s1[C] = exp(load 0 [b, c] - s0[])
///   keep   s2[] = sum over k of s1[k]
///   store  [C]  = s1[c] / s2[]
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nest {
    pub outer: Vec<Dim>,
    pub stages: Vec<Stage>,
}

/// One stage: values over `inner` for the current outer index. Index variables: the outer dims, then `inner`, then `reduce`.
///
/// `Load` operand numbers: the kernel's operands, then one per kept output of the earlier stages in order; a kept output is
/// indexed by its inner dims only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    pub inner: Vec<Dim>,
    pub reduce: Vec<Extent>,
    pub exprs: Exprs,
    pub accs: Vec<Acc>,
    pub outs: Vec<Out>,
}

/// One output of a stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Out {
    pub value: ExprId,
    pub target: Target,
}

/// Where an output goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Into storage that lives for one outer index.
    Keep,
    /// To a result, at this index (i64 expressions, one per dim of the result's port).
    Store { result: usize, index: Vec<ExprId> },
}

/// Updates of operand 0 (the base), whose elements the result starts with. `index` and `value` are expressions over the
/// domain; an index outside the base is skipped; the domain is walked in row-major order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScatterKernel {
    pub domain: Vec<Dim>,
    pub exprs: Exprs,
    pub index: Vec<ExprId>,
    pub value: ExprId,
    pub mode: ScatterMode,
}

impl Nest {
    /// Dtypes of the kept outputs of all stages before `stage`, in operand order.
    pub fn kept_before(&self, stage: usize) -> Vec<(DType, &[Dim])> {
        let earlier = self.stages.iter().take(stage);
        earlier
            .flat_map(|s| {
                let kept = s.outs.iter().filter(|o| o.target == Target::Keep);
                kept.map(move |o| (s.exprs.dtype(o.value), s.inner.as_slice()))
            })
            .collect()
    }
}
