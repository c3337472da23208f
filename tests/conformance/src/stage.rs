//! Running a case up to a stage.

use graph::datum::Datum;
use graph::graph::Model;
use graph::text::ParseError;
use graph::text::cursor::Cursor;
use nest::abstraction::Constants;
use onnx::Options;
use plan::claim::Claimant;
use plan::eval_plan::EvalPlanError;
use plan::text::CodeText;
use ptx::Sm;
use runtime_min::gpu::driver::DriverTable;

use crate::architectures::Architectures;
use crate::case::{Case, DataSet};
use crate::compare::{SUITE, outputs};
use crate::device::Place;
use crate::{device, emulated, texts};

/// What produces the results.
#[derive(Clone, Copy, Debug)]
pub enum Stage {
    /// The evaluator on the imported graph.
    Eval,
    /// The evaluator on what the passes make of it.
    Passes,
    /// The evaluator on the plan, with no kernel family.
    Plan,
    /// The same with every buffer apart and poisoned.
    Poison,
    /// As `Plan`, of what the passes make of the graph.
    PassesPlan,
    /// As `PassesPlan`; what it becomes for a GPU must hold together.
    Lower,
    /// As `PassesPlan`, with the kernels of the generic way as PTX on the emulator.
    Ptx,
    /// As `PassesPlan`, on emulated GPUs of several architectures, with kernel families and without.
    Emulate(Architectures),
    /// The same on a GPU.
    Gpu(&'static DriverTable, Sm),
}

impl Stage {
    /// The stage of a name. None of these needs a GPU.
    pub fn from_name(name: &str) -> Option<Stage> {
        match name {
            "eval" => Some(Stage::Eval),
            "passes" => Some(Stage::Passes),
            "plan" => Some(Stage::Plan),
            "poison" => Some(Stage::Poison),
            "passes-plan" => Some(Stage::PassesPlan),
            "lower" => Some(Stage::Lower),
            "ptx" => Some(Stage::Ptx),
            "emulate" => Architectures::from_env().ok().map(Stage::Emulate),
            _ => None,
        }
    }
}

/// Imports a case's model.
pub fn import(case: &Case) -> Result<Model, String> {
    import_with_info(case).map(|i| i.model)
}

/// Imports a case's model, with what the file says of itself.
pub fn import_with_info(case: &Case) -> Result<onnx::Imported, String> {
    onnx::import_file(&case.model(), &Options::default()).map_err(|e| format!("import: {e}"))
}

/// A test that passed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Passed {
    /// The largest distance from what is expected, in units of the last place.
    pub ulp: f64,
    /// Programs for GPUs, and how many of them ran: of equal ones, the first.
    pub programs: usize,
    pub ran: usize,
}

/// How all node tests fare at a stage.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    pub passed: usize,
    pub programs: usize,
    pub ran: usize,
    /// What is wrong with those that fail and are not listed in `status.txt`.
    pub wrong: Vec<String>,
}

/// Runs all node tests up to a stage. `None` where the suite is not fetched, which is said.
#[allow(clippy::print_stdout, reason = "a line in the log of a test")]
pub fn node_tests(stage: Stage) -> Option<Totals> {
    let cases = crate::case::all(&crate::case::suite_folder());
    if cases.is_empty() {
        println!("the suite is not fetched: run tests/conformance/fetch.sh");
        return None;
    }
    let known = crate::case::known_failures();
    let mut totals = Totals::default();
    for case in &cases {
        match run(case, stage) {
            Ok(passed) => {
                totals.passed += 1;
                totals.programs += passed.programs;
                totals.ran += passed.ran;
            }
            Err(_) if known.contains_key(&case.name) => {}
            Err(why) => totals.wrong.push(format!("{}: {why}", case.name)),
        }
    }
    println!("{} of {} passed; {} programs, {} of them ran", totals.passed, cases.len(), totals.programs, totals.ran);
    Some(totals)
}

/// Runs all data sets of a test up to a stage.
pub fn run(case: &Case, stage: Stage) -> Result<Passed, String> {
    let model = import(case)?;
    let sets = case.data_sets(&model)?;
    match stage {
        Stage::Emulate(architectures) => on_gpus(&model, &sets, Place::Emulator, &architectures.of(&case.name)),
        Stage::Gpu(table, sm) => on_gpus(&model, &sets, Place::Gpu(table), &[sm]),
        Stage::Eval | Stage::Passes | Stage::Plan | Stage::Poison | Stage::PassesPlan | Stage::Lower | Stage::Ptx => {
            let mut passed = Passed::default();
            for set in sets {
                let found = results(&model, &set.inputs, stage)?;
                passed.ulp = passed.ulp.max(outputs(&found, &set.outputs, SUITE)?);
            }
            Ok(passed)
        }
    }
}

/// Runs all data sets in all ways on GPUs.
fn on_gpus(model: &Model, sets: &[DataSet], place: Place, sms: &[Sm]) -> Result<Passed, String> {
    let model = normal(model)?;
    let inputs: Vec<&[Datum]> = sets.iter().map(|set| set.inputs.as_slice()).collect();
    let (ways, programs) = device::distinct(&model, sms)?;
    let mut passed = Passed { programs, ran: ways.len(), ..Passed::default() };
    for way in ways {
        let name = format!("{}, {}", way.sm, if way.families { "with families" } else { "the generic way" });
        let found = way.run(place, &inputs).map_err(|e| format!("{name}: {e}"))?;
        for (found, set) in found.iter().zip(sets) {
            let ulp = outputs(found, &set.outputs, SUITE).map_err(|e| format!("{name}: {e}"))?;
            passed.ulp = passed.ulp.max(ulp);
        }
    }
    Ok(passed)
}

/// What the passes make of a model.
pub fn normal(model: &Model) -> Result<Model, String> {
    let mut out = model.clone();
    passes::run_pipeline(&mut out, &passes::Options::default()).map_err(|e| format!("passes: {e}"))?;
    Ok(out)
}

/// A target without kernel families.
#[derive(Clone, Debug, PartialEq)]
pub enum NoCode {}

impl CodeText for NoCode {
    fn print(&self) -> String {
        match *self {}
    }

    fn parse(c: &mut Cursor<'_>) -> Result<NoCode, ParseError> {
        c.expected("no code of a kernel family")
    }
}

fn results(model: &Model, inputs: &[Datum], stage: Stage) -> Result<Vec<Datum>, String> {
    let plain = matches!(stage, Stage::Eval | Stage::Plan | Stage::Poison);
    let model = &if plain { model.clone() } else { normal(model)? };
    if matches!(stage, Stage::Eval | Stage::Passes) {
        return graph::eval::model(model, inputs).map_err(|e| format!("eval: {e}"));
    }
    let none: &[&dyn Claimant<Code = NoCode>] = &[];
    if matches!(stage, Stage::Ptx) {
        let target = plan::Target {
            claimants: none,
            workspace: &backend_ptx::workspace,
            constants: Constants::Code,
            tuning: None,
        };
        let planned = plan::plan_model(model, &target).map_err(|e| format!("plan: {e}"))?;
        let options = plan::eval_plan::Options::default();
        let run = |kernel: &_, sizes: &[i64], operands: &[_]| {
            emulated::run_checked(kernel, sizes, operands).map_err(EvalPlanError::Kernel)
        };
        return plan::eval_plan::eval_plan_with(&planned, inputs, options, &run).map_err(|e| format!("run: {e}"));
    }
    let planned = plan::plan_model(model, &plan::Target::lines(none)).map_err(|e| format!("plan: {e}"))?;
    if matches!(stage, Stage::Lower) {
        crate::lowered::check_lowered(&planned)?;
    } else {
        texts::check_plan(&planned, onnx::HOST_OPS)?;
    }
    let options = plan::eval_plan::Options { poison: matches!(stage, Stage::Poison) };
    plan::eval_plan::eval_plan(&planned, inputs, options).map_err(|e| format!("run: {e}"))
}
