//! Text tests of kernels and plans.

use std::collections::BTreeSet;

use filetests::{Case, Numbers, TestCode, agree, files, mutate, plan_checked, random_value, registry};
use graph::text::cursor::Cursor;
use graph::text::datum::parse_datum;
use plan::eval_plan::{EvalPlanError, Options, eval_plan};
use plan::plan::Plan;

fn check(folder: &str) {
    let failures = filetests::run(folder).err().unwrap_or_default();
    assert!(failures.is_empty(), "{failures}");
}

fn cases(folder: &str) -> Vec<(String, Case)> {
    let read = |file: std::path::PathBuf| {
        let text = std::fs::read_to_string(&file).unwrap();
        (file.file_name().unwrap().to_string_lossy().into_owned(), Case::read(&text))
    };
    files(folder).unwrap().into_iter().map(read).collect()
}

#[test]
fn kernels() {
    check("kernel");
}

#[test]
fn plans() {
    check("plan");
}

/// Whatever the tests of the evaluator run gives the same through a plan.
#[test]
fn evaluated_models_plan() {
    let mut wrong = Vec::new();
    for (name, case) in cases("graph/eval") {
        let Ok(model) = graph::text::parse(&case.body, &registry()) else { continue };
        match plan_checked(&model, "blocked scaled") {
            Err(why) => wrong.push(format!("{name}: {why}")),
            Ok(plan) => {
                for line in case.header.iter().filter_map(|line| line.strip_prefix("eval")) {
                    let inputs = Cursor::new(line).and_then(|mut c| c.list("(", ")", parse_datum)).unwrap();
                    if let Err(why) = agree(&model, &plan, &inputs) {
                        wrong.push(format!("{name}: {line}: {why}\n{}", plan::text::print(&plan)));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What verifies runs, or says that sizes are not what it asks for; it may read parts of outputs that nothing wrote.
fn runs(plan: &Plan<TestCode>, numbers: &mut Numbers) -> Result<(), EvalPlanError> {
    let sizes = plan.symbols.iter().map(|(id, s)| (id, s.lo.max(2).min(s.hi.unwrap_or(4)))).collect();
    let inputs: Vec<_> = plan.inputs.iter().map(|input| random_value(&input.ty, &sizes, numbers)).collect();
    match eval_plan(plan, &inputs, Options::default()) {
        Err(
            error @ (EvalPlanError::Malformed(_)
            | EvalPlanError::Address { step: "write", .. }
            | EvalPlanError::UnknownSize { .. }),
        ) => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

#[test]
fn mutated_plans_are_refused_or_survive() {
    let mut numbers = Numbers::new(3);
    let (mut parsed, mut accepted) = (0, 0);
    for (_, case) in cases("plan") {
        let Some((_, text)) = case.body.split_once("; becomes\n") else { continue };
        for _ in 0..60 {
            let mutant = mutate(text, &mut numbers);
            let Ok(plan) = plan::text::parse::<TestCode>(&mutant, &registry()) else { continue };
            parsed += 1;
            let printed = plan::text::print(&plan);
            match plan::text::parse::<TestCode>(&printed, &registry()) {
                Ok(again) => assert_eq!(again, plan, "{mutant}\n{printed}"),
                Err(error) => panic!("{error}\n{printed}"),
            }
            if plan::verify::plan(&plan).is_ok() {
                accepted += 1;
                runs(&plan, &mut numbers).unwrap_or_else(|why| panic!("{why}\n{mutant}"));
            }
        }
    }
    assert!(parsed > accepted + 50 && accepted > 100, "{parsed} mutants parsed, {accepted} verified");
}

#[test]
fn mutated_kernels_are_refused_or_survive() {
    let mut numbers = Numbers::new(4);
    let mut rules = BTreeSet::new();
    for (_, case) in cases("kernel") {
        for _ in 0..200 {
            let mutant = mutate(&case.body, &mut numbers);
            let Ok(kernel) = nest::text::parse(&mutant) else { continue };
            assert_eq!(nest::text::parse(&nest::text::print(&kernel)), Ok(kernel.clone()), "{mutant}");
            rules.extend(nest::verify::kernel(&kernel).err().unwrap_or_default().into_iter().map(|v| v.rule));
        }
    }
    assert!(rules.len() >= 4, "{rules:?}");
}
