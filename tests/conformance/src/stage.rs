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

use crate::case::Case;
use crate::compare::{SUITE, outputs};
use crate::{emulated, texts};

/// What produces the results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// As `PassesPlan`, on an emulated GPU, with its kernel families.
    Emulate,
    /// As `PassesPlan`, with the kernels of the generic way as PTX on the emulator.
    Ptx,
    /// The same without kernel families.
    EmulateGeneric,
}

impl Stage {
    /// The stage of a name.
    pub fn from_name(name: &str) -> Option<Stage> {
        match name {
            "eval" => Some(Stage::Eval),
            "passes" => Some(Stage::Passes),
            "plan" => Some(Stage::Plan),
            "poison" => Some(Stage::Poison),
            "passes-plan" => Some(Stage::PassesPlan),
            "lower" => Some(Stage::Lower),
            "emulate" => Some(Stage::Emulate),
            "ptx" => Some(Stage::Ptx),
            "emulate-generic" => Some(Stage::EmulateGeneric),
            _ => None,
        }
    }
}

/// The architecture that is emulated.
const EMULATED: Sm = Sm::Sm80;

/// Imports a case's model.
pub fn import(case: &Case) -> Result<Model, String> {
    import_with_info(case).map(|i| i.model)
}

/// Imports a case's model, with what the file says of itself.
pub fn import_with_info(case: &Case) -> Result<onnx::Imported, String> {
    onnx::import_file(&case.model(), &Options::default()).map_err(|e| format!("import: {e}"))
}

/// How all node tests fare at a stage: how many pass, and what is wrong with those that fail there though their plan gives the
/// right results on the evaluator. `None` where the suite is not fetched, which is said.
#[allow(clippy::print_stdout, reason = "a line in the log of a test")]
pub fn node_tests(stage: Stage) -> Option<(usize, Vec<String>)> {
    let cases = crate::case::all(&crate::case::suite_folder());
    if cases.is_empty() {
        println!("the suite is not fetched: run tests/conformance/fetch.sh");
        return None;
    }
    let mut wrong = Vec::new();
    let mut passed = 0;
    for case in &cases {
        match run(case, stage) {
            Ok(_) => passed += 1,
            Err(why) if run(case, Stage::PassesPlan).is_ok() => wrong.push(format!("{}: {why}", case.name)),
            Err(_) => {}
        }
    }
    println!("{passed} of {} passed", cases.len());
    Some((passed, wrong))
}

/// Runs all data sets; yields the largest distance in units of the last place.
pub fn run(case: &Case, stage: Stage) -> Result<f64, String> {
    let model = import(case)?;
    let mut worst = 0f64;
    for set in case.data_sets(&model)? {
        let found = results(&model, &set.inputs, stage)?;
        worst = worst.max(outputs(&found, &set.outputs, SUITE)?);
    }
    Ok(worst)
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
    let mut optimised = model.clone();
    let plain = matches!(stage, Stage::Eval | Stage::Plan | Stage::Poison);
    if !plain {
        passes::run_pipeline(&mut optimised, &passes::Options::default()).map_err(|e| format!("passes: {e}"))?;
    }
    let model = &optimised;
    if matches!(stage, Stage::Eval | Stage::Passes) {
        return graph::eval::model(model, inputs).map_err(|e| format!("eval: {e}"));
    }
    if matches!(stage, Stage::Emulate | Stage::EmulateGeneric) {
        return crate::device::run(model, inputs, EMULATED, stage == Stage::Emulate);
    }
    let none: &[&dyn Claimant<Code = NoCode>] = &[];
    if stage == Stage::Ptx {
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
    if stage == Stage::Lower {
        crate::lowered::check_lowered(&planned)?;
    } else {
        texts::check_plan(&planned, onnx::HOST_OPS)?;
    }
    let options = plan::eval_plan::Options { poison: stage == Stage::Poison };
    plan::eval_plan::eval_plan(&planned, inputs, options).map_err(|e| format!("run: {e}"))
}
