//! Suppression of boxes that overlap better ones, in f32.

use graph::dim::Dim;
use graph::graph::NodeId;
use graph::region::nms::Nms;
use plan::claim::{Claim, ClaimOperand, Claimant, Site, Want};

use crate::claim::{BLOCK, cost, f32_shape, region_at};
use crate::code::{CpuCode, NmsCode};

/// The family.
pub(super) struct Suppressions;

impl Claimant for Suppressions {
    type Code = CpuCode;

    fn name(&self) -> &'static str {
        "nms"
    }

    fn claims(&self, site: &Site<'_>, seed: NodeId) -> Vec<Claim<CpuCode>> {
        claim(site, seed).into_iter().collect()
    }
}

fn claim(site: &Site<'_>, seed: NodeId) -> Option<Claim<CpuCode>> {
    let (node, region) = region_at(site.graph, seed, "nms")?;
    let Nms { centered, floor, steps } = Nms::from_attrs(&region.attrs).ok()?;
    node.operands.iter().try_for_each(|value| f32_shape(site.graph, *value).map(|_| ()))?;
    let [batch, classes, count] = f32_shape(site.graph, *node.operands.get(1)?)? else { return None };
    let dense = |value: &_| ClaimOperand { value: *value, want: Want::Dense };
    // Candidates, and five numbers of each box that is kept.
    let block = Dim::constant(BLOCK);
    let lanes = Dim::product([&site.symbols.ceil_div(&steps, &block), &block, &Dim::constant(5)]);
    let elements = &(count * &Dim::constant(2)) + &lanes;
    Some(Claim {
        nodes: vec![seed],
        operands: node.operands.iter().map(dense).collect(),
        derived: Vec::new(),
        results: node.results.clone(),
        result_layout: None,
        epilogue: false,
        sizes: vec![batch.clone(), classes.clone(), count.clone(), steps.clone()],
        workspace: Dim::product([&elements, &Dim::constant(4)]),
        cost: cost(site.symbols, &Dim::product([batch, classes, count, &Dim::constant(64)])),
        code: CpuCode::Nms(NmsCode { centered, floor }),
    })
}

#[cfg(test)]
mod tests {
    use graph::builder::Builder;
    use graph::datum::Datum;
    use graph::dtype::DType;
    use graph::eval;
    use graph::graph::{Model, ValueId};
    use graph::region::nms;
    use graph::tensor::Tensor;
    use graph::ty::Type;
    use plan::eval_plan::{Options, eval_plan};
    use plan::plan::{Code, Plan};
    use plan::target::Target;

    use super::*;
    use crate::claim::CLAIMANTS;

    fn suppression(dtype: DType, nms: &Nms, dims: [Dim; 3]) -> Model {
        let mut b = Builder::new("boxes");
        let [batch, classes, count] = dims;
        let shapes =
            [vec![batch.clone(), count.clone(), Dim::constant(4)], vec![batch, classes, count], vec![], vec![]];
        let operands: Vec<ValueId> = shapes
            .into_iter()
            .take(3 + usize::from(nms.floor))
            .map(|shape| b.input("", Type::tensor(dtype, shape)))
            .collect();
        b.region(&nms::KIND, nms.to_attrs(), &operands).unwrap().into_iter().for_each(|v| b.output(v));
        b.finish()
    }

    fn planned(model: &Model) -> (Plan<CpuCode>, Option<NmsCode>) {
        let plan = plan::planner::plan_model(model, &Target::lines(CLAIMANTS)).unwrap();
        let code = plan.codes.iter().find_map(|code| match code {
            Code::Claimed(claimed) => match &claimed.code {
                CpuCode::Nms(code) => Some(*code),
                _ => None,
            },
            Code::Kernel(_) => None,
        });
        (plan, code)
    }

    /// A plan in which the family runs the region means what the region does.
    fn check(centered: bool, floor: bool) {
        let nms = Nms { centered, floor, steps: Dim::constant(5) };
        let model = suppression(DType::F32, &nms, [2, 3, 8].map(Dim::constant));
        let (plan, code) = planned(&model);
        assert_eq!(code, Some(NmsCode { centered, floor }));
        let tensor = |shape: &[usize], seed: usize| {
            let count: usize = shape.iter().product();
            let values: Vec<f32> = (0..count).map(|i| ((i * 37 + seed) % 41) as f32 / 8.0).collect();
            Datum::Tensor(Tensor::from_f32s(&values).reshaped(shape.to_vec()).unwrap())
        };
        let mut inputs = vec![tensor(&[2, 8, 4], 1), tensor(&[2, 3, 8], 2), tensor(&[], 3)];
        inputs.extend(floor.then(|| tensor(&[], 9)));
        let found = eval_plan(&plan, &inputs, Options { poison: true }).unwrap();
        assert_eq!(found, eval::model(&model, &inputs).unwrap());
    }

    #[test]
    fn boxes_of_f32_are_claimed() {
        check(false, false);
        check(true, true);
    }

    #[test]
    fn other_floats_stay_a_scan() {
        let nms = Nms { centered: false, floor: false, steps: Dim::constant(2) };
        let dims = [1, 1, 4].map(Dim::constant);
        assert_eq!(planned(&suppression(DType::F64, &nms, dims)).1, None);
    }
}
