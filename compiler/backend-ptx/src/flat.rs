//! A stage over as few dims as its addresses allow.
//!
//! The address of a load becomes a *view*: strides over the whole domain, beside terms for what is not linear (the rows of a
//! gather) and checks for what may lie outside (padding, the parts of a concatenation). Neighbouring dims that every view walks
//! as one, and that no term, check or value looks at, become one dim. Only a load in blocks keeps its index expressions.
//!
//! ```text
//! shape [2, 3, 4, 5]                                     shape [6, 20]
//! e4 = load 0 [i0, i1, i2, i3]        (dense)      ->    view 0: strides [20, 1]
//! e5 = load 1 [i1]                                       view 1: strides [ …
//! ```

mod analysis;
mod rewrite;

use graph::dim::{Dim, SymId};
use graph::dtype::DType;
use graph::expr::{ExprId, Exprs};
use graph::node::{Acc, Combiner, Extent};
use graph::symbol::{SymSource, Symbols};
use nest::index::IndexSpace;
use nest::kernel::{Port, Stage};
use nest::layout::Access;

use crate::error::PtxError;
use crate::flat::analysis::Analysis;
use crate::flat::rewrite::Rewriter;

/// What a load reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Memory {
    /// An operand of the kernel.
    Operand(usize),
    /// A kept output, in the order of the stages.
    Kept(usize),
}

/// A linear map of the index variables, and of values from data that are the same along the other dims: `access` and
/// `coefficient * expression` for each term.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Map {
    pub access: Access,
    pub terms: Vec<(Dim, ExprId)>,
}

/// A value that must be at least 0 and below an extent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    pub map: Map,
    pub extent: Dim,
}

/// What a load of a [`Flat`] names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    pub memory: Memory,
    pub dtype: DType,
    pub shape: Vec<Dim>,
    pub way: Way,
    /// The highest address that is read.
    pub last: Dim,
}

/// How a load finds its element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// By a map of the whole domain, where the checks hold. `varies`: dims that terms and checks depend on.
    View { map: Map, checks: Vec<Check>, varies: Vec<bool> },
    /// By its index expressions, within the shape.
    Indexed { access: Access },
}

/// Where an output goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sink {
    /// Into a result, by strides over the parallel dims.
    Strided { result: usize, dtype: DType, access: Access },
    /// Into a result, at index expressions.
    Indexed { result: usize, port: Port, index: Vec<ExprId> },
    /// Into the storage of a kept output, by strides over the parallel dims.
    Keep { kept: usize, dtype: DType, access: Access },
}

/// A stage over a collapsed domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flat {
    /// Extents of the parallel dims; the first `outer` of them belong to the nest's outer domain.
    pub parallel: Vec<Dim>,
    pub outer: usize,
    pub reduce: Vec<Extent>,
    pub exprs: Exprs,
    pub accs: Vec<Acc>,
    pub outs: Vec<(ExprId, Sink)>,
    pub sources: Vec<Source>,
}

/// The symbols of a kernel's parameters: not negative where one is an extent.
pub fn parameter_symbols(params: usize, extents: &[Dim]) -> Symbols {
    let mut symbols = Symbols::default();
    for k in 0..params {
        let is_extent = extents.iter().any(|d| d.as_symbol() == Some(SymId(k as u32)));
        let lo = if is_extent { 0 } else { -(1 << 40) };
        symbols.add(&format!("p{k}"), lo, Some(1 << 40), SymSource::Input);
    }
    symbols
}

/// What a stage reads: the kernel's operands, then what is kept before it.
#[derive(Clone, Copy)]
pub struct Reads<'a> {
    pub operands: &'a [Port],
    /// Dtype and inner shape, in order.
    pub kept: &'a [(DType, Vec<Dim>)],
}

/// Which dims of a stage may become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merge {
    /// All parallel ones: the nest has one stage.
    All,
    /// The outer ones stay as they are.
    Inner,
    /// All, in their order; outputs keep their index expressions.
    Updates,
}

/// Collapses a stage.
pub fn flatten(
    symbols: &Symbols,
    outer: &[Dim],
    stage: &Stage,
    reads: Reads<'_>,
    results: &[Port],
    merge: Merge,
) -> Result<Flat, PtxError> {
    let parallel: Vec<Dim> = outer.iter().chain(&stage.inner).cloned().collect();
    let bounds = stage.reduce.iter().map(|e| e.bound.clone());
    let extents: Vec<Dim> = parallel.iter().cloned().chain(bounds).collect();
    let space = IndexSpace::new(symbols, &extents);
    let outer = if merge == Merge::Inner { outer.len() } else { 0 };
    let mut analysis = Analysis { stage, reads, results, space: &space, extents: &extents, views: Vec::new() };
    analysis.find_views(parallel.len(), merge)?;
    let groups = analysis.groups(parallel.len(), outer);
    Rewriter::new(&analysis, groups, parallel.len(), outer).run()
}

impl Flat {
    /// The source that a load names.
    pub fn source(&self, operand: u32) -> Option<&Source> {
        self.sources.get(operand as usize)
    }

    /// Whether an accumulator yields positions, whose order of steps matters.
    pub fn has_positions(&self) -> bool {
        self.accs.iter().any(|a| matches!(a.combiner, Combiner::ArgMax { .. } | Combiner::ArgMin { .. }))
    }

    /// Points of the parallel domain.
    pub fn points(&self) -> Dim {
        Dim::product(&self.parallel)
    }

    /// Steps of the reduction.
    pub fn steps(&self) -> Dim {
        Dim::product(self.reduce.iter().map(|e| &e.bound))
    }
}
