//! The steps of recurrent layers with constant weights and the usual activations.

use graph::dim::Dim;
use graph::dtype::DType;
use graph::graph::NodeId;
use graph::region::activation::Activation;
use graph::region::rnn::{Cell, Rnn};
use plan::claim::{Claim, ClaimOperand, Claimant, Derived, Site, Want};

use crate::claim::{cost, f32_shape, pack, region_at};
use crate::code::{CellCode, CpuCode, PlainCell, RecurrentCode};

/// The family.
pub(super) struct Recurrences;

impl Claimant for Recurrences {
    type Code = CpuCode;

    fn name(&self) -> &'static str {
        "recurrent"
    }

    fn claims(&self, site: &Site<'_>, seed: NodeId) -> Vec<Claim<CpuCode>> {
        claim(site, seed).into_iter().collect()
    }
}

fn claim(site: &Site<'_>, seed: NodeId) -> Option<Claim<CpuCode>> {
    let (node, region) = region_at(site.graph, seed, "rnn_steps")?;
    let rnn = Rnn::from_attrs(&region.attrs).ok()?;
    let cell = cell_of(&rnn)?;
    let [pre, recurrent, others @ ..] = node.operands.as_slice() else { return None };
    (site.constants)(*recurrent)?;
    let (input, weight) = (f32_shape(site.graph, *pre)?, f32_shape(site.graph, *recurrent)?);
    let [steps, batch, columns] = input else { return None };
    let hidden = weight.get(1)?;
    let units = hidden.as_const()?;
    // All that is not a number of steps is f32.
    let behind = usize::from(rnn.lengths) + usize::from(rnn.peepholes);
    let lengths = others.len().checked_sub(behind)?;
    for (k, value) in others.iter().enumerate() {
        let is_length = rnn.lengths && k == lengths;
        let found = site.graph.tensor(*value)?.dtype;
        if found != if is_length { DType::I64 } else { DType::F32 } {
            return None;
        }
    }
    let derived = |graph| Derived { name: "packed".to_string(), graph, inputs: vec![*recurrent] };
    let derived = match cell {
        CellCode::Gru { .. } => {
            let two = units.checked_mul(2)?;
            vec![
                derived(pack::rows(weight, 0, &Dim::constant(two)).ok()?),
                derived(pack::rows(weight, two, hidden).ok()?),
            ]
        }
        CellCode::Lstm { .. } | CellCode::Plain(_) => vec![derived(pack::rows(weight, 0, weight.first()?).ok()?)],
    };
    let dense = |value| ClaimOperand { value, want: Want::Dense };
    let clip = rnn.clip.map(|clip| (clip.as_f64() as f32).to_bits());
    Some(Claim {
        nodes: vec![seed],
        operands: [*pre].into_iter().chain(others.iter().copied()).map(dense).collect(),
        derived,
        results: node.results.clone(),
        result_layout: None,
        epilogue: false,
        sizes: vec![steps.clone(), batch.clone(), hidden.clone()],
        workspace: Dim::product([batch, columns, &Dim::constant(4)]),
        cost: cost(site.symbols, &Dim::product([steps, batch, columns, hidden])),
        code: CpuCode::Recurrent(RecurrentCode { cell, clip, lengths: rnn.lengths }),
    })
}

/// The cell, if its activations are those of the kernels.
fn cell_of(rnn: &Rnn) -> Option<CellCode> {
    Some(match (rnn.cell, rnn.activations.as_slice()) {
        (Cell::Lstm { input_forget }, [Activation::Sigmoid, Activation::Tanh, Activation::Tanh]) => {
            CellCode::Lstm { input_forget, peepholes: rnn.peepholes }
        }
        (Cell::Gru { linear_before_reset }, [Activation::Sigmoid, Activation::Tanh]) => {
            CellCode::Gru { linear_before_reset, bias: rnn.bias }
        }
        (Cell::Plain, [Activation::Tanh]) => CellCode::Plain(PlainCell::Tanh),
        (Cell::Plain, [Activation::Relu]) => CellCode::Plain(PlainCell::Relu),
        (Cell::Plain, [Activation::Sigmoid]) => CellCode::Plain(PlainCell::Sigmoid),
        (Cell::Lstm { .. } | Cell::Gru { .. } | Cell::Plain, _) => return None,
    })
}
