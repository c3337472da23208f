//! The kernel families of the GPU as claimants: what each can run, in which layouts, in which variant.

mod attention;
mod contract;
mod conv;
mod depthwise;
mod pack;
mod recurrent;
mod tuned;
mod variants;

use graph::dim::{Dim, Pred};
use graph::dtype::DType;
use graph::graph::{Graph, NodeId};
use graph::node::{Node, Op, Region};
use graph::region::contract::Maths;
use graph::symbol::Symbols;

use crate::device::Device;
use crate::fragment::Input;

pub use attention::Attentions;
pub use contract::Contractions;
pub use conv::Convolutions;
pub use depthwise::DepthwiseConvolutions;
pub use recurrent::Recurrences;

/// The region at a node, if it is of a kind.
fn region_at<'a>(graph: &'a Graph, node: NodeId, kind: &str) -> Option<(&'a Node, &'a Region)> {
    let node = graph.node(node)?;
    match &node.op {
        Op::Region(region) if region.kind.name == kind => Some((node, region)),
        _ => None,
    }
}

/// How operands of two dtypes are multiplied; `None` if no family does.
fn input(device: &Device, dtypes: [DType; 2], acc: DType, maths: Maths) -> Option<Input> {
    if dtypes[0] != dtypes[1] || acc != DType::F32 {
        return None;
    }
    let input = match (dtypes[0], maths) {
        (DType::F16, _) => Input::F16,
        (DType::BF16, _) => Input::Bf16,
        (DType::F32, Maths::Tf32) if device.sm.number() >= 80 => Input::Tf32,
        (DType::F32, _) => Input::F32,
        _ => return None,
    };
    (device.sm.number() >= input.least_sm()).then_some(input)
}

/// A constant size that a kernel takes as code; `Err` for one that is too large, or 0.
fn as_code(size: &Dim) -> Option<Option<u32>> {
    match size.as_const() {
        Some(value) => u32::try_from(value).ok().filter(|v| (1..1 << 30).contains(v)).map(Some),
        None => Some(None),
    }
}

/// The most bytes that may be copied at once from rows of `extent` elements that lie dense from a multiple of 16 bytes on.
fn chunk(symbols: &Symbols, extent: &Dim, element: u32) -> u32 {
    let whole = |bytes: &u32| {
        let unit = Dim::constant(i64::from(bytes / element));
        *bytes >= element && symbols.prove(&Pred::Divides(unit, extent.clone())) == Some(true)
    };
    [16, 8, 4].into_iter().find(whole).unwrap_or(element)
}

/// How many neighbouring columns are finished at once.
fn vector(symbols: &Symbols, columns: &Dim) -> u32 {
    let whole = |v: &u32| symbols.prove(&Pred::Divides(Dim::constant(i64::from(*v)), columns.clone())) == Some(true);
    [8, 4, 2].into_iter().find(whole).unwrap_or(1)
}

/// A typical value of a size.
fn typical(symbols: &Symbols, size: &Dim) -> f64 {
    (plan::group::estimate(size, symbols) as f64).max(1.0)
}
