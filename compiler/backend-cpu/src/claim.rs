//! The kernel families of the CPU: what each can run, one file each.

mod contract;
mod conv;
mod nms;
mod pack;
mod pool;
mod recurrent;
mod rows;

use graph::dim::Dim;
use graph::dtype::DType;
use graph::graph::{Graph, NodeId, ValueId};
use graph::node::{Node, Op, Region};
use graph::symbol::Symbols;
use plan::claim::Claimant;

use crate::code::CpuCode;

/// All families.
pub const CLAIMANTS: &[&dyn Claimant<Code = CpuCode>] = &[
    &contract::Contractions,
    &conv::Convolutions,
    &pool::Pools,
    &rows::Rows,
    &recurrent::Recurrences,
    &nms::Suppressions,
];

/// Channels in a block.
pub(crate) const BLOCK: i64 = 16;

/// The region at a node, if it is of a kind.
fn region_at<'a>(graph: &'a Graph, node: NodeId, kind: &str) -> Option<(&'a Node, &'a Region)> {
    let node = graph.node(node)?;
    match &node.op {
        Op::Region(region) if region.kind.name == kind => Some((node, region)),
        _ => None,
    }
}

/// Shape of a value that is an f32 tensor.
fn f32_shape(graph: &Graph, value: ValueId) -> Option<&[Dim]> {
    graph.tensor(value).filter(|t| t.dtype == DType::F32).map(|t| t.shape.as_slice())
}

/// Nanoseconds of so many multiply-adds at the rate that the families reach on a core.
fn cost(symbols: &Symbols, work: &Dim) -> f64 {
    plan::group::estimate(work, symbols) as f64 / 40.0
}
