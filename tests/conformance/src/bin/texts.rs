//! `texts [--print] FILE…`: imports models, plans them with no kernel family, verifies both and parses their texts back; a
//! line each, after the text of the plan if it is asked for.

use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

use conformance::stage::NoCode;
use conformance::texts::{check_model, check_plan};
use plan::claim::Claimant;

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

fn run(file: &str, print: Option<&mut impl Write>) -> Result<String, String> {
    let model = onnx::import_file(file.as_ref(), &onnx::Options::default()).map_err(|e| format!("import: {e}"))?.model;
    check_model(&model, onnx::HOST_OPS)?;
    let none: &[&dyn Claimant<Code = NoCode>] = &[];
    let start = Instant::now();
    let plan = plan::plan_model(&model, none).map_err(|e| format!("plan: {e}"))?;
    let planned = start.elapsed();
    print.into_iter().for_each(|out| {
        let _ = write!(out, "{}", plan::text::print(&plan));
    });
    check_plan(&plan, onnx::HOST_OPS)?;
    let checked = start.elapsed() - planned;
    let (steps, buffers, codes) = (plan.body.steps.len(), plan.buffers.len(), plan.codes.len());
    let arena = plan.arena.as_const().map_or("symbolic".to_string(), |n| n.to_string());
    Ok(format!(
        "{steps} steps, {buffers} buffers, {codes} codes, arena {arena}, planned in {planned:?}, checked in {checked:?}"
    ))
}
