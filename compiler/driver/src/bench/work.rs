//! What a step of a plan moves and computes: bytes of the tensors that it reads and writes, operations of the products that
//! it claims or has in its loops.

use std::collections::BTreeMap;

use graph::dim::{Dim, SymId};
use graph::graph::{Graph, ValueId};
use graph::node::Op;
use graph::region::attention;
use graph::region::contract::{self, Contract};
use graph::region::conv;
use nest::kernel::{Body, Kernel};
use plan::plan::{Action, Block, Code, Launch, Plan, Step, View};

/// The work of one step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Work {
    /// `None` where a size is found while running.
    pub bytes: Option<f64>,
    /// Two a multiply-add.
    pub flops: f64,
}

/// The steps of a plan by number: those of a block in order, those inside a step behind it.
pub fn steps<C>(plan: &Plan<C>) -> Vec<&Step> {
    fn walk<'p>(block: &'p Block, out: &mut Vec<&'p Step>) {
        for step in &block.steps {
            out.push(step);
            match &step.action {
                Action::Loop(inner) => walk(&inner.body, out),
                Action::If(inner) => {
                    walk(&inner.then_block, out);
                    walk(&inner.else_block, out);
                }
                Action::Launch(_)
                | Action::Copy { .. }
                | Action::Clear { .. }
                | Action::Host(_)
                | Action::ReadBack { .. }
                | Action::Let { .. }
                | Action::Check { .. } => {}
            }
        }
    }
    let mut out = Vec::new();
    walk(&plan.body, &mut out);
    out
}

/// The work of a step at these sizes.
pub fn work<C>(plan: &Plan<C>, step: &Step, sizes: &BTreeMap<SymId, i64>) -> Work {
    let value = |dim: &Dim| dim.eval(&|id| sizes.get(&id).copied()).map(|v| v.max(0) as f64);
    let bytes = |view: &View| {
        let bits = f64::from(plan.buffers.get(view.buffer.0 as usize)?.dtype.bits());
        // Positions that share an element count once.
        let dims = view.shape.iter().zip(&view.access.strides).filter(|(_, stride)| !stride.is(0));
        dims.map(|(dim, _)| value(dim)).try_fold(bits / 8.0, |product, extent| Some(product * extent?))
    };
    let total = |views: &mut dyn Iterator<Item = &View>| views.map(bytes).try_fold(0.0, |sum, b| Some(sum + b?));
    match &step.action {
        Action::Launch(launch) => {
            // What two operands read of one place comes from memory once.
            let mut seen: Vec<&View> = Vec::new();
            for view in launch.reads.iter().chain(&launch.writes) {
                if !seen.contains(&view) {
                    seen.push(view);
                }
            }
            Work { bytes: total(&mut seen.into_iter()), flops: flops(plan, launch, &value).unwrap_or(0.0) }
        }
        Action::Copy { from, to } => Work { bytes: total(&mut [from, to].into_iter()), flops: 0.0 },
        Action::Clear { buffer } => {
            let buffer = plan.buffers.get(buffer.0 as usize);
            let bytes = buffer.and_then(|b| Some(value(&b.elements)? * f64::from(b.dtype.bits()) / 8.0));
            Work { bytes, flops: 0.0 }
        }
        Action::Host(_)
        | Action::ReadBack { .. }
        | Action::Let { .. }
        | Action::Check { .. }
        | Action::Loop(_)
        | Action::If(_) => Work::default(),
    }
}

fn flops<C>(plan: &Plan<C>, launch: &Launch, value: &dyn Fn(&Dim) -> Option<f64>) -> Option<f64> {
    match plan.codes.get(launch.code.0 as usize)? {
        Code::Claimed(_) => graph_flops(launch.meaning.as_deref()?, value),
        Code::Kernel(kernel) => {
            let of_code = |dim: &Dim| dim.eval(&|id| launch.sizes.get(id.0 as usize).and_then(value).map(|v| v as i64));
            kernel_flops(kernel, &|dim| of_code(dim).map(|v| v.max(0) as f64))
        }
    }
}

/// Sums of products in loops: two for each accumulation.
fn kernel_flops(kernel: &Kernel, value: &dyn Fn(&Dim) -> Option<f64>) -> Option<f64> {
    let Body::Nest(nest) = &kernel.body else { return Some(0.0) };
    let product =
        |dims: &mut dyn Iterator<Item = &Dim>| dims.map(value).try_fold(1.0, |product, extent| Some(product * extent?));
    let outer = product(&mut nest.outer.iter())?;
    let mut sum = 0.0;
    for stage in nest.stages.iter().filter(|stage| !stage.accs.is_empty()) {
        let inner = product(&mut stage.inner.iter().chain(stage.reduce.iter().map(|e| &e.bound)))?;
        sum += 2.0 * outer * inner * stage.accs.len() as f64;
    }
    Some(sum)
}

/// Operations of the products among a graph's regions.
fn graph_flops(graph: &Graph, value: &dyn Fn(&Dim) -> Option<f64>) -> Option<f64> {
    let shape = |id: &ValueId| {
        let ty = graph.value(*id)?.ty.as_tensor()?;
        ty.shape.iter().map(value).collect::<Option<Vec<f64>>>()
    };
    let mut sum = 0.0;
    for node in &graph.nodes {
        let Op::Region(region) = &node.op else { continue };
        let operands = node.operands.iter().map(shape).collect::<Option<Vec<_>>>()?;
        sum += match (region.kind.name, operands.as_slice()) {
            (kind, [a, b, ..]) if kind == contract::KIND.name => {
                let contract = Contract::from_attrs(&region.attrs).ok()?;
                let labels = contract.a.chars().zip(a).chain(contract.b.chars().zip(b));
                let extents: BTreeMap<char, f64> = labels.map(|(label, extent)| (label, *extent)).collect();
                2.0 * extents.values().product::<f64>()
            }
            (kind, [_, weight, ..]) if kind == conv::KIND.name => {
                let out = node.results.first().and_then(shape)?;
                2.0 * out.iter().product::<f64>() * weight.iter().skip(1).product::<f64>()
            }
            (kind, [q, k, v, ..]) if kind == attention::KIND.name => {
                let rows = q.iter().take(3).product::<f64>() * k.get(2)?;
                2.0 * rows * (q.get(3)? + v.get(3)?)
            }
            _ => 0.0,
        };
    }
    Some(sum)
}
