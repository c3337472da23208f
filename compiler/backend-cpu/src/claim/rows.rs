//! Softmax and normalisation along the last dim, row by row.

use graph::dim::Dim;
use graph::dtype::DType;
use graph::graph::{NodeId, ValueId};
use graph::region::norm::Norm;
use graph::region::softmax::Softmax;
use plan::claim::{Claim, ClaimOperand, Claimant, Site, Want};

use crate::claim::{cost, f32_shape, region_at};
use crate::code::{CpuCode, RowsCode};

/// The family.
pub(super) struct Rows;

impl Claimant for Rows {
    type Code = CpuCode;

    fn name(&self) -> &'static str {
        "rows"
    }

    fn claims(&self, site: &Site<'_>, seed: NodeId) -> Vec<Claim<CpuCode>> {
        softmax(site, seed).or_else(|| norm(site, seed)).into_iter().collect()
    }
}

fn softmax(site: &Site<'_>, seed: NodeId) -> Option<Claim<CpuCode>> {
    let (node, region) = region_at(site.graph, seed, "softmax")?;
    let softmax = Softmax::from_attrs(&region.attrs).ok()?;
    let ([x], [result]) = (node.operands.as_slice(), node.results.as_slice()) else { return None };
    let shape = f32_shape(site.graph, *x)?;
    if softmax.axis + 1 != shape.len() {
        return None;
    }
    rows(site, seed, *x, *result, shape, RowsCode::Softmax { log: softmax.log })
}

fn norm(site: &Site<'_>, seed: NodeId) -> Option<Claim<CpuCode>> {
    let (node, region) = region_at(site.graph, seed, "norm")?;
    let norm = Norm::from_attrs(&region.attrs).ok()?;
    let (x, value) = (*node.operands.first()?, *node.results.first()?);
    let shape = f32_shape(site.graph, x)?;
    let statistics = node.results.get(1..)?;
    let unread = |v: &ValueId| site.facts.readers(*v).is_empty() && !site.facts.is_output(*v);
    if norm.axes != [shape.len().checked_sub(1)?] || norm.stats != DType::F32 || !statistics.iter().all(unread) {
        return None;
    }
    let eps = (norm.eps.as_f64() as f32).to_bits();
    rows(site, seed, x, value, shape, RowsCode::Norm { center: norm.center, eps })
}

fn rows(
    site: &Site<'_>,
    seed: NodeId,
    x: ValueId,
    result: ValueId,
    shape: &[Dim],
    code: RowsCode,
) -> Option<Claim<CpuCode>> {
    let last = shape.last()?;
    let work = &Dim::product(shape) * &Dim::constant(8);
    Some(Claim {
        nodes: vec![seed],
        operands: vec![ClaimOperand { value: x, want: Want::Dense }],
        derived: Vec::new(),
        results: vec![result],
        result_layout: None,
        epilogue: true,
        sizes: shape.to_vec(),
        workspace: last * &Dim::constant(4),
        cost: cost(site.symbols, &work),
        code: CpuCode::Rows(code),
    })
}
