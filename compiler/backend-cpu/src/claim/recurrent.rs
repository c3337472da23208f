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

#[cfg(test)]
mod tests {
    use graph::builder::{BuildError, Builder};
    use graph::datum::Datum;
    use graph::eval;
    use graph::graph::Model;
    use graph::region::rnn;
    use graph::scalar::Scalar;
    use graph::tensor::Tensor;
    use graph::ty::Type;
    use plan::eval_plan::{Options, eval_plan};
    use plan::plan::Code;
    use plan::target::Target;

    use super::*;
    use crate::claim::CLAIMANTS;

    fn numbers(shape: &[usize], seed: usize) -> Tensor {
        let count: usize = shape.iter().product();
        let value = |i: usize| Scalar::f32(((i * 37 + seed * 11) % 41) as f32 / 64.0 - 0.3);
        let values: Vec<Scalar> = (0..count).map(value).collect();
        Tensor::from_scalars(DType::F32, shape.to_vec(), &values).unwrap()
    }

    fn layer(rnn: &Rnn, inputs: &mut Vec<Datum>) -> Result<Model, BuildError> {
        let (steps, batch, width, hidden) = (3, 2, 4, 5);
        let rows = rnn.cell.gates() as usize * hidden;
        let mut b = Builder::new("layer");
        let mut input = |b: &mut Builder, shape: &[usize], seed: usize| {
            inputs.push(Datum::Tensor(numbers(shape, seed)));
            b.input("", Type::tensor(DType::F32, shape.iter().map(|d| Dim::constant(*d as i64)).collect::<Vec<_>>()))
        };
        let mut operands = vec![input(&mut b, &[steps, batch, width], 1)];
        operands.push(b.constant(numbers(&[rows, width], 2))?);
        operands.push(b.constant(numbers(&[rows, hidden], 3))?);
        let states = if matches!(rnn.cell, Cell::Lstm { .. }) { 2 } else { 1 };
        operands.extend((0..states).map(|k| input(&mut b, &[batch, hidden], 4 + k)));
        if rnn.bias {
            operands.push(b.constant(numbers(&[2 * rows], 6))?);
        }
        if rnn.lengths {
            inputs.push(Datum::Tensor(
                Tensor::from_scalars(DType::I64, vec![batch], &[Scalar::i64(2), Scalar::i64(3)]).unwrap(),
            ));
            operands.push(b.input("", Type::tensor(DType::I64, [Dim::constant(batch as i64)])));
        }
        if rnn.peepholes {
            operands.push(b.constant(numbers(&[3 * hidden], 7))?);
        }
        b.region(&rnn::KIND, rnn.to_attrs(), &operands)?.into_iter().for_each(|v| b.output(v));
        Ok(b.finish())
    }

    /// What a layer's steps are planned as; the plan means what the layer does.
    fn check(rnn: Rnn, expected: Option<RecurrentCode>) {
        let mut inputs = Vec::new();
        let model = layer(&rnn, &mut inputs).unwrap();
        let plan = plan::planner::plan_model(&model, &Target::lines(CLAIMANTS)).unwrap();
        let found = plan.codes.iter().find_map(|code| match code {
            Code::Claimed(claimed) => match &claimed.code {
                CpuCode::Recurrent(code) => Some(*code),
                _ => None,
            },
            Code::Kernel(_) => None,
        });
        assert_eq!(found, expected);
        let planned = eval_plan(&plan, &inputs, Options { poison: true }).unwrap();
        assert_eq!(planned, eval::model(&model, &inputs).unwrap());
    }

    fn plain(cell: Cell, activations: &[Activation]) -> Rnn {
        Rnn { cell, activations: activations.to_vec(), clip: None, bias: true, lengths: false, peepholes: false }
    }

    #[test]
    fn usual_layers_are_claimed() {
        use Activation::{Relu, Sigmoid, Tanh};
        let code = |cell| Some(RecurrentCode { cell, clip: None, lengths: false });
        let lstm = plain(Cell::Lstm { input_forget: false }, &[Sigmoid, Tanh, Tanh]);
        check(lstm.clone(), code(CellCode::Lstm { input_forget: false, peepholes: false }));
        let all = Rnn { peepholes: true, lengths: true, clip: Some(Scalar::f32(0.5)), ..lstm };
        let cell = CellCode::Lstm { input_forget: false, peepholes: true };
        check(all, Some(RecurrentCode { cell, clip: Some(0.5f32.to_bits()), lengths: true }));
        for linear_before_reset in [false, true] {
            let gru = plain(Cell::Gru { linear_before_reset }, &[Sigmoid, Tanh]);
            check(gru, code(CellCode::Gru { linear_before_reset, bias: linear_before_reset }));
        }
        check(plain(Cell::Plain, &[Relu]), code(CellCode::Plain(PlainCell::Relu)));
    }

    #[test]
    fn other_activations_stay_a_scan() {
        check(plain(Cell::Plain, &[Activation::Softsign]), None);
        let odd = [Activation::Tanh, Activation::Sigmoid, Activation::Tanh];
        check(plain(Cell::Lstm { input_forget: false }, &odd), None);
    }
}
