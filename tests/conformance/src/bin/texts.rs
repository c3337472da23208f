//! `texts [--print] FILE…`: imports models, plans them with no kernel family and, after the passes, with those of the CPU,
//! verifies all and parses their texts back; two lines each, after the texts of the plans if they are asked for.

use std::fmt::Debug;
use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

use conformance::stage::NoCode;
use conformance::texts::{check_model, check_plan};
use graph::graph::Model;
use plan::claim::Claimant;
use plan::target::Claimants;
use plan::text::CodeText;

fn main() -> ExitCode {
    let mut out = std::io::stdout().lock();
    let mut failed = false;
    let print = std::env::args().any(|arg| arg == "--print");
    for file in std::env::args().skip(1).filter(|arg| arg != "--print") {
        let line = run(&file, print.then_some(&mut out)).unwrap_or_else(|why| {
            failed = true;
            why
        });
        let _ = writeln!(out, "{file}: {line}");
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn run(file: &str, mut print: Option<&mut impl Write>) -> Result<String, String> {
    let mut model =
        onnx::import_file(file.as_ref(), &onnx::Options::default()).map_err(|e| format!("import: {e}"))?.model;
    check_model(&model, onnx::HOST_OPS)?;
    let none: &[&dyn Claimant<Code = NoCode>] = &[];
    let generic = planned(&model, none, &mut print).map_err(|why| format!("generic {why}"))?;
    passes::run_pipeline(&mut model, &passes::Options::default()).map_err(|e| format!("passes: {e}"))?;
    check_model(&model, onnx::HOST_OPS).map_err(|why| format!("after passes: {why}"))?;
    let claimed = planned(&model, backend_cpu::claim::CLAIMANTS, &mut print).map_err(|why| format!("cpu {why}"))?;
    Ok(format!("{generic}\n  cpu: {claimed}"))
}

fn planned<C: Clone + Debug + PartialEq + CodeText>(
    model: &Model,
    claimants: Claimants<'_, C>,
    print: &mut Option<&mut impl Write>,
) -> Result<String, String> {
    let start = Instant::now();
    let plan = plan::plan_model(model, &plan::Target::lines(claimants)).map_err(|e| format!("plan: {e}"))?;
    let planned = start.elapsed();
    if let Some(out) = print {
        let _ = write!(out, "{}", plan::text::print(&plan));
    }
    let start = Instant::now();
    check_plan(&plan, onnx::HOST_OPS)?;
    let checked = start.elapsed();
    let (steps, buffers, codes) = (plan.body.steps.len(), plan.buffers.len(), plan.codes.len());
    let arena = plan.arena.as_const().map_or("symbolic".to_string(), |n| n.to_string());
    Ok(format!(
        "{steps} steps, {buffers} buffers, {codes} codes, arena {arena}, planned in {planned:?}, checked in {checked:?}"
    ))
}
