//! `test plan [FAMILY …]`: the model before the line `; becomes` is planned with the kernel families named, as the text after
//! it. The plan verifies, its text parses back to equal data, and it yields what the model does, to 1e-5, on random inputs
//! and on those of the lines `eval(INPUT, …) == OUTPUT, …`; with every buffer apart and poisoned, too.

use std::collections::BTreeMap;

use graph::datum::Datum;
use graph::dim::SymId;
use graph::dtype::{Class, DType};
use graph::graph::Model;
use graph::scalar::Scalar;
use graph::symbol::SymSource;
use graph::tensor::Tensor;
use graph::text::Registry;
use graph::ty::Type;
use graph::{eval, text, verify};
use plan::eval_plan::{Options, eval_plan};
use plan::plan::Plan;

use crate::claimants::families;
use crate::commands::eval::{PREFIX, outcome, parse_inputs};
use crate::commands::pass::{BECOMES, close};
use crate::{Case, Command, Numbers, TestCode, registry};

pub const COMMAND: Command = Command { name: "plan", run };

fn run(case: &Case) -> Result<Case, String> {
    let given = case.body.split_once(BECOMES).map_or(case.body.as_str(), |(before, _)| before).trim_end();
    let model = text::parse(given, &registry()).map_err(|error| error.to_string())?;
    let names = case.commands().find_map(|line| line.strip_prefix("plan")).unwrap_or_default();
    let plan = plan_checked(&model, names)?;
    for seed in 0..4 {
        let inputs = random_inputs(&model, seed);
        agree(&model, &plan, &inputs).map_err(|why| format!("inputs {inputs:?}: {why}"))?;
    }
    let mut out = case.clone();
    out.body = format!("{given}\n\n{BECOMES}\n{}", plan::text::print(&plan));
    for line in &mut out.header {
        if let Some(rest) = line.strip_prefix(PREFIX) {
            let (given, inputs) = parse_inputs(rest)?;
            agree(&model, &plan, &inputs).map_err(|why| format!("eval({given}): {why}"))?;
            *line = format!("{PREFIX}{given}) == {}", outcome(&model, &inputs));
        }
    }
    Ok(out)
}

/// The plan of a model, which verifies and whose text parses back to it.
pub fn plan_checked(model: &Model, names: &str) -> Result<Plan<TestCode>, String> {
    let lines = |violations: Vec<String>| violations.join("\n    ");
    verify::model(model).map_err(|v| lines(v.iter().map(ToString::to_string).collect()))?;
    let plan = plan::plan_model(model, &plan::Target::lines(&families(names))).map_err(|error| error.to_string())?;
    let printed = plan::text::print(&plan);
    plan::verify::plan(&plan)
        .map_err(|v| format!("{}\n{printed}", lines(v.iter().map(ToString::to_string).collect())))?;
    let blobs = plan::text::blobs(&plan);
    let again = plan::text::parse::<TestCode>(&printed, &Registry { blobs: &blobs, ..registry() });
    match again {
        Ok(again) if again == plan && plan::text::print(&again) == printed => Ok(plan),
        Ok(_) => Err(format!("printed text parses to another plan:\n{printed}")),
        Err(error) => Err(format!("printed text: {error}\n{printed}")),
    }
}

/// Unless a plan yields what the model does, the difference.
pub fn agree(model: &Model, plan: &Plan<TestCode>, inputs: &[Datum]) -> Result<(), String> {
    let expected = eval::model(model, inputs);
    for poison in [false, true] {
        let found = eval_plan(plan, inputs, Options { poison });
        match (&expected, found) {
            (Ok(expected), Ok(found)) if expected.len() == found.len() => {
                expected.iter().zip(&found).try_for_each(|(a, b)| close(a, b))?;
            }
            (Err(_), Err(_)) => {}
            (expected, found) => return Err(format!("the model yields {expected:?}, the plan {found:?}")),
        }
    }
    Ok(())
}

/// Inputs of a model whose symbols have small values.
fn random_inputs(model: &Model, seed: u64) -> Vec<Datum> {
    let mut numbers = Numbers::new(seed.wrapping_add(7));
    let sizes: BTreeMap<SymId, i64> = model
        .symbols
        .iter()
        .filter(|(_, s)| s.source == SymSource::Input)
        .map(|(id, s)| (id, (numbers.below(5) as i64).clamp(s.lo, s.hi.unwrap_or(i64::MAX).max(s.lo))))
        .collect();
    let inputs = model.graph.inputs.iter().filter_map(|id| model.graph.value(*id));
    inputs.map(|value| random_value(&value.ty, &sizes, &mut numbers)).collect()
}

/// A value of a type whose symbols have these values, else 1.
pub fn random_value(ty: &Type, sizes: &BTreeMap<SymId, i64>, numbers: &mut Numbers) -> Datum {
    let Some(tensor) = ty.as_tensor() else {
        return match ty {
            Type::Opt(_) => Datum::Opt(None),
            _ => Datum::Seq(Vec::new()),
        };
    };
    let extent = |value: i64| usize::try_from(value).unwrap_or(0);
    let shape: Vec<usize> =
        tensor.shape.iter().map(|d| extent(d.eval(&|id| sizes.get(&id).copied()).unwrap_or(1))).collect();
    let count: usize = shape.iter().product();
    if tensor.dtype == DType::Str {
        let strings = (0..count).map(|_| format!("s{}", numbers.below(9))).collect();
        return Tensor::from_strings(shape, strings).map_or(Datum::Opt(None), Datum::Tensor);
    }
    let elements: Vec<Scalar> = (0..count)
        .map(|_| match tensor.dtype.class() {
            Class::Float => Scalar::from_f64(tensor.dtype, numbers.below(33) as f64 / 8.0 - 2.0),
            Class::Bool => Scalar::bool(numbers.below(2) == 1),
            Class::Signed | Class::Unsigned | Class::Str => Scalar::from_i64(tensor.dtype, numbers.below(4) as i64),
        })
        .collect();
    Tensor::from_scalars(tensor.dtype, shape, &elements).map_or(Datum::Opt(None), Datum::Tensor)
}
